// Header values: what put_header_text, put_display_name and their reverse do (mail/encode.h).
#include <array>
#include <cstring>

#include "base/base64.h"
#include "mail/encode.h"
#include "mail/utf8.h"

namespace postring::mail {
namespace {

constexpr char kHex[] = "0123456789ABCDEF";
constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kWordStartQ = "=?utf-8?q?";
constexpr std::string_view kWordStartB = "=?utf-8?b?";
constexpr std::string_view kWordEnd = "?=";
constexpr size_t kWordFrame = 12;     // of kWordStart and kWordEnd
constexpr size_t kWordPayload = 63;   // an encoded word is 75 at most, RFC 2047 section 2
constexpr size_t kPayloadLeast = 24;  // twice the longest character

bool is_letter_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// What may stand for itself in an encoded word even inside a phrase (RFC 2047 section 5, rule 3).
bool is_q_plain(char c) {
  return is_letter_digit(c) || c == '!' || c == '*' || c == '+' || c == '-' || c == '/';
}

bool is_printable(char c) {
  return c >= 32 && c < 127;
}

std::string_view trim(std::string_view text) {
  auto is_blank = [](char c) { return static_cast<uint8_t>(c) <= ' ' || c == 127; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Printable ASCII that nobody could take for an encoded word.
bool is_plain(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (!is_printable(text[i])) return false;
    if (text[i] == '?' && i > 0 && text[i - 1] == '=') return false;
  }
  return true;
}

char* put(std::string_view bytes, char* out) {
  if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();
}

// One character of the text as it is to be encoded: controls as spaces, a bad byte as '?'.
struct Character {
  std::string_view bytes;
  size_t taken;
};
Character next_character(std::string_view text, size_t at) {
  char c = text[at];
  if (is_printable(c)) return {text.substr(at, 1), 1};
  if (static_cast<uint8_t>(c) < 0x80) return {" ", 1};
  size_t size = utf8_character(text, at);
  return size == 0 ? Character{"?", 1} : Character{text.substr(at, size), size};
}

size_t q_size(std::string_view bytes) {
  size_t size = 0;
  for (char c : bytes) size += is_q_plain(c) || c == ' ' ? 1 : 3;
  return size;
}

char* put_q(std::string_view bytes, char* out) {
  for (char c : bytes) {
    auto byte = static_cast<uint8_t>(c);
    if (is_q_plain(c)) {
      *out++ = c;
    } else if (c == ' ') {
      *out++ = '_';
    } else {
      *out++ = '=';
      *out++ = kHex[byte >> 4];
      *out++ = kHex[byte & 15];
    }
  }
  return out;
}

char* put_b(std::string_view bytes, char* out) {
  for (size_t i = 0; i < bytes.size(); i += 3) {
    size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) {
      group = group << 8 | (k < count ? static_cast<uint8_t>(bytes[i + k]) : 0u);
    }
    for (size_t k = 0; k < 4; ++k) *out++ = k <= count ? kBase64[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

size_t payload_of(size_t column) {
  size_t room = column + kWordFrame < kHeaderLineMax ? kHeaderLineMax - column - kWordFrame : 0;
  return std::max(kPayloadLeast, std::min(kWordPayload, room));
}

// The characters from `at` on that one encoded word of this payload holds, written to `chunk`; `at`
// moves behind them. Base64 is cut after whole groups where that costs less than half of the word:
// some readers decode neighbouring words as one, and padding between them stops those.
std::string_view take_chunk(std::string_view text, size_t& at, bool base64, size_t room,
                            char* chunk) {
  size_t used = 0;
  size_t cost = 0;
  size_t whole = 0;
  size_t whole_at = at;
  while (at < text.size()) {
    Character c = next_character(text, at);
    size_t new_cost = base64 ? (used + c.bytes.size() + 2) / 3 * 4 : cost + q_size(c.bytes);
    if (new_cost > room) break;
    cost = new_cost;
    put(c.bytes, chunk + used);
    used += c.bytes.size();
    at += c.taken;
    if (used % 3 == 0) {
      whole = used;
      whole_at = at;
    }
  }
  if (base64 && at < text.size() && whole * 2 >= used) {
    used = whole;
    at = whole_at;
  }
  return {chunk, used};
}

// The whole text as encoded words, one a line; no character is split (RFC 2047 section 5).
char* put_words(std::string_view text, size_t column, char* out) {
  size_t as_q = 0;
  for (size_t at = 0; at < text.size();) {
    Character c = next_character(text, at);
    as_q += q_size(c.bytes);
    at += c.taken;
  }
  // Q while it is not much longer: names stay readable in it.
  bool base64 = as_q * 2 > (text.size() + 2) / 3 * 4 * 3;
  size_t room = payload_of(column);
  char chunk[kWordPayload];
  for (size_t at = 0; at < text.size();) {
    std::string_view bytes = take_chunk(text, at, base64, room, chunk);
    out = put(base64 ? kWordStartB : kWordStartQ, out);
    out = base64 ? put_b(bytes, out) : put_q(bytes, out);
    out = put(kWordEnd, out);
    if (at < text.size()) out = put("\r\n ", out);
    room = payload_of(1);
  }
  return out;
}

// Where plain text may be broken: before a single space between two words.
bool breaks_at(std::string_view text, size_t i) {
  return text[i] == ' ' && i > 0 && text[i - 1] != ' ' && i + 1 < text.size() && text[i + 1] != ' ';
}

bool has_long_run(std::string_view text) {
  size_t run = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    run = breaks_at(text, i) ? 0 : run + 1;
    if (run > kUnbrokenMax) return true;
  }
  return false;
}

char* put_folded(std::string_view text, size_t column, char* out) {
  size_t line = 0;       // start of what is not written yet
  size_t candidate = 0;  // the last place to break at
  size_t base = column;  // column of `line`
  for (size_t i = 0; i <= text.size(); ++i) {
    bool end = i == text.size();
    if (!end && !breaks_at(text, i)) continue;
    if (base + (i - line) > kHeaderLineMax && candidate > line) {
      out = put(text.substr(line, candidate - line), out);
      out = put("\r\n", out);
      line = candidate;
      base = 0;
    }
    candidate = i;
  }
  return put(text.substr(line), out);
}

bool is_phrase(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    bool atom = is_letter_digit(c) || std::string_view("!#$%&'*+-/=?^_`{|}~").contains(c);
    if (!atom && !(c == ' ' && text[i + 1] != ' ')) return false;
  }
  return true;
}

// An encoded word at the start of `text`: its value appended and its length; 0 where it is none.
size_t decode_word(std::string_view text, std::string& out) {
  if (!text.starts_with("=?")) return 0;
  size_t charset_end = text.find('?', 2);
  if (charset_end == std::string_view::npos || charset_end + 2 >= text.size()) return 0;
  std::string charset;
  for (char c : text.substr(2, charset_end - 2)) {
    charset += c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  }
  charset = charset.substr(0, charset.find('*'));
  if (charset != "utf-8" && charset != "us-ascii") return 0;
  char kind = static_cast<char>(text[charset_end + 1] | 0x20);
  if (text[charset_end + 2] != '?' || (kind != 'q' && kind != 'b')) return 0;
  size_t start = charset_end + 3;
  size_t end = text.find("?=", start);
  if (end == std::string_view::npos) return 0;
  std::string_view payload = text.substr(start, end - start);
  if (payload.find_first_of(" \t\r\n?") != std::string_view::npos) return 0;
  if (kind == 'b') {
    auto bytes = base64_decode(payload);
    if (!bytes) return 0;
    out += *bytes;
    return end + 2;
  }
  std::string decoded;
  for (size_t i = 0; i < payload.size(); ++i) {
    if (payload[i] == '_') {
      decoded += ' ';
    } else if (payload[i] != '=') {
      decoded += payload[i];
    } else {
      auto value = [&](size_t k) {
        char c = k < payload.size() ? payload[k] : 'x';
        if (c >= '0' && c <= '9') return c - '0';
        char folded = static_cast<char>(c | 0x20);
        return folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
      };
      int high = value(i + 1);
      int low = value(i + 2);
      if (high < 0 || low < 0) return 0;
      decoded += static_cast<char>(high << 4 | low);
      i += 2;
    }
  }
  out += decoded;
  return end + 2;
}

}  // namespace

char* put_header_text(std::string_view text, size_t column, char* out) {
  text = trim(text);
  if (!is_plain(text)) return put_words(text, column, out);
  if (column + text.size() <= kHeaderLineMax) return put(text, out);
  return has_long_run(text) ? put_words(text, column, out) : put_folded(text, column, out);
}

char* put_display_name(std::string_view text, size_t column, char* out) {
  text = trim(text);
  if (text.empty()) return out;
  char* start = out;
  bool one_line = true;
  if (!is_plain(text) || text.size() > kDisplayNameMax) {
    out = put_words(text, column, out);
    one_line = false;
  } else if (is_phrase(text)) {
    out = put(text, out);
  } else {
    *out++ = '"';
    for (char c : text) {
      if (c == '"' || c == '\\') *out++ = '\\';
      *out++ = c;
    }
    *out++ = '"';
  }
  // An address of usual length still fits the line after a short name.
  bool fits = one_line && column + static_cast<size_t>(out - start) <= kHeaderLineMax / 2;
  return put(fits ? " " : "\r\n ", out);
}

char* put_folded_uri(std::string_view uri, char* out) {
  while (uri.size() > kUnbrokenMax) {
    out = put(uri.substr(0, kUnbrokenMax), out);
    out = put("\r\n ", out);
    uri.remove_prefix(kUnbrokenMax);
  }
  return put(uri, out);
}

std::string decode_header_text(std::string_view text) {
  std::string unfolded;
  for (char c : text) {
    if (c != '\r' && c != '\n') unfolded += c;
  }
  std::string out;
  std::string_view left = unfolded;
  bool after_word = false;
  size_t word_end = 0;
  while (!left.empty()) {
    std::string word;
    bool at_start = out.empty() || out.back() == ' ' || out.back() == '\t' || after_word;
    size_t size = at_start ? decode_word(left, word) : 0;
    if (size == 0) {
      if (left[0] != ' ' && left[0] != '\t') after_word = false;
      out += left[0];
      left.remove_prefix(1);
      continue;
    }
    // White space between two encoded words is no part of the text.
    if (after_word) out.resize(word_end);
    out += word;
    word_end = out.size();
    after_word = true;
    left.remove_prefix(size);
  }
  return out;
}

std::string base64_lines(std::string_view bytes) {
  constexpr size_t kBytesPerLine = 57;
  std::string out;
  out.reserve((bytes.size() / kBytesPerLine + 1) * 78);
  for (size_t at = 0; at < bytes.size(); at += kBytesPerLine) {
    char line[78];
    char* end = put_b(bytes.substr(at, kBytesPerLine), line);
    out.append(line, static_cast<size_t>(end - line));
    out += "\r\n";
  }
  return out;
}

}  // namespace postring::mail
