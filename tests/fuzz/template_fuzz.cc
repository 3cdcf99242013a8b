// Any bytes as a template and as values: either an error, or a message whose lines are lawful,
// whose values broke nothing, and which says what the source says with the values put in
// (merged.h).
//
// The input is cut at 0xff bytes: html, subject, unsubscribe, from, return path, then the encoded
// values as they stand (damaged ones must be safe too); cut at 0xfe, these are values as well, one
// for each field.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mail/content.h"
#include "mail/content_source.h"
#include "mail/encode.h"
#include "mail/lines.h"
#include "mail/render.h"
#include "mail/utf8.h"
#include "mail/values.h"
#include "merged.h"
#include "require.h"

using namespace postring;
using namespace postring::mail;

namespace {

std::string_view take(std::string_view& left, char until = '\xff') {
  size_t end = left.find(until);
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

// No two are alike unless the input says so.
Values values_for(const Content& content, std::string_view pieces) {
  Values values;
  for (const Field& field : content.fields()) {
    bool more = !pieces.empty();
    std::string_view piece = take(pieces, '\xfe');
    values[std::string(field.name)] =
        more ? std::string(piece) : "<" + std::string(field.name) + ">";
  }
  return values;
}

void check_merged(const ContentSource& source, const Content& content, RenderInput input,
                  std::string_view pieces) {
  Values values = values_for(content, pieces);
  ValuesBuilder builder(content);
  builder.begin();
  for (const auto& [name, value] : values) builder.add(name, value);
  std::string encoded;
  if (!builder.finish(encoded)) return;
  input.values = encoded;
  values["address"] = input.address;
  values["recipient_id"] = "0003000000001234";
  std::array<char, kVerpTokenMax> token;
  values["verp"].assign(token.data(),
                        verp_encode(*input.verp_key, {input.campaign, input.recipient}, token));
  Scratch scratch;
  std::string whole = join(render(content, input, Form::plain, scratch));
  REQUIRE(says(part_of(whole, "text/plain"), filled(source.text, values, Place::text)));
  REQUIRE(says(part_of(whole, "text/html"), filled(source.html, values, Place::html)));
  std::string_view header = std::string_view(whole).substr(0, whole.find("\r\n\r\n") + 2);
  for (std::string_view name : {"Subject", "X-Again"}) {
    const std::string& text = name == "Subject" ? source.subject : source.headers[0].value;
    std::string expected = as_header(text_of(filled(text, values, Place::header)));
    REQUIRE(decode_header_text(header_value(header, name).value_or("")) == expected);
  }
  std::string_view path = render_return_path(content, input, scratch);
  std::string_view path_source = source.return_path;
  if (!path_source.contains('@') || path_source.contains('"')) return;
  std::string_view local = trim_blanks(path_source.substr(0, path_source.rfind('@')));
  if (local.starts_with('<')) local.remove_prefix(1);
  REQUIRE(says(path.substr(0, path.rfind('@')), filled(local, values, Place::local_part)));
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
  source.headers = {{"X-Again", "{{x}} " + source.subject}};
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
  check_merged(source, *content, input, left);
  return 0;
}
