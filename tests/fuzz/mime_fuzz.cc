// Any bytes as a raw message, and as a compiled content: an error or something safe to render.
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

void check_rendering(const Content& content) {
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
    check_rendering(*content);
  }

  size_t total = 0;
  for (const MultipartPiece& piece : split_multipart(text, "b")) total += piece.text.size();
  REQUIRE(total == text.size());
  parse_content_type(text);
  decode_header_text(text);
  for (std::string_view encoding : {"base64", "quoted-printable"}) decode_body(text, encoding);
  return 0;
}
