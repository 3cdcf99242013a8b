// Random: a small fast generator (xoshiro256**), seeded explicitly and passed down.
//
// Not for secrets: those come from io/entropy.h. It has no floats, so that a simulation decides
// the same way on every machine.
#pragma once

#include <cstdint>

#include "base/check.h"
#include "base/wide.h"

namespace postring {

class Random {
 public:
  explicit Random(uint64_t seed) {
    // splitmix64 spreads one word over the state, which must not be all zero.
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15u;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      word = z ^ (z >> 31);
    }
  }

  uint64_t next() {
    uint64_t result = rotate(state_[1] * 5, 7) * 9;
    uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  // A number in [0, bound), bound > 0. The bias of the multiplication is below 2^-32 for bounds
  // that fit 32 bits.
  uint64_t below(uint64_t bound) {
    CHECK(bound > 0);
    return multiply_wide(next(), bound).high;
  }

  // A number in [low, high].
  int64_t between(int64_t low, int64_t high) {
    CHECK(low <= high);
    return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low) + 1));
  }

  // True in `numerator` of `denominator` cases.
  bool chance(uint64_t numerator, uint64_t denominator) { return below(denominator) < numerator; }

 private:
  static uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

  uint64_t state_[4];
};

}  // namespace postring
