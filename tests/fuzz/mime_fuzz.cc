// Any bytes as a raw message, and as a compiled content: an error or something safe to render; a
// raw message that is not merged leaves as it came. What is encoded decodes to what it was: bodies,
// headers' text, the parameters of a Content-Type; a multipart body is its pieces in a row.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mail/content.h"
#include "mail/content_source.h"
#include "mail/encode.h"
#include "mail/lines.h"
#include "mail/mime.h"
#include "mail/render.h"
#include "mail/utf8.h"
#include "merged.h"
#include "require.h"

using namespace postring;
using namespace postring::mail;

namespace {

std::string join(const Rendered& rendered) {
  std::string whole;
  for (const iovec& piece : rendered.pieces) {
    whole.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  REQUIRE(whole.size() == rendered.size_bytes);
  return whole;
}

std::string check_rendering(const Content& content) {
  VerpKey key("secret");
  RenderInput input;
  input.address = "anna@example.org";
  input.message_id_domain = "mail.example.com";
  input.verp_key = &key;
  Scratch scratch;
  std::string whole = join(render(content, input, Form::plain, scratch));
  REQUIRE(find_bad_line_end(whole) == std::string::npos);
  std::string stuffed;
  append_stuffed(whole, true, stuffed);
  REQUIRE(join(render(content, input, Form::dot_stuffed, scratch)) == stuffed);
  return whole;
}

void encode_and_decode(std::string_view text) {
  REQUIRE(decode_body(base64_lines(text), "base64") == text);
  // The last line is ended: a blank at its end is kept by that of the next.
  std::string quoted;
  QuotedPrintable(quoted).text(std::string(text) + "\n");
  REQUIRE(find_long_line(quoted) == std::string::npos && is_ascii(quoted));
  REQUIRE(decode_body(quoted, "quoted-printable") == with_crlf(std::string(text) + "\n"));
  REQUIRE(without_quoted_printable(quoted) == with_crlf(std::string(text) + "\n"));
  if (!is_utf8(text)) return;
  std::string header(header_bound(text.size()), '\0');
  header.resize(static_cast<size_t>(put_header_text(text, 9, header.data()) - header.data()));
  REQUIRE(header.size() <= header_bound(text.size()));
  REQUIRE(decode_header_text(header) == as_header(text));
}

// A Content-Type of the input's own words.
void write_and_parse_type(std::string_view text) {
  std::string token, value, quoted;
  for (char c : text.substr(0, 200)) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) token += c;
    if (c < ' ' || c == 127) continue;
    value += c;
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  if (token.empty()) token = "x";
  ContentType type = parse_content_type("Text/" + token + "; CharSet=" + token + " ;\r\n n" +
                                        token + " = \"" + quoted + "\"; last=1");
  REQUIRE(type.type == "text/" + token);
  REQUIRE(type.parameters.size() == 3);
  REQUIRE(type.parameter("charset") == token && type.parameter("last") == "1");
  REQUIRE(type.parameter("n" + token) == value);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto content = Content::load(text)) check_rendering(*content);

  ContentSource source;
  source.raw = text;
  if (auto bytes = compile_content(source)) {
    auto content = Content::load(*bytes);
    REQUIRE(content.has_value());
    check_rendering(*content);
  }
  source.merge = false;
  if (auto bytes = compile_content(source)) {
    auto content = Content::load(*bytes);
    REQUIRE(content.has_value());
    REQUIRE(check_rendering(*content).ends_with(normalise_lines(text)));
  }

  std::string pieces;
  for (const MultipartPiece& piece : split_multipart(text, "b")) pieces += piece.text;
  REQUIRE(pieces == text);
  encode_and_decode(text);
  write_and_parse_type(text);
  parse_content_type(text);
  decode_header_text(text);
  for (std::string_view encoding : {"base64", "quoted-printable"}) decode_body(text, encoding);
  return 0;
}
