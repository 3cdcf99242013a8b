#include "mail/verp.h"

#include <gtest/gtest.h>

#include <string>

#include "base/random.h"

namespace postring::mail {
namespace {

std::string token_of(const VerpKey& key, VerpId id) {
  std::array<char, kVerpTokenMax> out;
  return {out.data(), verp_encode(key, id, out)};
}

std::optional<VerpId> decode(const VerpKey& key, std::string_view token) {
  return verp_decode({&key, 1}, token);
}

// The vectors of the reference implementation: key 00..0f, input 00, 01, 02 ...
TEST(verp, siphash_as_published) {
  VerpKey key(0x0706050403020100u, 0x0f0e0d0c0b0a0908u);
  std::string input;
  EXPECT_EQ(key.tag(input), 0x726fdb47dd0e0e31u);
  for (char c = 0; c < 15; ++c) input += c;
  EXPECT_EQ(key.tag(input), 0xa129ca6149be45e5u);
}

TEST(verp, a_token_names_its_recipient) {
  VerpKey key("a secret of the operator");
  Random random(11);
  for (int i = 0; i < 5'000; ++i) {
    VerpId id{random.next() >> random.below(64), random.next() >> random.below(64)};
    std::string token = token_of(key, id);
    EXPECT_EQ(decode(key, token), id);
    for (char& c : token) c = static_cast<char>(std::toupper(c));
    EXPECT_EQ(decode(key, token), id);
  }
  EXPECT_EQ(token_of(key, {UINT64_MAX, UINT64_MAX}).size(), kVerpTokenMax);
  EXPECT_LE(token_of(key, {12, make_recipient_id(3, 5'000'000)}).size(), 26u);
}

TEST(verp, every_change_of_a_character_is_noticed) {
  VerpKey key("secret");
  std::string token = token_of(key, {77, make_recipient_id(1, 123'456)});
  for (size_t i = 0; i < token.size(); ++i) {
    for (char c : std::string_view("abcdefghijklmnopqrstuvwxyz234567=-\0", 35)) {
      std::string changed = token;
      changed[i] = c;
      if (changed == token) continue;
      EXPECT_FALSE(decode(key, changed)) << i;
    }
  }
  EXPECT_FALSE(decode(key, ""));
  EXPECT_FALSE(decode(key, token + "a"));
  EXPECT_FALSE(decode(key, token.substr(0, token.size() - 1)));
  EXPECT_FALSE(decode(key, std::string(500, 'a')));
}

TEST(verp, old_keys_are_still_read) {
  VerpKey keys[] = {VerpKey("new"), VerpKey("old")};
  VerpId id{1, 2};
  EXPECT_EQ(verp_decode(keys, token_of(keys[1], id)), id);
  EXPECT_FALSE(decode(keys[0], token_of(keys[1], id)));
}

}  // namespace
}  // namespace postring::mail
