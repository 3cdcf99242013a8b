#include "dns/resolution.h"

#include <gtest/gtest.h>

#include <map>

namespace postring::dns {
namespace {

IpAddress ip(const char* text) {
  return IpAddress::parse(text).value();
}

Resolution some_resolution() {
  Resolution r;
  r.kind = Resolution::Kind::hosts;
  r.hosts = {{"a", 5, 25, {ip("1.1.1.1"), ip("1.1.1.2"), ip("2606::1")}},
             {"b", 10, 25, {ip("2.2.2.2")}},
             {"c", 10, 26, {ip("3.3.3.3")}},
             {"d", 20, 25, {ip("4.4.4.4")}}};
  return r;
}

TEST(AttemptOrder, PreferenceFirstRandomWithin) {
  Resolution r = some_resolution();
  Random random(1);
  std::map<uint32_t, int> second;
  for (int i = 0; i < 1'000; ++i) {
    std::vector<Target> targets = attempt_order(r, IpAddress::Family::v4, random);
    ASSERT_EQ(targets.size(), 5u);
    EXPECT_EQ(targets[0].host, 0u);
    EXPECT_EQ(targets[1].host, 0u);
    EXPECT_NE(targets[2].host, targets[3].host);
    EXPECT_EQ(targets[4].host, 3u);
    ++second[targets[2].host];
    EXPECT_EQ(targets[2].address.port, targets[2].host == 2 ? 26 : 25);
  }
  EXPECT_GT(second[1], 400);
  EXPECT_GT(second[2], 400);
}

TEST(AttemptOrder, ByFamily) {
  Resolution r = some_resolution();
  Random random(1);
  EXPECT_EQ(attempt_order(r, IpAddress::Family::v6, random).size(), 1u);
  EXPECT_EQ(attempt_order(r, IpAddress::Family::none, random).size(), 6u);
  EXPECT_TRUE(attempt_order(Resolution{}, IpAddress::Family::v4, random).empty());
}

TEST(ReplyOf, EnhancedCodes) {
  auto code = [](Resolution::Kind kind) {
    Resolution r;
    r.kind = kind;
    r.reason = "why";
    Reply reply = reply_of(r);
    EXPECT_EQ(reply.text, "why");
    EXPECT_EQ(reply.code, 0);
    return reply.enhanced[0] * 10'000 + reply.enhanced[1] * 100 + reply.enhanced[2];
  };
  EXPECT_EQ(code(Resolution::Kind::null_mx), 5'01'10);
  EXPECT_EQ(code(Resolution::Kind::no_domain), 5'01'02);
  EXPECT_EQ(code(Resolution::Kind::no_address), 5'04'04);
  EXPECT_EQ(code(Resolution::Kind::refused_address), 5'04'04);
  EXPECT_EQ(code(Resolution::Kind::temporary), 4'04'03);
}

}  // namespace
}  // namespace postring::dns
