// Encoding: text to the bytes that may stand on the wire, for literals (once, at compile time) and
// for values (per message).
//
// The put_ functions write to `out` and return the end; the caller has room for value_bound() or
// header_bound() bytes. They take any bytes and never write CR, LF or NUL where the form does not
// call for a line's end, nor a dot or a dash at the start of a quoted-printable line: a value can
// neither end the message, nor start a MIME part, nor add a header.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "mail/content.h"

namespace postring::mail {

constexpr size_t kQpLineMax = 76;       // RFC 2045 section 6.7, with the soft break's '='
constexpr size_t kHeaderLineMax = 76;   // RFC 2047 section 2
constexpr size_t kUnbrokenMax = 900;    // of a header's run without a space; the hard limit is 998
constexpr size_t kDisplayNameMax = 64;  // longer ones are encoded words, which can be folded
constexpr size_t kLocalValueMax = 64;   // of a value that stands in a local part

// Whose values begin and end at the start of a line; all others stand within one.
constexpr bool is_quoted_printable(Encoding encoding) {
  return encoding == Encoding::qp_text || encoding == Encoding::qp_html ||
         encoding == Encoding::qp_url || encoding == Encoding::qp_url_start;
}

// Room for a value of this size in any encoding but plain: 6 bytes for a quote in HTML, and a soft
// break of 3 after every 73 bytes.
constexpr size_t value_bound(size_t value_bytes) {
  return value_bytes * 7 + 64;
}

// Room for a header's text of this size: 3 bytes for a byte, and 15 for every encoded word, which
// holds 18 bytes or more.
constexpr size_t header_bound(size_t text_bytes) {
  return text_bytes * 4 + 128;
}

// The value in one of the encodings that end where they begin: at the start of a line for the
// quoted-printable ones (an empty value is no line at all), in the line for the others. For
// Encoding::plain the bytes as they are.
char* put_value(Encoding encoding, std::string_view value, char* out);

// Quoted-printable of literals, with fields between them. Line ends of any kind become CRLF.
class QuotedPrintable {
 public:
  // Writes to the end of `out`, which must outlive this and keep the line at hand.
  explicit QuotedPrintable(std::string& out) : out_(out) {}

  void text(std::string_view literal);
  // A value comes here: ends the line with a soft break unless it is empty.
  void slot();
  // True at the start of a line.
  bool at_line_start() const { return column_ == 0; }

 private:
  void put(std::string_view encoded);
  void put_escaped(char c);
  void escape_blank_at_end();

  std::string& out_;
  size_t column_ = 0;
};

// Unstructured header text, RFC 5322 section 2.2.1, starting in this column: as it is where it is
// ASCII, else as encoded words (RFC 2047); folded. Controls become spaces, bytes that are not UTF-8
// question marks; spaces at both ends go.
char* put_header_text(std::string_view text, size_t column, char* out);

// A display name: atoms, a quoted string or encoded words (RFC 5322 section 3.4), and the space
// before the address's '<'. Nothing at all for an empty name.
char* put_display_name(std::string_view text, size_t column, char* out);

// A URI in a List-* header: folded inside where it is too long for a line (RFC 2369 section 2).
char* put_folded_uri(std::string_view uri, char* out);

// The encoded words of a header's value back to UTF-8, for charsets utf-8 and us-ascii; others stay
// as they are. Folding is undone.
std::string decode_header_text(std::string_view text);

// Base64 in lines of 76 with CRLF, each one ended.
std::string base64_lines(std::string_view bytes);

}  // namespace postring::mail
