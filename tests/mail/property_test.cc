// The laws of compiled content, on random content: what is sent decodes to what was written, line
// by line lawful, whatever the values hold; and the pieces are the bytes of rendering whole.
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/random.h"
#include "gmime_reader.h"
#include "mail/encode.h"
#include "mail/lines.h"
#include "mail/utf8.h"
#include "rendered.h"

namespace postring::mail {
namespace {

constexpr int kRounds = 400;

uint64_t seed() {
  const char* given = std::getenv("POSTRING_TEST_SEED");
  return given == nullptr ? 20'260'301 : std::strtoull(given, nullptr, 10);
}

std::string random_text(Random& random, size_t most) {
  static const std::vector<std::string> kBits = {"a",
                                                 "Anna",
                                                 " ",
                                                 "  ",
                                                 ".",
                                                 "..",
                                                 "\n",
                                                 "\r\n",
                                                 "\r",
                                                 "\n.",
                                                 "\r\n.\r\n",
                                                 "=",
                                                 "=20",
                                                 "=\n",
                                                 "-",
                                                 "--",
                                                 "--=_",
                                                 "\t",
                                                 "&",
                                                 "<",
                                                 ">",
                                                 "\"",
                                                 "'",
                                                 "%",
                                                 "?",
                                                 "=?utf-8?q?x?=",
                                                 ",",
                                                 ";",
                                                 ":",
                                                 "{",
                                                 "}",
                                                 "\\",
                                                 "\x01",
                                                 "\x7f",
                                                 "\xc3\xbc",
                                                 "\xe2\x82\xac",
                                                 "\xf0\x9f\x98\x80",
                                                 "https://x.y/",
                                                 "javascript:",
                                                 "lorem ipsum dolor",
                                                 "From ",
                                                 "0123456789012345678901234567890123456789",
                                                 "Bcc: x@y.example\r\n"};
  std::string text;
  for (uint64_t n = random.below(most + 1); n > 0; --n) text += kBits[random.below(kBits.size())];
  if (random.chance(1, 20)) text += std::string(random.below(3'000), 'q');
  return text;
}

// A literal of a template: nothing in it opens a field, neither alone nor beside its neighbours.
std::string random_literal(Random& random, size_t most) {
  std::string text = random_text(random, most);
  std::erase(text, '{');
  std::erase(text, '}');
  return text;
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string percent(std::string_view text) {
  std::string out;
  for (char c : text) {
    bool kept =
        std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("-._~").contains(c);
    char escaped[4];
    std::snprintf(escaped, sizeof(escaped), "%%%02X",
                  static_cast<unsigned>(static_cast<uint8_t>(c)));
    out += kept ? std::string(1, c) : escaped;
  }
  return out;
}

const std::vector<std::string> kNames = {"first", "last", "code", "n\xc3\xbc", "x.y-z_1"};

struct Made {
  std::string source;    // the template
  std::string expected;  // what it must decode to
};

Made random_text_part(Random& random, const Pairs& values) {
  Made made;
  for (uint64_t n = random.below(12); n > 0; --n) {
    if (random.chance(1, 2)) {
      std::string literal = random_literal(random, 10);
      made.source += literal;
      // CR at the end of one piece and LF at the start of the next are two line ends when a value
      // stands between them and one when not: keep to pieces that say the same either way.
      if (literal.ends_with('\r')) literal += '\n', made.source += '\n';
      made.expected += literal;
    } else {
      const auto& [name, value] = values[random.below(values.size())];
      made.source += "{{" + name + "}}";
      made.expected += value.ends_with('\r') ? value + "\n" : value;
    }
  }
  if (!made.source.ends_with('\n')) made.expected += '\n';
  made.expected = normalise_lines(made.expected);
  return made;
}

Made random_html_part(Random& random, const Pairs& values) {
  Made made;
  for (uint64_t n = 1 + random.below(10); n > 0; --n) {
    const auto& [name, value] = values[random.below(values.size())];
    std::string field = "{{" + name + "}}";
    std::string shown = value.ends_with('\r') ? value + "\n" : value;
    switch (random.below(4)) {
      case 0:
        made.source += "<p title=\"" + field + "\">";
        made.expected += "<p title=\"" + escape_html(shown) + "\">";
        break;
      case 1:
        made.source += "<a href=\"https://x.example/?q=" + field + "\">";
        made.expected += "<a href=\"https://x.example/?q=" + percent(value) + "\">";
        break;
      case 2:
        made.source += "<b>" + field + "</b>.";
        made.expected += "<b>" + escape_html(shown) + "</b>.";
        break;
      default: {
        std::string literal = escape_html(random_literal(random, 8)) + "\n";
        made.source += literal;
        made.expected += literal;
      }
    }
  }
  made.source += "<br>";
  made.expected = normalise_lines(made.expected + "<br>");
  return made;
}

// What a header's text is after controls became spaces and blanks at both ends went.
std::string header_form(std::string_view text) {
  std::string out;
  for (char c : text) out += static_cast<uint8_t>(c) < 32 || c == 127 ? ' ' : c;
  size_t start = out.find_first_not_of(' ');
  if (start == std::string::npos) return {};
  return out.substr(start, out.find_last_not_of(' ') - start + 1);
}

// Rendering by the steps, one after the other, with nothing shared with the renderer but the
// encoders.
std::string render_slowly(const Content& content, const RenderInput& input,
                          const std::vector<Step>& steps) {
  std::vector<std::string_view> values;
  decode_values(content, input.values, values);
  std::string out;
  std::string group;
  bool grouped = false;
  size_t column = 0;
  auto put = [&](std::string_view bytes) { (grouped ? group : out) += bytes; };
  auto encoded = [](auto encode, size_t room) {
    std::string buffer(room, '\0');
    buffer.resize(static_cast<size_t>(encode(buffer.data()) - buffer.data()));
    return buffer;
  };
  for (const Step& step : steps) {
    std::string value;
    switch (step.kind) {
      case StepKind::literal:
        put(content.pool().substr(step.offset, step.size));
        break;
      case StepKind::value:
        value = step.field == kFieldAddress ? input.address : values[step.field];
        put(encoded([&](char* to) { return put_value(step.encoding, value, to); },
                    value_bound(value.size())));
        break;
      case StepKind::date:
        put("Sun, 01 Mar 2026 09:30:00 +0000");
        break;
      case StepKind::message_id:
        put("<0003000000001234@mail.example.com>");
        break;
      case StepKind::header_begin:
      case StepKind::uri_begin:
        grouped = true;
        group.clear();
        column = step.size;
        break;
      case StepKind::header_text:
        grouped = false;
        put(encoded([&](char* to) { return put_header_text(group, column, to); },
                    header_bound(group.size())));
        break;
      case StepKind::header_name:
        grouped = false;
        put(encoded([&](char* to) { return put_display_name(group, column, to); },
                    header_bound(group.size())));
        break;
      case StepKind::uri_end:
        grouped = false;
        put(encoded([&](char* to) { return put_folded_uri(group, to); },
                    header_bound(group.size())));
        break;
    }
  }
  return out;
}

std::string stuff(std::string_view whole) {
  std::string out;
  append_stuffed(whole, true, out);
  return out;
}

struct Case {
  ContentSource source;
  Pairs values;
  Made text;
  Made html;
};

Case random_case(Random& random) {
  Case c;
  for (const std::string& name : kNames) c.values.emplace_back(name, random_text(random, 12));
  c.source.from = "{{first}} <n+{{code}}@example.com>";
  c.source.subject = "A {{first}} b{{last}}" + header_form(random_literal(random, 6));
  c.source.unsubscribe = "https://x.example/{{code}}?a={{address}} mailto:u+{{last}}@x.example";
  c.source.headers = {{"X-Long", "{{last}}{{last}} {{code}}"}};
  c.source.return_path = "b+{{code}}@example.com";
  bool text = random.chance(2, 3);
  bool html = !text || random.chance(1, 2);
  if (text) {
    c.text = random_text_part(random, c.values);
    c.source.text = c.text.source.empty() ? "\n" : c.text.source;
  }
  if (html) {
    c.html = random_html_part(random, c.values);
    c.source.html = c.html.source;
  }
  for (uint64_t n = random.below(3); n > 0; --n) {
    SourceAttachment attachment;
    attachment.filename = "r\xc3\xa9sum\xc3\xa9 " + std::to_string(n) + ".pdf";
    attachment.bytes = random_text(random, 40);
    if (random.chance(1, 2)) attachment.content_id = "img" + std::to_string(n) + "@x";
    c.source.attachments.push_back(attachment);
  }
  return c;
}

void check_laws(const std::string& whole) {
  EXPECT_EQ(find_bad_line_end(whole), std::string::npos);
  EXPECT_EQ(find_long_line(whole), std::string::npos);
  EXPECT_TRUE(whole.ends_with("\r\n"));
  EXPECT_TRUE(is_ascii(whole));
  EXPECT_EQ(stuff(whole).find("\r\n.\r\n"), std::string::npos);
  // The header has the fields that were asked for and no other.
  std::string header = header_of(whole);
  size_t fields = 0;
  for (size_t line = 0; line < header.size(); line = header.find("\r\n", line) + 2) {
    if (header[line] == ' ' || header[line] == '\t') continue;
    ++fields;
    EXPECT_FALSE(std::string_view(header).substr(line).starts_with("Bcc"));
  }
  EXPECT_TRUE(fields == 10 || fields == 11) << header;
}

void check_decoded(const Case& c, const std::string& whole) {
  ReadMessage read = read_message(whole);
  ASSERT_TRUE(read.parsed);
  EXPECT_EQ(read.message_id, "0003000000001234@mail.example.com");
  EXPECT_EQ(read.date, "1772357400");
  size_t leaves = (c.source.text.empty() ? 0u : 1u) + (c.source.html.empty() ? 0u : 1u) +
                  c.source.attachments.size();
  EXPECT_EQ(read.parts.size(), leaves);
  if (!c.source.text.empty()) {
    const ReadPart* part = read.find("text/plain");
    ASSERT_NE(part, nullptr);
    EXPECT_EQ(part->bytes, c.text.expected);
  }
  if (!c.source.html.empty()) {
    const ReadPart* part = read.find("text/html");
    ASSERT_NE(part, nullptr);
    EXPECT_EQ(part->bytes, c.html.expected);
  }
  for (const SourceAttachment& attachment : c.source.attachments) {
    bool found = false;
    for (const ReadPart& part : read.parts) {
      found = found || (part.filename == attachment.filename && part.bytes == attachment.bytes &&
                        part.content_id == attachment.content_id);
    }
    EXPECT_TRUE(found) << attachment.filename;
  }
}

std::string value_in(const Pairs& values, std::string_view name) {
  for (const auto& [key, value] : values) {
    if (key == name) return value;
  }
  return {};
}

TEST(content_property, what_is_sent_is_what_was_written) {
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed()));
  Random random(seed());
  Scratch scratch;
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(round);
    Case c = random_case(random);
    Compiled compiled = compile(c.source);
    const Content& content = compiled.content;
    std::string values = encode(content, c.values);
    RenderInput input = input_for("anna@example.org", values);

    std::string whole = render_slowly(content, input, content.head()) +
                        render_slowly(content, input, content.body());
    EXPECT_EQ(join(render(content, input, Form::plain, scratch)), whole);
    EXPECT_EQ(join(render(content, input, Form::dot_stuffed, scratch)), stuff(whole));
    EXPECT_EQ(render_return_path(content, input, scratch),
              render_slowly(content, input, content.return_path()));
    check_laws(whole);
    check_decoded(c, whole);

    ReadMessage read = read_message(whole);
    std::string subject = c.source.subject;
    for (std::string name : {"first", "last"}) {
      size_t at = subject.find("{{" + name + "}}");
      subject.replace(at, name.size() + 4, value_in(c.values, name));
    }
    EXPECT_EQ(read.subject, header_form(subject));
    EXPECT_EQ(read.from_name, header_form(value_in(c.values, "first")));
    if (testing::Test::HasFailure()) {
      std::printf("%s\n", whole.c_str());
      return;
    }
  }
}

// The same bytes from a copy of the file, from other memory, after other messages.
TEST(content_property, loading_again_renders_the_same) {
  Random random(seed() + 1);
  for (int round = 0; round < 50; ++round) {
    Case c = random_case(random);
    Compiled compiled = compile(c.source);
    std::string values = encode(compiled.content, c.values);
    RenderInput input = input_for("anna@example.org", values);
    Scratch one;
    Scratch other;
    std::string copy = *compiled.bytes;
    auto again = Content::load(copy);
    ASSERT_TRUE(again);
    EXPECT_EQ(join(render(compiled.content, input, Form::plain, one)),
              join(render(*again, input, Form::plain, other)));
    EXPECT_EQ(content_name(copy), content_name(*compiled.bytes));
  }
}

// A damaged file is refused or, where only the checksum was made to fit, still safe to render.
TEST(content_property, damaged_bytes_are_refused) {
  Random random(seed() + 2);
  Case c = random_case(random);
  Compiled compiled = compile(c.source);
  for (size_t size = 0; size < compiled.bytes->size(); size += 1 + random.below(9)) {
    std::string cut = compiled.bytes->substr(0, size);
    EXPECT_FALSE(Content::load(cut));
  }
  for (int round = 0; round < 2'000; ++round) {
    std::string changed = *compiled.bytes;
    changed[random.below(changed.size())] ^= static_cast<char>(1u << random.below(8));
    EXPECT_FALSE(Content::load(changed));
  }
}

// Values in any state render to a lawful message.
TEST(content_property, damaged_values_are_rendered_safely) {
  Random random(seed() + 3);
  Case c = random_case(random);
  Compiled compiled = compile(c.source);
  std::string good = encode(compiled.content, c.values);
  Scratch scratch;
  for (int round = 0; round < 2'000; ++round) {
    std::string values = good;
    for (uint64_t n = random.below(6); n > 0 && !values.empty(); --n) {
      values[random.below(values.size())] = static_cast<char>(random.next());
    }
    if (random.chance(1, 4)) values.resize(random.below(values.size() + 1));
    RenderInput input = input_for("anna@example.org", values);
    check_laws(join(render(compiled.content, input, Form::plain, scratch)));
  }
}

}  // namespace
}  // namespace postring::mail
