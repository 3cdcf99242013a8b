#include "submission/json_line.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <bit>
#include <cstring>

namespace postring::submission {
namespace {

// The first byte from `at` on that ends the simple part of a string: '"', '\\' or a control.
const char* string_stop(const char* at, const char* end) {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  const __m128i control = _mm_set1_epi8(0x1f);
  for (; end - at >= 16; at += 16) {
    __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    __m128i stops = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
    stops = _mm_or_si128(stops, _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes));
    auto mask = static_cast<unsigned>(_mm_movemask_epi8(stops));
    if (mask != 0) return at + std::countr_zero(mask);
  }
#endif
  for (; at < end; ++at) {
    if (*at == '"' || *at == '\\' || static_cast<unsigned char>(*at) < 0x20) return at;
  }
  return end;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

class Cursor {
 public:
  Cursor(std::string_view line, char* unescaped, RecipientBuilder& builder)
      : begin_(line.data()),
        at_(line.data()),
        end_(line.data() + line.size()),
        unescaped_(unescaped),
        builder_(builder) {}

  void read_line() {
    skip_space();
    if (!take('{')) return wrong("'{'");
    if (read_members(&Cursor::read_field)) {
      skip_space();
      if (at_ != end_) wrong("the end of the line");
    }
  }

 private:
  using ReadMember = bool (Cursor::*)(std::string_view name);

  void wrong(std::string_view expected) {
    builder_.fail("",
                  "byte " + std::to_string(at_ - begin_) + ": expected " + std::string(expected));
  }
  bool wrong_false(std::string_view expected) {
    wrong(expected);
    return false;
  }
  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  bool take(char c) {
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }

  // After '{': members to the '}'.
  bool read_members(ReadMember read_member) {
    skip_space();
    if (take('}')) return true;
    while (true) {
      std::string_view name;
      skip_space();
      if (!read_string(name)) return false;
      skip_space();
      if (!take(':')) return wrong_false("':'");
      skip_space();
      if (!(this->*read_member)(name)) return false;
      skip_space();
      if (take(',')) continue;
      if (take('}')) return true;
      return wrong_false("',' or '}'");
    }
  }

  bool read_field(std::string_view name) {
    auto field = recipient_field(name);
    if (!field) {
      builder_.fail(name, "is not a field of a recipient");
      return false;
    }
    std::string_view text;
    if (at_ != end_ && *at_ == 'n') return read_word("null");
    if (*field == RecipientField::data) {
      builder_.set(*field, {});
      if (!take('{')) return wrong_false("an object");
      return read_members(&Cursor::read_value) && !builder_.failed();
    }
    if (at_ == end_ || *at_ != '"') {
      builder_.fail(name, "must be text");
      return false;
    }
    if (!read_string(text)) return false;
    builder_.set(*field, text);
    return !builder_.failed();
  }

  bool read_value(std::string_view name) {
    const char* start = at_;
    std::string_view text;
    if (at_ == end_) return wrong_false("a value");
    switch (*at_) {
      case '"':
        if (!read_string(text)) return false;
        break;
      case 'n':
        return read_word("null");  // as if it were not there
      case 't':
        if (!read_word("true")) return false;
        text = "true";
        break;
      case 'f':
        if (!read_word("false")) return false;
        text = "false";
        break;
      case '{':
      case '[':
        builder_.fail("data." + std::string(name), "must be text, a number, true, false or null");
        return false;
      default:
        if (!read_number()) return false;
        text = {start, static_cast<size_t>(at_ - start)};
    }
    builder_.add_data(name, text);
    return true;
  }

  bool read_word(std::string_view word) {
    if (!std::string_view(at_, static_cast<size_t>(end_ - at_)).starts_with(word)) {
      return wrong_false("a value");
    }
    at_ += word.size();
    return true;
  }

  bool read_digits() {
    if (at_ == end_ || !is_digit(*at_)) return wrong_false("a digit");
    while (at_ != end_ && is_digit(*at_)) ++at_;
    return true;
  }

  bool read_number() {
    if (*at_ != '-' && !is_digit(*at_)) return wrong_false("a value");
    take('-');
    if (take('0')) {
      if (at_ != end_ && is_digit(*at_)) return wrong_false("no digit after a leading 0");
    } else if (!read_digits()) {
      return false;
    }
    if (take('.') && !read_digits()) return false;
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      if (!read_digits()) return false;
    }
    return true;
  }

  bool read_string(std::string_view& text) {
    if (!take('"')) return wrong_false("'\"'");
    const char* start = at_;
    at_ = string_stop(at_, end_);
    if (at_ != end_ && *at_ == '"') {
      text = {start, static_cast<size_t>(at_ - start)};
      ++at_;
      return true;
    }
    char* out = unescaped_;
    while (true) {
      auto size = static_cast<size_t>(at_ - start);
      std::memcpy(out, start, size);
      out += size;
      if (at_ == end_) return wrong_false("'\"'");
      if (*at_ == '"') break;
      if (*at_ != '\\') return wrong_false("no control character in a string");
      ++at_;
      if (!read_escape(out)) return false;
      start = at_;
      at_ = string_stop(at_, end_);
    }
    ++at_;
    text = {unescaped_, static_cast<size_t>(out - unescaped_)};
    unescaped_ = out;
    return true;
  }

  bool read_escape(char*& out) {
    if (at_ == end_) return wrong_false("an escape");
    char c = *at_;
    switch (c) {
      case '"':
      case '\\':
      case '/':
        *out++ = c;
        break;
      case 'b':
        *out++ = '\b';
        break;
      case 'f':
        *out++ = '\f';
        break;
      case 'n':
        *out++ = '\n';
        break;
      case 'r':
        *out++ = '\r';
        break;
      case 't':
        *out++ = '\t';
        break;
      case 'u':
        ++at_;
        return read_unicode(out);
      default:
        return wrong_false("an escape");
    }
    ++at_;
    return true;
  }

  bool read_hex(uint32_t& code) {
    code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_ == end_) return wrong_false("four hexadecimal digits");
      char c = *at_;
      uint32_t digit = 0;
      if (is_digit(c)) {
        digit = static_cast<uint32_t>(c - '0');
      } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
        digit = static_cast<uint32_t>((c | 0x20) - 'a') + 10;
      } else {
        return wrong_false("four hexadecimal digits");
      }
      code = code << 4 | digit;
    }
    return true;
  }

  // Six bytes of source make at most three of text, so the place for a line's text is enough.
  bool read_unicode(char*& out) {
    uint32_t code = 0;
    if (!read_hex(code)) return false;
    if (code >= 0xdc00 && code <= 0xdfff) return wrong_false("no low surrogate alone");
    if (code >= 0xd800 && code <= 0xdbff) {
      uint32_t low = 0;
      if (!take('\\') || !take('u')) return wrong_false("the low surrogate's escape");
      if (!read_hex(low)) return false;
      if (low < 0xdc00 || low > 0xdfff) return wrong_false("a low surrogate");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    auto put = [&](uint32_t byte) { *out++ = static_cast<char>(byte); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xc0 | code >> 6);
      put(0x80 | (code & 63));
    } else if (code < 0x10000) {
      put(0xe0 | code >> 12);
      put(0x80 | (code >> 6 & 63));
      put(0x80 | (code & 63));
    } else {
      put(0xf0 | code >> 18);
      put(0x80 | (code >> 12 & 63));
      put(0x80 | (code >> 6 & 63));
      put(0x80 | (code & 63));
    }
    return true;
  }

  const char* begin_;
  const char* at_;
  const char* end_;
  char* unescaped_;
  RecipientBuilder& builder_;
};

}  // namespace

void JsonLineReader::read(std::string_view line, RecipientBuilder& builder) {
  if (unescaped_.size() < line.size()) unescaped_.resize(line.size());
  Cursor(line, unescaped_.data(), builder).read_line();
}

}  // namespace postring::submission
