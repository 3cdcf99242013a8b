// The 128-bit product of two words, by the compiler's extension in one place.
#pragma once

#include <cstdint>

namespace postring {

__extension__ using WideWord = unsigned __int128;

struct WideProduct {
  uint64_t high, low;
};

constexpr WideProduct multiply_wide(uint64_t a, uint64_t b) {
  WideWord product = static_cast<WideWord>(a) * b;
  return {static_cast<uint64_t>(product >> 64), static_cast<uint64_t>(product)};
}

}  // namespace postring
