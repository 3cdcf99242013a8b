#include "dot_finder.h"

#include <cstring>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace mxsim {
namespace {

// The place of the first LF with a dot behind it, or `size`. A last LF is not found: its dot is not
// here.
size_t find_lf_dot(const char* bytes, size_t size) {
  size_t at = 0;
#ifdef __SSE2__
  const __m128i lf = _mm_set1_epi8('\n');
  const __m128i dot = _mm_set1_epi8('.');
  auto pair = [&](size_t i) {
    const __m128i* here = reinterpret_cast<const __m128i*>(bytes + i);
    const __m128i* next = reinterpret_cast<const __m128i*>(bytes + i + 1);
    return _mm_and_si128(_mm_cmpeq_epi8(_mm_loadu_si128(here), lf),
                         _mm_cmpeq_epi8(_mm_loadu_si128(next), dot));
  };
  for (; at + 65 <= size; at += 64) {
    __m128i any = _mm_or_si128(_mm_or_si128(pair(at), pair(at + 16)),
                               _mm_or_si128(pair(at + 32), pair(at + 48)));
    if (_mm_movemask_epi8(any) != 0) break;
  }
  for (; at + 17 <= size; at += 16) {
    int mask = _mm_movemask_epi8(pair(at));
    if (mask != 0) return at + static_cast<size_t>(__builtin_ctz(static_cast<unsigned>(mask)));
  }
#endif
  while (at + 1 < size) {
    const void* found = std::memchr(bytes + at, '\n', size - 1 - at);
    if (found == nullptr) return size;
    at = static_cast<size_t>(static_cast<const char*>(found) - bytes);
    if (bytes[at + 1] == '.') return at;
    ++at;
  }
  return size;
}

}  // namespace

void DotFinder::step(char c) {
  switch (state_) {
    case State::kMiddle:
      state_ = c == '\r' ? State::kCr : State::kMiddle;
      break;
    case State::kCr:
      state_ = c == '\n' ? State::kLineStart : c == '\r' ? State::kCr : State::kMiddle;
      break;
    case State::kLineStart:
      state_ = c == '.' ? State::kDot : c == '\r' ? State::kCr : State::kMiddle;
      break;
    case State::kDot:
      state_ = c == '\r' ? State::kDotCr : State::kMiddle;
      break;
    case State::kDotCr:
      state_ = c == '\n' ? State::kDone : c == '\r' ? State::kCr : State::kMiddle;
      break;
    case State::kDone:
      break;
  }
}

size_t DotFinder::feed(const char* bytes, size_t size) {
  size_t at = 0;
  while (at < size && state_ != State::kDone) {
    if (state_ != State::kMiddle) {
      step(bytes[at++]);
      continue;
    }
    size_t hit = at + find_lf_dot(bytes + at, size - at);
    if (hit < size) {
      // A LF without CR in front of it starts no line.
      bool is_line = hit > at && bytes[hit - 1] == '\r';
      state_ = is_line ? State::kDot : State::kMiddle;
      at = hit + 2;
      continue;
    }
    if (bytes[size - 1] == '\r')
      state_ = State::kCr;
    else if (bytes[size - 1] == '\n' && size - at > 1 && bytes[size - 2] == '\r')
      state_ = State::kLineStart;
    return size;
  }
  return at;
}

}  // namespace mxsim
