#include "queue/fingerprint.h"

#include <bit>
#include <cstddef>
#include <cstring>
#include <string>

namespace postring::queue {
namespace {

struct SipState {
  uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void take(uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
  uint64_t fold() {
    for (int i = 0; i < 4; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

Fingerprint siphash(const FingerprintKey& key, std::string_view bytes) {
  SipState state{0x736f6d6570736575u ^ key.words[0], 0x646f72616e646f6du ^ key.words[1] ^ 0xee,
                 0x6c7967656e657261u ^ key.words[0], 0x7465646279746573u ^ key.words[1]};
  size_t whole = bytes.size() / 8 * 8;
  for (size_t at = 0; at < whole; at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, 8);
    state.take(word);
  }
  uint64_t last = static_cast<uint64_t>(bytes.size() & 0xff) << 56;
  for (size_t at = whole; at < bytes.size(); ++at) {
    last |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[at])) << (8 * (at - whole));
  }
  state.take(last);
  state.v2 ^= 0xee;
  uint64_t low = state.fold();
  state.v1 ^= 0xdd;
  uint64_t high = state.fold();
  return {high, low};
}

}  // namespace

Fingerprint siphash128(const FingerprintKey& key, std::string_view bytes) {
  return siphash(key, bytes);
}

Fingerprint fingerprint_of(const FingerprintKey& key, std::string_view ref,
                           std::string_view address) {
  // Two keys, so that a ref never stands for an address that reads the same.
  if (ref.empty()) return siphash(key, address);
  return siphash({{~key.words[0], key.words[1]}}, ref);
}

}  // namespace postring::queue
