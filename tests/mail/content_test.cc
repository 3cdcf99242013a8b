#include "mail/content.h"

#include <gtest/gtest.h>

#include "gmime_reader.h"
#include "mail/encode.h"
#include "rendered.h"

namespace postring::mail {
namespace {

ContentSource simple() {
  ContentSource source;
  source.subject = "S";
  source.from = "a@b.example";
  source.text = "x\n";
  return source;
}

TEST(content, errors_name_the_part_and_the_byte) {
  auto with = [](auto change) {
    ContentSource source = simple();
    change(source);
    return error_of(source);
  };
  EXPECT_EQ(with([](auto& s) { s.subject = "Hi {{name"; }),
            "subject, byte 3: '{{' without a '}}' after it");
  EXPECT_TRUE(with([](auto& s) {
                s.text = "ab{{1x}}";
              }).starts_with("text, byte 2: '{{1x}}' names no field: expected a letter"));
  EXPECT_EQ(with([](auto& s) { s.subject = "a\r\nBcc: x@y"; }),
            "subject, byte 1: a header cannot hold CR, LF or NUL");
  EXPECT_EQ(with([](auto& s) { s.text = std::string("a\0b", 3); }), "text, byte 1: a NUL byte");
  EXPECT_EQ(with([](auto& s) { s.text = "a\xff"; }), "text, byte 1: not UTF-8");
  EXPECT_EQ(with([](auto& s) { s.from = ""; }), "from: is required");
  EXPECT_EQ(with([](auto& s) { s.text = ""; }), "text or html: one is required");
  EXPECT_EQ(with([](auto& s) { s.from = "A <no address>"; }),
            "from, byte 3: 'no address' is no address (byte 2: not allowed before the '@' here)");
  for (const char* unfinished : {"\"\\", "a@b.example, \"N\\", "\"N\\\" <a@b.example>\\"}) {
    EXPECT_NE(with([&](auto& s) { s.from = unfinished; }), "") << unfinished;
  }
  EXPECT_EQ(with([](auto& s) { s.from = "A <x@{{d}}.example>"; }),
            "from, byte 5: in an address a field can stand in an unquoted local part only");
  EXPECT_EQ(with([](auto& s) { s.from = "A <j\xc3\xb6@b.example>"; }),
            "from, byte 3: 'j\xc3\xb6@b.example': a sender's local part must be ASCII");
  EXPECT_EQ(with([](auto& s) { s.html = "<a href={{x}}>"; }),
            "html, byte 8: a field in an attribute's value needs quotes around the value");
  EXPECT_EQ(with([](auto& s) { s.html = "<script>{{x}}</script>"; }),
            "html, byte 8: no field can stand in <script> or <style>");
  EXPECT_EQ(with([](auto& s) { s.html = "<{{x}}>"; }),
            "html, byte 1: no field can stand right after '<'; write &lt; for the character");
  EXPECT_EQ(with([](auto& s) { s.html = "<p {{x}}=1>"; }),
            "html, byte 3: no field can stand in a tag's or attribute's name");
  EXPECT_EQ(with([](auto& s) {
              s.headers = {{"Date", "x"}};
            }),
            "headers[0], Date: this header is not yours to set");
  EXPECT_EQ(with([](auto& s) {
              s.headers = {{"X Y", "x"}};
            }),
            "headers[0], X Y: a bad header name");
  EXPECT_EQ(with([](auto& s) { s.unsubscribe = "http://x.example"; }),
            "unsubscribe, byte 0: expected a URI that starts with https:// or mailto:");
  EXPECT_EQ(with([](auto& s) { s.unsubscribe = "https://a https://b"; }),
            "unsubscribe, byte 10: one https and one mailto URI at most");
  EXPECT_EQ(with([](auto& s) { s.unsubscribe = "https://\xc3\xbc"; }),
            "unsubscribe, byte 8: a byte no URI holds; percent-encode it");
  EXPECT_EQ(with([](auto& s) { s.text = "{{unsubscribe_url}}"; }),
            "text, byte 0: {{unsubscribe_url}} needs an https URI in 'unsubscribe'");
  EXPECT_EQ(with([](auto& s) {
              s.defaults = {{"x", "y"}};
            }),
            "defaults, 'x': no such field in the content");
  EXPECT_EQ(with([](auto& s) { s.return_path = "x"; }),
            "return_path, byte 0: 'x' is no address (byte 1: no '@' and domain)");
  EXPECT_EQ(with([](auto& s) { s.raw = "From: a@b\r\n\r\nx"; }),
            "raw: a whole message stands alone, without subject, from, text or html");
  EXPECT_EQ(with([](auto& s) {
              s.attachments = {{"a\nb", "", "x", ""}};
            }),
            "attachments[0]: a control character in the filename");
  EXPECT_EQ(with([](auto& s) {
              s.attachments = {{"a", "text", "x", ""}};
            }),
            "attachments[0]: 'text' is no type/subtype");
}

TEST(content, limits_are_held) {
  ContentSource source = simple();
  for (size_t i = 0; i <= kFieldsMax; ++i) source.text += "{{f" + std::to_string(i) + "}}";
  EXPECT_TRUE(error_of(source).ends_with("more than 256 different fields"));
  source = simple();
  for (size_t i = 0; i <= kSlotsMax; ++i) source.text += "{{f}}";
  EXPECT_TRUE(error_of(source).ends_with("more than 4096 fields in all"));
  source = simple();
  source.headers.resize(kHeadersMax + 1, {"X-A", "b"});
  EXPECT_EQ(error_of(source), "headers: more than 64");
  source = simple();
  source.subject = std::string(kHeaderTemplateMax + 1, 's');
  EXPECT_EQ(error_of(source), "subject, byte 4096: longer than 4096");
}

TEST(content, conditional_comments_are_html) {
  ContentSource source = simple();
  source.html =
      "<!--[if mso]><a href=\"{{u}}\">{{u}}</a><![endif]--><!-- {{u}} -->"
      "<!--[if !mso]><!--><img src='{{u}}'/><!--<![endif]--><style>p{color:red}</style>{{u}}";
  Compiled c = compile(source);
  std::vector<Encoding> encodings;
  for (const Step& step : c.content.body()) {
    if (step.kind == StepKind::value) encodings.push_back(step.encoding);
  }
  EXPECT_EQ(encodings, (std::vector{Encoding::qp_url_start, Encoding::qp_html, Encoding::qp_html,
                                    Encoding::qp_url_start, Encoding::qp_html}));
}

TEST(content, structure_follows_what_there_is) {
  auto types = [](bool text, bool html, bool inlined, bool attached) {
    ContentSource source = simple();
    source.text = text ? "t" : "";
    source.html = html ? "<img src=\"cid:i@x\">" : "";
    if (inlined) source.attachments.push_back({"i.png", "image/png", "png", "i@x"});
    if (attached) source.attachments.push_back({"a.pdf", "application/pdf", "pdf", ""});
    std::string all;
    for (const std::string& type : read_message(rendered(compile(source).content, {})).types) {
      all += (all.empty() ? "" : " ") + type;
    }
    return all;
  };
  EXPECT_EQ(types(true, false, false, false), "text/plain");
  EXPECT_EQ(types(false, true, false, false), "text/html");
  EXPECT_EQ(types(true, true, false, false), "multipart/alternative text/plain text/html");
  EXPECT_EQ(types(false, true, true, false), "multipart/related text/html image/png");
  EXPECT_EQ(types(true, false, false, true), "multipart/mixed text/plain application/pdf");
  EXPECT_EQ(
      types(true, true, true, true),
      "multipart/mixed multipart/alternative text/plain multipart/related text/html image/png "
      "application/pdf");
}

TEST(content, long_and_foreign_file_names) {
  ContentSource source = simple();
  std::string name = "Bericht \xc3\xbc" + std::string(150, 'x') + " \"1\" %.pdf";
  source.attachments.push_back({name, "application/pdf", std::string(1'000, '\0'), ""});
  std::string message = rendered(compile(source).content, {});
  ReadMessage read = read_message(message);
  ASSERT_EQ(read.parts.size(), 2u);
  EXPECT_EQ(read.parts[1].filename, name);
  EXPECT_EQ(read.parts[1].bytes, std::string(1'000, '\0'));
  for (size_t at = 0; at < message.size(); at = message.find("\r\n", at) + 2) {
    EXPECT_LE(message.find("\r\n", at) - at, 78u);
  }
}

TEST(content, text_without_fields_is_base64_where_that_is_shorter) {
  ContentSource source = simple();
  source.text.clear();
  for (int i = 0; i < 100; ++i) source.text += "\xe4\xbd\xa0\xe5\xa5\xbd";
  std::string message = rendered(compile(source).content, {});
  EXPECT_TRUE(message.contains("Content-Transfer-Encoding: base64"));
  EXPECT_EQ(read_message(message).parts[0].bytes, source.text + "\r\n");
  source.text += "{{name}}";
  EXPECT_TRUE(rendered(compile(source).content, {}).contains("quoted-printable"));
}

TEST(content, the_name_is_the_hash_of_the_bytes) {
  Compiled one = compile(simple());
  Compiled two = compile(simple());
  EXPECT_EQ(*one.bytes, *two.bytes);
  EXPECT_EQ(content_name(*one.bytes).size(), 64u);
  ContentSource other = simple();
  other.text += "y";
  EXPECT_NE(content_name(*compile(other).bytes), content_name(*one.bytes));
}

TEST(content, a_newer_format_is_refused_by_name) {
  Compiled c = compile(simple());
  std::string bytes = *c.bytes;
  bytes[4] = 9;
  auto loaded = Content::load(bytes);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().message, "content of format 9; this program reads format 1");
  EXPECT_FALSE(Content::load(""));
  EXPECT_FALSE(Content::load("PRCT"));
}

// Tables whose checksum fits but that no compiler wrote.
TEST(content, impossible_tables_are_refused) {
  auto error = [](auto change) {
    ContentParts parts;
    parts.pool = "abc\r\n";
    Step line;
    line.size = 5;
    line.stuffed_size = 5;
    parts.body = {line};
    change(parts, line);
    std::string bytes = write_content(parts);
    auto loaded = Content::load(bytes);
    return loaded ? std::string("loaded") : loaded.error().message;
  };
  auto step = [](StepKind kind, Encoding encoding = Encoding::plain, uint16_t field = 0) {
    Step made;
    made.kind = kind;
    made.encoding = encoding;
    made.field = field;
    return made;
  };
  EXPECT_EQ(error([](auto&, auto&) {}), "loaded");
  EXPECT_EQ(error([](auto& p, auto&) { p.body[0].size = 6; }),
            "damaged content: a literal outside the pool");
  EXPECT_EQ(error([](auto& p, auto&) { p.body[0].stuffed_offset = 0xffffffff; }),
            "damaged content: a literal outside the pool");
  EXPECT_EQ(error([](auto& p, auto&) { p.body[0].stuffed_size = 4; }),
            "damaged content: a literal and its stuffed form differ");
  EXPECT_EQ(error([](auto& p, auto&) { p.pool = "a\rc\r\n"; }),
            "damaged content: a literal with a bare CR, LF or NUL");
  EXPECT_EQ(error([](auto& p, auto&) { p.pool = ".bc\r\n"; }),
            "damaged content: a literal and its stuffed form differ");
  EXPECT_EQ(error([](auto& p, auto&) { p.pool = "abcde"; }),
            "damaged content: a last line without its end");
  EXPECT_EQ(error([&](auto& p, auto&) { p.head = {step(StepKind::value, Encoding::qp_text, 0)}; }),
            "damaged content: a value of no field");
  EXPECT_EQ(error([&](auto& p, auto& line) {
              p.head = {line, step(StepKind::date),
                        step(StepKind::value, Encoding::qp_text, kFieldAddress), line};
            }),
            "damaged content: a value inside a line");
  EXPECT_EQ(error([&](auto& p, auto&) { p.head = {step(StepKind::header_text)}; }),
            "damaged content: an end without its begin");
  EXPECT_EQ(error([&](auto& p, auto&) { p.head = {step(StepKind::uri_begin)}; }),
            "damaged content: a begin without its end");
  EXPECT_EQ(error([&](auto& p, auto&) {
              p.head = {step(StepKind::header_begin), step(StepKind::uri_begin)};
            }),
            "damaged content: a group in a group");
  EXPECT_EQ(error([&](auto& p, auto&) {
              p.head = {step(StepKind::value, Encoding::plain, kFieldAddress)};
            }),
            "damaged content: an encoding out of place");
  EXPECT_EQ(error([&](auto& p, auto&) { p.return_path = {step(StepKind::date)}; }),
            "damaged content: a step that no address has");
  EXPECT_EQ(error([&](auto& p, auto& line) {
              p.fields.resize(2, {"a", "", false, false}), p.body = {line};
            }),
            "damaged content: a field twice");
}

TEST(values, encode_and_read_back) {
  ContentSource source = simple();
  source.text = "{{a}}{{b}}{{c}}";
  source.defaults = {{"b", "B"}};
  Compiled c = compile(source);
  ValuesBuilder builder(c.content, UnknownFields::keep);
  std::string values = "before";
  builder.begin();
  builder.add("c", "3");
  builder.add("other", "kept");
  builder.add("a", "");
  auto size = builder.finish(values);
  ASSERT_TRUE(size);
  EXPECT_EQ(values.size(), 6 + *size);
  std::string_view encoded = std::string_view(values).substr(6);
  std::vector<std::string_view> read;
  EXPECT_TRUE(decode_values(c.content, encoded, read));
  EXPECT_EQ(read, (std::vector<std::string_view>{"", "B", "3"}));
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  EXPECT_TRUE(list_values(c.content, encoded, pairs));
  ASSERT_EQ(pairs.size(), 3u);
  EXPECT_EQ(pairs[0].first, "a");
  EXPECT_EQ(pairs[2].first, "other");
  EXPECT_EQ(pairs[2].second, "kept");
  // Nothing at all for a recipient without values.
  builder.begin();
  EXPECT_EQ(*builder.finish(values), 0u);
}

TEST(values, faults) {
  ContentSource source = simple();
  source.text = "{{a}}{{b}}";
  source.defaults = {{"b", "B"}};
  source.missing_field = MissingField::reject;
  Compiled c = compile(source);
  EXPECT_TRUE(c.content.rejects_missing());
  ValuesBuilder builder(c.content);
  std::string out;
  auto wrong = [&](const Pairs& pairs) -> std::string {
    builder.begin();
    for (const auto& [name, value] : pairs) builder.add(name, value);
    auto built = builder.finish(out);
    EXPECT_TRUE(out.empty());
    out.clear();
    if (built) return "built";
    return std::string(built.error().field) + " " + std::string(text_of(built.error().wrong));
  };
  EXPECT_EQ(wrong({{"b", "x"}}), "a is missing and has no default");
  EXPECT_EQ(wrong({{"a", "x"}, {"a", "y"}}), "a is given twice");
  EXPECT_EQ(wrong({{"a", "\xff"}}), "a is not UTF-8");
  EXPECT_EQ(wrong({{"a", std::string("x\0", 2)}}), "a has a NUL byte");
  EXPECT_EQ(wrong({{"a", std::string(kValueMax + 1, 'x')}}), "a is longer than 65536 bytes");
  EXPECT_EQ(wrong({{"a", std::string(kValueMax, 'x')}, {"b", std::string(kValueMax, 'x')}}),
            "b makes the recipient's values too long together");
}

}  // namespace
}  // namespace postring::mail
