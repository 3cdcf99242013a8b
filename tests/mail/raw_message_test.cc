#include <gtest/gtest.h>

#include "base/random.h"
#include "gmime_reader.h"
#include "mail/lines.h"
#include "rendered.h"

namespace postring::mail {
namespace {

constexpr std::string_view kTop =
    "Date: Sun, 01 Mar 2026 09:30:00 +0000\r\n"
    "Message-ID: <x@y.example>\r\n"
    "From: \"A, B\" <a@b.example>\r\n"
    "Subject: one\r\n\ttwo\r\n";

ContentSource raw(std::string text) {
  ContentSource source;
  source.raw = std::move(text);
  return source;
}

TEST(raw_message, without_fields_it_leaves_byte_for_byte) {
  for (std::string body : {std::string(""), std::string("x\r\n"), std::string(".\r\n..x\r\n.\r\n"),
                           std::string("{ a } }} {\r\n"), std::string("caf\xc3\xa9 \xff\r\n")}) {
    std::string message = std::string(kTop) + "X-Odd:  spaced \r\n\r\n" + body;
    Compiled c = compile(raw(message));
    EXPECT_EQ(rendered(c.content, {}), message);
    std::string stuffed;
    append_stuffed(message, true, stuffed);
    EXPECT_EQ(rendered(c.content, {}, Form::dot_stuffed), stuffed);
    EXPECT_EQ(c.content.needs_8bit(), body.contains('\xc3'));
    EXPECT_FALSE(c.content.needs_smtputf8());
  }
}

TEST(raw_message, line_ends_are_repaired) {
  Compiled c = compile(raw("From: a@b.example\nDate: x\nMessage-ID: <a@b>\n\none\rtwo\r\nthree"));
  EXPECT_EQ(rendered(c.content, {}),
            "From: a@b.example\r\nDate: x\r\nMessage-ID: <a@b>\r\n\r\none\r\ntwo\r\nthree\r\n");
}

TEST(raw_message, what_is_missing_is_put_in_front) {
  ContentSource source = raw("From: a@b.example\r\n\r\nx\r\n");
  source.unsubscribe = "https://x.example/{{id}}";
  Compiled c = compile(source);
  EXPECT_EQ(rendered(c.content, {{"id", "7"}}),
            "Date: Sun, 01 Mar 2026 09:30:00 +0000\r\n"
            "Message-ID: <0003000000001234@mail.example.com>\r\n"
            "List-Unsubscribe: <https://x.example/7>\r\n"
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
            "From: a@b.example\r\n\r\nx\r\n");
}

TEST(raw_message, without_merging_braces_mean_nothing) {
  std::string message = std::string(kTop) + "\r\n{{not a field {{x}}\r\n";
  ContentSource source = raw(message);
  EXPECT_TRUE(error_of(source).starts_with("raw, text/plain part, byte 0: '{{not a field {{x}}'"));
  source.merge = false;
  EXPECT_EQ(rendered(compile(source).content, {}), message);
}

TEST(raw_message, fields_in_header_and_text_parts) {
  std::string message =
      std::string(kTop) +
      "X-Name: =?utf-8?q?F=C3=BCr_{{name}}?=\r\n"
      "Reply-To: {{name}} <r+{{id}}@b.example>\r\n"
      "MIME-Version: 1.0\r\n"
      "Content-Type: multipart/alternative; boundary=\"xx\"\r\n\r\n"
      "preamble\r\n--xx\r\n\r\nHello {{name}}\r\n--xx\r\n"
      "Content-Type: text/html; charset=us-ascii\r\n"
      "Content-Transfer-Encoding: base64\r\n"
      "X-Kept: yes\r\n\r\n"
      "PGI+e3tuYW1lfX08L2I+\r\n"  // <b>{{name}}</b>
      "--xx\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
      "iVBORw==\r\n--xx--\r\n";
  Compiled c = compile(raw(message));
  std::string out = rendered(c.content, {{"name", "J\xc3\xb6 <x>"}, {"id", "9"}});
  ReadMessage read = read_message(out);
  ASSERT_EQ(read.parts.size(), 3u) << out;
  EXPECT_EQ(read.parts[0].bytes, "Hello J\xc3\xb6 <x>") << out;
  EXPECT_EQ(read.parts[1].bytes, "<b>J\xc3\xb6 &lt;x&gt;</b>") << out;
  EXPECT_EQ(read.parts[2].bytes, "\x89PNG");
  EXPECT_TRUE(out.contains("X-Kept: yes\r\n"));
  EXPECT_TRUE(out.contains("X-Name: =?utf-8?q?F=C3=BCr_J=C3=B6_=3Cx=3E?=\r\n")) << out;
  EXPECT_TRUE(out.contains("<r+9@b.example>\r\n")) << out;
  EXPECT_TRUE(out.contains("Subject: one\r\n\ttwo\r\n"));
  EXPECT_TRUE(out.contains("preamble\r\n--xx\r\n"));
  EXPECT_TRUE(out.contains("Content-Type: text/html; charset=utf-8\r\n"));
}

TEST(raw_message, a_last_part_without_a_delimiter_ends_its_line) {
  Compiled c = compile(raw(std::string(kTop) +
                           "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
                           "Content-Transfer-Encoding: base64\r\n\r\ne3t4fX15\r\n"));  // {{x}}y
  EXPECT_TRUE(rendered(c.content, {{"x", "v"}}).ends_with("v=\r\ny\r\n"));
}

TEST(raw_message, a_templated_list_unsubscribe_is_ours) {
  std::string message =
      std::string(kTop) +
      "List-Unsubscribe: <https://x.example/?u={{id}}>,\r\n <mailto:u@x.example>\r\n"
      "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nx\r\n";
  Compiled c = compile(raw(message));
  EXPECT_TRUE(c.content.has_unsubscribe());
  std::string out = rendered(c.content, {{"id", "a&b"}});
  EXPECT_EQ(header_of(out),
            std::string(kTop) +
                "List-Unsubscribe: <https://x.example/?u=a%26b>,\r\n <mailto:u@x.example>\r\n"
                "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n");
}

TEST(raw_message, its_own_list_unsubscribe_counts) {
  Compiled c = compile(raw(std::string(kTop) + "List-Unsubscribe: <mailto:u@x>\r\n\r\nx\r\n"));
  EXPECT_TRUE(c.content.has_unsubscribe());
  EXPECT_FALSE(compile(raw(std::string(kTop) + "\r\nx\r\n")).content.has_unsubscribe());
}

TEST(raw_message, the_sender_comes_from_from) {
  Compiled c = compile(raw(std::string(kTop) + "\r\nx\r\n"));
  Scratch scratch;
  EXPECT_EQ(render_return_path(c.content, input_for("u@e.org", ""), scratch), "a@b.example");
}

TEST(raw_message, errors_name_the_line) {
  EXPECT_EQ(error_of(raw("Subject: x\r\n\r\n")), "raw: no From header");
  EXPECT_EQ(error_of(raw("From: a@b.c\r\nnonsense\r\n\r\n")),
            "raw, line 2: expected 'Name: value' or an empty line");
  EXPECT_EQ(error_of(raw(" x\r\n\r\n")), "raw, line 1: a folded line without a header before it");
  EXPECT_EQ(error_of(raw("From: a@b.c\r\n")), "raw: no empty line after the header");
  EXPECT_EQ(error_of(raw("From: a@b.c\n\n\n" + std::string(999, 'x'))),
            "raw, line 4: longer than 998 bytes, which SMTP does not carry");
  EXPECT_EQ(error_of(raw(std::string("From: a@b.c\n\n\0", 14))), "raw, line 3: a NUL byte");
  EXPECT_EQ(error_of(raw("From: a@b.c\nX: \xff\n\n")), "raw, line 2: a header that is not UTF-8");
  EXPECT_EQ(error_of(raw("From: a@b.c\nMessage-ID: <{{x}}@y>\n\n")),
            "raw, Message-ID: no field can stand in this header");
  EXPECT_EQ(error_of(raw("From: a@b.c\nContent-Type: text/plain; charset=koi8-r\n\n{{x}}\n")),
            "raw, line 4: a part with fields must be UTF-8, not koi8-r");
}

// Whatever the structure: without fields the same bytes, also by the way that looks for fields.
TEST(raw_message, random_structures_stay_as_they_are) {
  constexpr uint64_t kSeed = 5;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  const std::vector<std::string> bits = {"--b\r\n",
                                         "--b--\r\n",
                                         "\r\n",
                                         "Content-Type: multipart/mixed; boundary=b\r\n",
                                         "Content-Type: text/html\r\n",
                                         "text\r\n",
                                         ".\r\n",
                                         ".. x\r\n",
                                         "X: y\r\n",
                                         " folded\r\n",
                                         "Content-Transfer-Encoding: base64\r\n",
                                         "YWJj\r\n",
                                         "{}\r\n",
                                         "--b \r\n",
                                         "--bb\r\n"};
  int compiled = 0;
  for (int round = 0; round < 3'000; ++round) {
    std::string message = std::string(kTop);
    if (random.chance(2, 3)) message += "Content-Type: multipart/mixed; boundary=b\r\n";
    message += "\r\n";
    for (uint64_t n = random.below(14); n > 0; --n) message += bits[random.below(bits.size())];
    ContentSource source = raw(message);
    // Fields of the unsubscribe header only: the message is walked part by part.
    bool walked = random.chance(1, 2);
    if (walked) source.unsubscribe = "https://x.example/{{id}}";
    auto bytes = compile_content(source);
    if (!bytes) continue;  // a part's header that is none
    ++compiled;
    auto content = Content::load(*bytes);
    ASSERT_TRUE(content);
    std::string out = rendered(*content, {{"id", "1"}});
    EXPECT_TRUE(out.ends_with(message)) << message << "\n-----\n" << out;
    EXPECT_EQ(out.size() == message.size(), !walked);
  }
  EXPECT_GT(compiled, 300);
}

}  // namespace
}  // namespace postring::mail
