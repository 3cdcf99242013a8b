#include "mail/lines.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace postring::mail {
namespace {

// The offset of the next dot that starts a line, from `from` on; npos where there is none.
size_t next_leading_dot(std::string_view text, size_t from) {
  size_t at = text.find("\n.", from);
  return at == std::string_view::npos ? at : at + 1;
}

// The offset of the next CR, LF or (where asked for) NUL. One comparison passes most bytes by.
size_t next_control(std::string_view text, size_t at, bool nul) {
  for (; at < text.size(); ++at) {
    char c = text[at];
    if (static_cast<uint8_t>(c) > '\r') continue;
    if (c == '\r' || c == '\n' || (nul && c == '\0')) return at;
  }
  return std::string_view::npos;
}

}  // namespace

std::string normalise_lines(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 32 + 2);
  size_t at = 0;
  while (at < text.size()) {
    size_t end = next_control(text, at, false);
    out += text.substr(at, end - at);
    out += "\r\n";
    if (end == std::string_view::npos) break;
    at = end + (text.substr(end, 2) == "\r\n" ? 2 : 1);
  }
  return out;
}

size_t find_bad_line_end(std::string_view text) {
  size_t at = 0;
  while ((at = next_control(text, at, true)) != std::string_view::npos) {
    if (text.substr(at, 2) != "\r\n") return at;
    at += 2;
  }
  return std::string_view::npos;
}

size_t find_long_line(std::string_view text) {
  size_t line = 0;
  while (line < text.size()) {
    size_t end = text.find("\r\n", line);
    size_t size = std::min(end, text.size()) - line;
    if (size > kLineMax) return line;
    if (end == std::string_view::npos) break;
    line = end + 2;
  }
  return std::string_view::npos;
}

void append_stuffed(std::string_view plain, bool at_line_start, std::string& out) {
  size_t from = 0;
  if (at_line_start && plain.starts_with('.')) out += '.';
  for (size_t dot; (dot = next_leading_dot(plain, from)) != std::string_view::npos; from = dot) {
    out += plain.substr(from, dot - from);
    out += '.';
  }
  out += plain.substr(from);
}

bool has_leading_dot(std::string_view plain, bool at_line_start) {
  return (at_line_start && plain.starts_with('.')) ||
         next_leading_dot(plain, 0) != std::string_view::npos;
}

bool is_stuffed(std::string_view plain, bool at_line_start, std::string_view stuffed) {
  if (plain.size() == stuffed.size()) {
    return !has_leading_dot(plain, at_line_start) &&
           (plain.empty() || std::memcmp(plain.data(), stuffed.data(), plain.size()) == 0);
  }
  std::string made;
  append_stuffed(plain, at_line_start, made);
  return made == stuffed;
}

}  // namespace postring::mail
