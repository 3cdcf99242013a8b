// Any bytes as a template and as values: either an error, or a message whose lines are lawful and
// whose values broke nothing.
//
// The input is cut at 0xff bytes: html, subject, unsubscribe, from, return path, then the encoded
// values as they stand (damaged ones must be safe too).
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mail/content.h"
#include "mail/content_source.h"
#include "mail/lines.h"
#include "mail/render.h"
#include "mail/utf8.h"
#include "require.h"

using namespace postring;
using namespace postring::mail;

namespace {

std::string_view take(std::string_view& left) {
  size_t end = left.find('\xff');
  std::string_view part = left.substr(0, end);
  left.remove_prefix(end == std::string_view::npos ? left.size() : end + 1);
  return part;
}

std::string join(const Rendered& rendered) {
  std::string whole;
  for (const iovec& piece : rendered.pieces) {
    whole.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  REQUIRE(whole.size() == rendered.size_bytes);
  return whole;
}

size_t count_header_fields(std::string_view message) {
  std::string_view header = message.substr(0, message.find("\r\n\r\n") + 2);
  size_t count = 0;
  for (size_t at = 0; at < header.size(); at = header.find("\r\n", at) + 2) {
    count += header[at] != ' ' && header[at] != '\t' ? 1 : 0;
  }
  return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view left(reinterpret_cast<const char*>(data), size);
  ContentSource source;
  source.html = take(left);
  source.text = source.html;
  source.subject = take(left);
  source.unsubscribe = take(left);
  source.from = take(left);
  if (source.from.empty()) source.from = "a@b.example";
  source.return_path = take(left);
  auto bytes = compile_content(source);
  if (!bytes) {
    REQUIRE(!bytes.error().message.empty());
    return 0;
  }
  auto content = Content::load(*bytes);
  REQUIRE(content.has_value());

  VerpKey key("secret");
  RenderInput input;
  input.recipient = 0x0003000000001234u;
  input.campaign = 7;
  input.address = "anna@example.org";
  input.accepted_at = WallTime::from_seconds(1'772'357'400);
  input.message_id_domain = "mail.example.com";
  input.verp_key = &key;
  Scratch scratch;
  std::string without = join(render(*content, input, Form::plain, scratch));
  input.values = left;
  std::string whole = join(render(*content, input, Form::plain, scratch));
  REQUIRE(find_bad_line_end(whole) == std::string::npos);
  REQUIRE(find_long_line(whole) == std::string::npos);
  REQUIRE(is_ascii(whole));
  REQUIRE(whole.ends_with("\r\n"));
  REQUIRE(count_header_fields(whole) == count_header_fields(without));
  std::string stuffed;
  append_stuffed(whole, true, stuffed);
  REQUIRE(join(render(*content, input, Form::dot_stuffed, scratch)) == stuffed);
  std::string_view return_path = render_return_path(*content, input, scratch);
  REQUIRE(return_path.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
  return 0;
}
