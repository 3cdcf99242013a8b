#include "mail/encode.h"

#include <array>
#include <cstring>

#include "base/canary.h"
#include "mail/address.h"
#include "mail/utf8.h"

namespace postring::mail {
namespace {

constexpr char kHex[] = "0123456789ABCDEF";

enum : uint8_t {
  kQpPlain = 1,      // stands for itself in quoted-printable text: 33..126 but '=', and space, tab
  kUnreserved = 2,   // RFC 3986 section 2.3
  kReserved = 4,     // section 2.2, and '%'
  kHtmlPlain = 8,    // as kQpPlain and means nothing to HTML
  kLocalPlain = 16,  // letters, digits and ._+=-
};

constexpr std::array<uint8_t, 256> make_classes() {
  std::array<uint8_t, 256> classes{};
  for (unsigned c = 32; c < 127; ++c) classes[c] |= kQpPlain | kHtmlPlain;
  classes['\t'] |= kQpPlain | kHtmlPlain;
  classes['='] = 0;
  for (char c : std::string_view("&<>\"'")) {
    classes[static_cast<uint8_t>(c)] &= static_cast<uint8_t>(~kHtmlPlain);
  }
  auto add = [&](std::string_view chars, uint8_t mask) {
    for (char c : chars) classes[static_cast<uint8_t>(c)] |= mask;
  };
  add("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", kUnreserved | kLocalPlain);
  add("-._~", kUnreserved);
  add(":/?#[]@!$&'()*+,;=%", kReserved);
  add("._+=-", kLocalPlain);
  return classes;
}
constexpr std::array<uint8_t, 256> kClasses = make_classes();

bool is(char c, uint8_t mask) {
  return (kClasses[static_cast<uint8_t>(c)] & mask) != 0;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

bool starts_with_folded(std::string_view text, std::string_view prefix) {
  if (text.size() < prefix.size()) return false;
  for (size_t i = 0; i < prefix.size(); ++i) {
    if (lower(text[i]) != prefix[i]) return false;
  }
  return true;
}

bool is_whole_url(std::string_view value) {
  return starts_with_folded(value, "https://") || starts_with_folded(value, "http://") ||
         starts_with_folded(value, "mailto:") || starts_with_folded(value, "tel:");
}

// Quoted-printable to a plain buffer, from the start of a line.
class QpOut {
 public:
  explicit QpOut(char* out) : begin_(out), out_(out), line_(out) {}

  // A character that stands for itself.
  void plain(char c) {
    if (out_ - line_ >= kRoom) soft_break();
    bool planted = canary(Canary::dot_at_piece_edge) && out_ == begin_;
    if (out_ == line_ && (c == '.' || c == '-') && !planted) return escaped(c);
    *out_++ = c;
  }
  void escaped(char c) {
    if (out_ - line_ > kRoom - 3) soft_break();
    auto byte = static_cast<uint8_t>(c);
    *out_++ = '=';
    *out_++ = kHex[byte >> 4];
    *out_++ = kHex[byte & 15];
  }
  void plain_text(std::string_view text) {
    for (char c : text) plain(c);
  }
  void percent(char c) {
    auto byte = static_cast<uint8_t>(c);
    plain('%');
    plain(kHex[byte >> 4]);
    plain(kHex[byte & 15]);
  }
  void hard_break() {
    *out_++ = '\r';
    *out_++ = '\n';
    line_ = out_;
  }
  // The end of the value: what follows starts a line of its own.
  char* finish() {
    if (out_ != line_) soft_break();
    return out_;
  }

 private:
  static constexpr ptrdiff_t kRoom = kQpLineMax - 1;

  void soft_break() {
    *out_++ = '=';
    hard_break();
  }

  char* begin_;  // of the value
  char* out_;
  char* line_;
};

std::string_view html_entity(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

char* put_qp(std::string_view value, uint8_t plain, bool html, char* out) {
  QpOut qp(out);
  for (size_t i = 0; i < value.size(); ++i) {
    char c = value[i];
    if (is(c, plain)) {
      bool before_break = i + 1 < value.size() && (value[i + 1] == '\r' || value[i + 1] == '\n');
      (c == ' ' || c == '\t') && before_break ? qp.escaped(c) : qp.plain(c);
    } else if (c == '\r' || c == '\n') {
      if (c == '\r' && i + 1 < value.size() && value[i + 1] == '\n') ++i;
      qp.hard_break();
    } else if (std::string_view entity = html ? html_entity(c) : std::string_view{};
               !entity.empty()) {
      qp.plain_text(entity);
    } else {
      qp.escaped(c);
    }
  }
  return qp.finish();
}

char* put_qp_url(std::string_view value, bool whole, char* out) {
  QpOut qp(out);
  for (char c : value) {
    if (is(c, kUnreserved)) {
      qp.plain(c);
    } else if (!whole || !is(c, kReserved)) {
      qp.percent(c);
    } else if (c == '=') {
      qp.escaped(c);
    } else if (std::string_view entity = html_entity(c); !entity.empty()) {
      qp.plain_text(entity);
    } else {
      qp.plain(c);
    }
  }
  return qp.finish();
}

char* put_uri(std::string_view value, bool whole, char* out) {
  for (char c : value) {
    if (is(c, kUnreserved) || (whole && is(c, kReserved))) {
      *out++ = c;
    } else {
      auto byte = static_cast<uint8_t>(c);
      *out++ = '%';
      *out++ = kHex[byte >> 4];
      *out++ = kHex[byte & 15];
    }
  }
  return out;
}

// A dot stays where an atom is before and after it, so that the local part remains a dot-string.
char* put_local_part(std::string_view value, char* out) {
  value = value.substr(0, kLocalValueMax);
  if (value.empty()) *out++ = '_';
  for (size_t i = 0; i < value.size(); ++i) {
    char c = value[i];
    bool keeps = is(c, kLocalPlain);
    if (c == '.') keeps = i > 0 && i + 1 < value.size() && value[i - 1] != '.';
    *out++ = keeps ? c : '_';
  }
  return out;
}

char* put_bytes(std::string_view bytes, char* out) {
  if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();
}

char* put_mailbox(std::string_view value, char* out) {
  auto view = scan_address(value);
  bool usable = view && is_ascii(view->domain);
  return put_bytes(usable ? value : std::string_view("_@invalid"), out);
}

}  // namespace

char* put_value(Encoding encoding, std::string_view value, char* out) {
  switch (encoding) {
    case Encoding::plain:
      return put_bytes(value, out);
    case Encoding::qp_text:
      return put_qp(value, kQpPlain, false, out);
    case Encoding::qp_html:
      return put_qp(value, kHtmlPlain, true, out);
    case Encoding::qp_url:
      return put_qp_url(value, false, out);
    case Encoding::qp_url_start:
      return put_qp_url(value, is_whole_url(value), out);
    case Encoding::uri:
      return put_uri(value, false, out);
    case Encoding::uri_start:
      return put_uri(value, is_whole_url(value), out);
    case Encoding::local_part:
      return put_local_part(value, out);
    case Encoding::mailbox:
      return put_mailbox(value, out);
  }
  return out;
}

void QuotedPrintable::put(std::string_view encoded) {
  if (column_ + encoded.size() > kQpLineMax - 1) {
    out_ += "=\r\n";
    column_ = 0;
  }
  out_ += encoded;
  column_ += encoded.size();
}

void QuotedPrintable::text(std::string_view literal) {
  for (size_t i = 0; i < literal.size(); ++i) {
    char c = literal[i];
    bool last = i + 1 == literal.size();
    if (c == '\r' || c == '\n') {
      if (c == '\r' && !last && literal[i + 1] == '\n') ++i;
      escape_blank_at_end();
      out_ += "\r\n";
      column_ = 0;
      continue;
    }
    // Judged as if a soft break came first, since put() may write one.
    bool starts_line = (column_ == 0 || column_ >= kQpLineMax - 1) && (c == '.' || c == '-');
    if (is(c, kQpPlain) && !starts_line) {
      put({&c, 1});
    } else {
      put_escaped(c);
    }
  }
}

void QuotedPrintable::put_escaped(char c) {
  auto byte = static_cast<uint8_t>(c);
  const char escaped[] = {'=', kHex[byte >> 4], kHex[byte & 15]};
  put({escaped, 3});
}

// It would be lost on the way (RFC 2045 section 6.7, rule 3). The line's end may come with a later
// literal than the blank.
void QuotedPrintable::escape_blank_at_end() {
  if (column_ == 0 || (out_.back() != ' ' && out_.back() != '\t')) return;
  char blank = out_.back();
  out_.pop_back();
  --column_;
  put_escaped(blank);
}

void QuotedPrintable::slot() {
  if (column_ == 0) return;
  out_ += "=\r\n";
  column_ = 0;
}

}  // namespace postring::mail
