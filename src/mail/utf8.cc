#include "mail/utf8.h"

namespace postring::mail {

size_t utf8_character(std::string_view bytes, size_t at) {
  if (at >= bytes.size()) return 0;
  auto byte = [&](size_t k) {
    return at + k < bytes.size() ? static_cast<uint8_t>(bytes[at + k]) : uint8_t{0};
  };
  auto follows = [&](size_t k) { return (byte(k) & 0xc0) == 0x80; };
  uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xc2) return 0;
  if (first < 0xe0) return follows(1) ? 2 : 0;
  if (first < 0xf0) {
    bool overlong = first == 0xe0 && byte(1) < 0xa0;
    bool surrogate = first == 0xed && byte(1) >= 0xa0;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  bool overlong = first == 0xf0 && byte(1) < 0x90;
  bool beyond = first > 0xf4 || (first == 0xf4 && byte(1) >= 0x90);
  return follows(1) && follows(2) && follows(3) && !overlong && !beyond ? 4 : 0;
}

size_t find_bad_utf8(std::string_view bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    if (at + 8 <= bytes.size()) {
      uint64_t word;
      std::memcpy(&word, bytes.data() + at, 8);
      if ((word & 0x8080808080808080u) == 0) {
        at += 8;
        continue;
      }
    }
    size_t size = utf8_character(bytes, at);
    if (size == 0) return at;
    at += size;
  }
  return std::string_view::npos;
}

}  // namespace postring::mail
