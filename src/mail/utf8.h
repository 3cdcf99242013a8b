// UTF-8 (RFC 3629): well-formedness and the borders of characters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace postring::mail {

// True if no byte has its high bit set.
inline bool is_ascii(std::string_view bytes) {
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    if ((word & 0x8080808080808080u) != 0) return false;
  }
  for (; i < bytes.size(); ++i) {
    if (static_cast<uint8_t>(bytes[i]) >= 0x80) return false;
  }
  return true;
}

// The length of the well-formed character at `at` (1 to 4 bytes), 0 where there is none: overlong
// forms, surrogates and what lies above U+10FFFF are none.
size_t utf8_character(std::string_view bytes, size_t at);

// The offset of the first byte that belongs to no character; npos where all is well-formed.
size_t find_bad_utf8(std::string_view bytes);

inline bool is_utf8(std::string_view bytes) {
  return find_bad_utf8(bytes) == std::string_view::npos;
}

}  // namespace postring::mail
