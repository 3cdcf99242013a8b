#include "mail/verp.h"

#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"

namespace postring::mail {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kTagBytes = 8;
// version, a 16-bit, a 48-bit and a 64-bit varint, tag
constexpr size_t kBytesMax = 1 + 3 + 7 + 10 + kTagBytes;
static_assert((kBytesMax * 8 + 4) / 5 == kVerpTokenMax);

constexpr char kDigits[] = "abcdefghijklmnopqrstuvwxyz234567";  // RFC 4648 section 6

uint64_t rotate(uint64_t x, int k) {
  return x << k | x >> (64 - k);
}

struct Sip {
  uint64_t a, b, c, d;

  void round() {
    a += b;
    b = rotate(b, 13) ^ a;
    a = rotate(a, 32);
    c += d;
    d = rotate(d, 16) ^ c;
    a += d;
    d = rotate(d, 21) ^ a;
    c += b;
    b = rotate(b, 17) ^ c;
    c = rotate(c, 32);
  }
  void absorb(uint64_t word) {
    d ^= word;
    round();
    round();
    a ^= word;
  }
};

size_t put_varint(char* out, size_t at, uint64_t value) {
  while (value >= 0x80) {
    out[at++] = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out[at++] = static_cast<char>(value);
  return at;
}

int digit_of(char c) {
  if (c >= 'a' && c <= 'z') return c - 'a';
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= '2' && c <= '7') return c - '2' + 26;
  return -1;
}

}  // namespace

VerpKey::VerpKey(std::string_view secret) {
  Sha256 derived = hmac_sha256(secret, "postring verp 1");
  std::memcpy(&k0_, derived.data(), 8);
  std::memcpy(&k1_, derived.data() + 8, 8);
}

uint64_t VerpKey::tag(std::string_view bytes) const {
  Sip sip{k0_ ^ 0x736f6d6570736575u, k1_ ^ 0x646f72616e646f6du, k0_ ^ 0x6c7967656e657261u,
          k1_ ^ 0x7465646279746573u};
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, 8);
    sip.absorb(word);
  }
  uint64_t last = static_cast<uint64_t>(bytes.size()) << 56;
  for (size_t i = at; i < bytes.size(); ++i) {
    last |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[i])) << (8 * (i - at));
  }
  sip.absorb(last);
  sip.c ^= 0xff;
  for (int i = 0; i < 4; ++i) sip.round();
  return sip.a ^ sip.b ^ sip.c ^ sip.d;
}

size_t verp_encode(const VerpKey& key, VerpId id, std::array<char, kVerpTokenMax>& out) {
  char bytes[kBytesMax];
  bytes[0] = static_cast<char>(kVersion);
  size_t size = put_varint(bytes, 1, slice_of(id.recipient));
  size = put_varint(bytes, size, id.recipient & 0xffff'ffff'ffffu);
  size = put_varint(bytes, size, id.campaign);
  uint64_t tag = key.tag({bytes, size});
  std::memcpy(bytes + size, &tag, kTagBytes);
  size += kTagBytes;
  CHECK(size <= kBytesMax);

  size_t written = 0;
  uint32_t group = 0;
  int bits = 0;
  for (size_t i = 0; i < size; ++i) {
    group = (group << 8 | static_cast<uint8_t>(bytes[i])) & 0xffff;
    for (bits += 8; bits >= 5; bits -= 5) out[written++] = kDigits[group >> (bits - 5) & 31];
  }
  if (bits > 0) out[written++] = kDigits[group << (5 - bits) & 31];
  return written;
}

std::optional<VerpId> verp_decode(std::span<const VerpKey> keys, std::string_view token) {
  if (token.size() > kVerpTokenMax) return std::nullopt;
  char bytes[kBytesMax];
  size_t size = 0;
  uint32_t group = 0;
  int bits = 0;
  for (char c : token) {
    int digit = digit_of(c);
    if (digit < 0) return std::nullopt;
    group = (group << 5 | static_cast<uint32_t>(digit)) & 0xffff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[size++] = static_cast<char>(group >> bits);
    }
  }
  // One token for one id: the bits left over are zero and too few for a character.
  if (bits >= 5 || (group & ((1u << bits) - 1)) != 0 || size < 1 + 3 + kTagBytes) {
    return std::nullopt;
  }
  std::string_view body(bytes, size - kTagBytes);
  uint64_t tag;
  std::memcpy(&tag, bytes + body.size(), kTagBytes);
  bool known = false;
  for (const VerpKey& key : keys) known = known || key.tag(body) == tag;
  if (!known) return std::nullopt;

  ByteReader reader(body);
  auto version = reader.fixed<uint8_t>();
  uint64_t slice = reader.varint();
  uint64_t counter = reader.varint();
  uint64_t campaign = reader.varint();
  bool in_range = slice <= 0xffff && counter <= 0xffff'ffff'ffffu;
  if (!reader.done() || version != kVersion || !in_range) return std::nullopt;
  return VerpId{campaign, make_recipient_id(static_cast<SliceNumber>(slice), counter)};
}

}  // namespace postring::mail
