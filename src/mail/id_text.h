// Ids as text: 16 lower-case hexadecimal digits, in the API, events, file names and the command
// line. They are text in JSON, because numbers above 2^53 do not survive every reader.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postring::mail {

inline std::string id_text(uint64_t id) {
  std::string text(16, '0');
  for (size_t place = 16; place-- > 0; id >>= 4) text[place] = "0123456789abcdef"[id & 15];
  return text;
}

// Nothing but the form id_text() makes; 0 is no id.
inline std::optional<uint64_t> parse_id(std::string_view text) {
  if (text.size() != 16) return std::nullopt;
  uint64_t id = 0;
  for (char c : text) {
    uint64_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<uint64_t>(c - 'a') + 10;
    } else {
      return std::nullopt;
    }
    id = id << 4 | digit;
  }
  if (id == 0) return std::nullopt;
  return id;
}

}  // namespace postring::mail
