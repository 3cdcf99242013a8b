// Content: what compiles renders to lines that may leave this machine, and says what its source
// says with the value put in (merged.h); the pieces for DATA are the pieces for BDAT with dots
// doubled; every attempt gives the same bytes; a damaged content never loads as good.

#include <string>

#include "mail/content.h"
#include "mail/content_source.h"
#include "mail/encode.h"
#include "mail/lines.h"
#include "mail/render.h"
#include "mail/values.h"
#include "merged.h"
#include "require.h"

namespace {

using namespace postring;
using namespace postring::mail;

// Takes the next part of the input, up to a 0x01.
std::string take(std::string_view& rest) {
  size_t end = std::min(rest.find('\x01'), rest.size());
  std::string part(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

std::string joined(const Rendered& rendered) {
  std::string all;
  for (const iovec& piece : rendered.pieces)
    all.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  REQUIRE(all.size() == rendered.size_bytes);
  return all;
}

std::string check_rendering(const Content& content, std::string_view values) {
  static const VerpKey key(1, 2);
  RenderInput input;
  input.recipient = 0x0001'0000'0000'0007;
  input.campaign = 3;
  input.address = "someone@d1.example";
  input.accepted_at = WallTime::from_seconds(1'700'000'000);
  input.values = values;
  input.message_id_domain = "mail.sender.example";
  input.verp_key = &key;
  Scratch scratch, another;
  std::string plain = joined(render(content, input, Form::plain, scratch));
  std::string stuffed = joined(render(content, input, Form::dot_stuffed, scratch));
  REQUIRE(joined(render(content, input, Form::plain, another)) == plain);
  REQUIRE(plain.ends_with("\r\n"));
  REQUIRE(find_bad_line_end(plain) == std::string::npos);
  REQUIRE(find_long_line(plain) == std::string::npos);
  std::string expected;
  append_stuffed(plain, true, expected);
  REQUIRE(stuffed == expected);
  std::string_view sender = render_return_path(content, input, scratch);
  REQUIRE(sender.find_first_of(std::string_view("\r\n\0<>", 5)) == std::string_view::npos ||
          sender.find('"') != std::string_view::npos);
  return plain;
}

void check_merged(const ContentSource& source, const Values& values, std::string_view whole) {
  if (!source.text.empty()) {
    REQUIRE(says(part_of(whole, "text/plain"), filled(source.text, values, Place::text)));
  }
  if (!source.html.empty()) {
    REQUIRE(says(part_of(whole, "text/html"), filled(source.html, values, Place::html)));
  }
  std::string_view header = whole.substr(0, whole.find("\r\n\r\n") + 2);
  std::string subject = as_header(text_of(filled(source.subject, values, Place::header)));
  REQUIRE(decode_header_text(header_value(header, "Subject").value_or("")) == subject);
}

Values own_values() {
  Values values = {{"address", "someone@d1.example"}, {"recipient_id", "0001000000000007"}};
  std::array<char, kVerpTokenMax> token;
  size_t size = verp_encode(VerpKey(1, 2), {3, 0x0001'0000'0000'0007}, token);
  values["verp"].assign(token.data(), size);
  return values;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest = as_text(data, size);
  if (auto loaded = Content::load(rest)) check_rendering(*loaded, "");
  ContentSource source;
  std::string kind = take(rest);
  if (kind == "raw") {
    source.raw = take(rest);
    source.merge = !source.raw.starts_with("M");
  } else {
    source.from = "A <a@sender.example>";
    source.subject = take(rest);
    source.text = take(rest);
    source.html = take(rest);
    source.unsubscribe = take(rest);
    source.return_path = take(rest);
  }
  auto compiled = compile_content(source);
  if (!compiled) {
    REQUIRE(!compiled.error().message.empty());
    return 0;
  }
  auto content = Content::load(*compiled);
  REQUIRE(content);
  ValuesBuilder builder(*content);
  builder.begin();
  std::string name = take(rest), value(rest);
  if (!name.empty()) builder.add(name, value);
  std::string values;
  bool good = builder.finish(values).has_value();
  if (!good) values.clear();
  std::string whole = check_rendering(*content, values);
  if (!source.raw.empty()) {
    // Without fields it leaves as it came.
    REQUIRE(!content->same_for_all() || whole.ends_with(normalise_lines(source.raw)));
    return 0;
  }
  Values said = own_values();
  if (good) said.emplace(name, value);
  check_merged(source, said, whole);
  return 0;
}
