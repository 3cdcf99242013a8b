// The one way chance enters: a hash of what is decided, about whom, and which attempt it is.
//
// A test in another language predicts the outcome with the same few lines:
// FNV-1a (64 bits) over "what NUL whom NUL attempt-in-decimal", then MurmurHash3's fmix64, modulo
// 10000, below the share in ten-thousandths.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "behaviour.h"

namespace mxsim {

inline uint64_t fnv1a(std::string_view text, uint64_t hash = 0xcbf29ce484222325ull) {
  for (char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  return hash;
}

inline uint64_t mix(uint64_t h) {
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdull;
  h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53ull;
  return h ^ (h >> 33);
}

inline uint64_t draw(std::string_view what, std::string_view whom, uint64_t attempt) {
  constexpr std::string_view kNul("\0", 1);
  uint64_t hash = fnv1a(kNul, fnv1a(what));
  hash = fnv1a(kNul, fnv1a(whom, hash));
  return mix(fnv1a(std::to_string(attempt), hash));
}

inline bool chosen(Share share, std::string_view what, std::string_view whom, uint64_t attempt) {
  if (share.of_10000 == 0 || (share.times != 0 && attempt >= share.times)) return false;
  return share.of_10000 >= 10000 || draw(what, whom, attempt) % 10000 < share.of_10000;
}

}  // namespace mxsim
