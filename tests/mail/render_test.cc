#include "mail/render.h"

#include <gtest/gtest.h>

#include "rendered.h"

namespace postring::mail {
namespace {

ContentSource simple() {
  ContentSource source;
  source.subject = "Hello {{name}}";
  source.from = "News <news@example.com>";
  source.text = "Dear {{name}},\nyour code is {{ code }}.\n";
  return source;
}

TEST(render, a_text_message_byte_for_byte) {
  Compiled c = compile(simple());
  EXPECT_EQ(rendered(c.content, {{"name", "Anna"}, {"code", "A=1"}}),
            "Date: Sun, 01 Mar 2026 09:30:00 +0000\r\n"
            "Message-ID: <0003000000001234@mail.example.com>\r\n"
            "From: News <news@example.com>\r\n"
            "To: anna@example.org\r\n"
            "Subject: Hello Anna\r\n"
            "MIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n"
            "\r\n"
            "Dear =\r\nAnna=\r\n,\r\nyour code is =\r\nA=3D1=\r\n=2E\r\n");
}

TEST(render, values_that_are_missing_take_their_default) {
  ContentSource source = simple();
  source.defaults = {{"name", "friend"}};
  Compiled c = compile(source);
  std::string message = rendered(c.content, {});
  EXPECT_TRUE(message.contains("Subject: Hello friend\r\n")) << message;
  EXPECT_TRUE(message.contains("Dear =\r\nfriend=\r\n,")) << message;
  EXPECT_TRUE(message.contains("is =\r\n=2E\r\n")) << message;
}

TEST(render, html_is_escaped_by_where_a_value_stands) {
  ContentSource source = simple();
  source.text.clear();
  source.html =
      "<p title=\"{{a}}\">{{a}}</p><a href=\"https://x.example/?q={{a}}\">x</a>"
      "<a href='{{url}}'>y</a>";
  Compiled c = compile(source);
  std::string body = body_of(
      rendered(c.content, {{"a", "<\"&' \xc3\xbc=>"}, {"url", "https://e.org/?a=1&b='2'"}}));
  EXPECT_EQ(body,
            "<p title=3D\"=\r\n"
            "&lt;&quot;&amp;&#39; =C3=BC=3D&gt;=\r\n"
            "\">=\r\n"
            "&lt;&quot;&amp;&#39; =C3=BC=3D&gt;=\r\n"
            "</p><a href=3D\"https://x.example/?q=3D=\r\n"
            "%3C%22%26%27%20%C3%BC%3D%3E=\r\n"
            "\">x</a><a href=3D'=\r\n"
            "https://e.org/?a=3D1&amp;b=3D&#39;2&#39;=\r\n"
            "'>y</a>\r\n");
}

TEST(render, a_value_that_is_no_url_cannot_become_one) {
  ContentSource source = simple();
  source.text.clear();
  source.html = "<a href=\"{{url}}\">y</a>";
  Compiled c = compile(source);
  std::string body = body_of(rendered(c.content, {{"url", "javascript:x()"}}));
  EXPECT_TRUE(body.contains("javascript%3Ax%28%29")) << body;
}

TEST(render, header_values_cannot_end_their_line) {
  ContentSource source = simple();
  source.headers = {{"X-Note", "{{note}}"}};
  source.from = "{{name}} <news+{{note}}@example.com>";
  Compiled c = compile(source);
  std::string evil = "x\r\nBcc: victim@example.net\r\n\r\nbody\rmore\n.\n";
  std::string header = header_of(rendered(c.content, {{"name", evil}, {"note", evil}}));
  EXPECT_FALSE(header.contains("\nBcc:")) << header;
  EXPECT_FALSE(header.contains("\r\n\r\n")) << header;
}

TEST(render, header_values_are_encoded_words_where_needed) {
  ContentSource source = simple();
  source.from = "{{name}} <news@example.com>";
  Compiled c = compile(source);
  std::string header = header_of(rendered(c.content, {{"name", "J\xc3\xb6rg M"}}));
  EXPECT_TRUE(header.contains("Subject: =?utf-8?q?Hello_J=C3=B6rg_M?=\r\n")) << header;
  EXPECT_TRUE(header.contains("From: =?utf-8?q?J=C3=B6rg_M?=\r\n <news@example.com>\r\n"))
      << header;
  header = header_of(rendered(c.content, {{"name", "Dr. \"X\""}}));
  EXPECT_TRUE(header.contains("From: \"Dr. \\\"X\\\"\" <news@example.com>\r\n")) << header;
}

TEST(render, unsubscribe_headers_and_the_link_in_the_text) {
  ContentSource source = simple();
  source.unsubscribe =
      "<https://x.example/u?e={{address}}&t={{verp}}>, <mailto:u+{{recipient_id}}@x.example>";
  source.text = "Leave: {{unsubscribe_url}}\n";
  source.html = "<a href=\"{{unsubscribe_url}}\">leave</a>";
  Compiled c = compile(source);
  EXPECT_TRUE(c.content.has_unsubscribe());
  EXPECT_TRUE(c.content.uses_verp());
  std::string message = rendered(c.content, {});
  EXPECT_TRUE(message.contains("List-Unsubscribe: <https://x.example/u?e=anna%40example.org&t="));
  EXPECT_TRUE(message.contains(">,\r\n <mailto:u+0003000000001234@x.example>\r\n")) << message;
  EXPECT_TRUE(message.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
  EXPECT_TRUE(
      message.contains("Leave: =\r\nhttps://x.example/u?e=3D=\r\nanna%40example.org=\r\n&t="));
  EXPECT_TRUE(
      message.contains("<a href=3D\"=\r\nhttps://x.example/u?e=3D=\r\n"
                       "anna%40example.org=\r\n&amp;t=3D=\r\n"))
      << message;
}

TEST(render, mailto_alone_has_no_post_header) {
  ContentSource source = simple();
  source.unsubscribe = "mailto:u@x.example";
  std::string message = rendered(compile(source).content, {});
  EXPECT_TRUE(message.contains("List-Unsubscribe: <mailto:u@x.example>\r\n"));
  EXPECT_FALSE(message.contains("List-Unsubscribe-Post"));
}

TEST(render, return_path) {
  auto return_path = [](std::string_view text, std::string_view from = "a <x@y.example>") {
    ContentSource source = simple();
    source.from = from;
    source.return_path = text;
    Compiled c = compile(source);
    std::string values = encode(c.content, {{"name", "A b."}});
    Scratch scratch;
    return std::string(render_return_path(c.content, input_for("u@e.org", values), scratch));
  };
  EXPECT_EQ(return_path(""), "x@y.example");
  EXPECT_EQ(return_path("<>"), "");
  EXPECT_EQ(return_path("<b@C.example>"), "b@c.example");
  EXPECT_EQ(return_path("b-{{recipient_id}}@c.example"), "b-0003000000001234@c.example");
  EXPECT_EQ(return_path("b+{{name}}@c.example"), "b+A_b_@c.example");
  EXPECT_EQ(return_path("{{name}}.b@c.example"), "A_b_.b@c.example") << "no dot at a line's start";
  std::string verp = return_path("b+{{verp}}@c.example");
  std::string token = verp.substr(2, verp.find('@') - 2);
  VerpKey key("a secret");
  EXPECT_EQ(verp_decode({&key, 1}, token), (VerpId{7, make_recipient_id(3, 0x1234)}));
}

TEST(render, a_reused_scratch_keeps_no_token) {
  ContentSource source = simple();
  source.text = "{{verp}}\n";
  source.return_path = "b+{{verp}}@c.example";
  Compiled c = compile(source);
  VerpKey other_key("another secret");
  RenderInput input = input_for("u@e.org", "");
  auto token = [&](RenderInput of, Scratch& scratch) {
    std::string body = body_of(join(render(c.content, of, Form::plain, scratch)));
    std::string path(render_return_path(c.content, of, scratch));
    EXPECT_EQ("b+" + body.substr(0, body.find('=')) + "@c.example", path);
    return path;
  };
  Scratch reused;
  std::string first = token(input, reused);
  for (int change = 0; change < 3; ++change) {
    RenderInput changed = input;
    if (change == 0) changed.recipient += 1;
    if (change == 1) changed.campaign += 1;
    if (change == 2) changed.verp_key = &other_key;
    Scratch fresh;
    EXPECT_EQ(token(changed, reused), token(changed, fresh));
    EXPECT_NE(token(changed, reused), first);
    EXPECT_EQ(token(input, reused), first);
  }
}

TEST(render, a_value_as_a_whole_address) {
  ContentSource source = simple();
  source.from = "{{name}} <{{owner}}>";
  Compiled c = compile(source);
  std::string message = rendered(c.content, {{"name", "B"}, {"owner", "bo@shop.example"}});
  EXPECT_TRUE(message.contains("From: B <bo@shop.example>\r\n")) << message;
  ValuesBuilder builder(c.content);
  builder.begin();
  builder.add("owner", "no address");
  std::string values;
  auto built = builder.finish(values);
  ASSERT_FALSE(built);
  EXPECT_EQ(built.error().wrong, ValueWrong::not_address);
  // A damaged value still cannot break the header.
  std::string damaged(
      "\x02\x0c"
      "x\r\nBcc: a@b",
      13);
  Scratch scratch;
  std::string again = join(render(c.content, input_for("u@e.org", damaged), Form::plain, scratch));
  EXPECT_TRUE(again.contains("<_@invalid>")) << again;
}

TEST(render, smtputf8_is_asked_for_by_the_recipient) {
  Compiled c = compile(simple());
  Scratch scratch;
  EXPECT_TRUE(
      render(c.content, input_for("j\xc3\xb6@e.org", ""), Form::plain, scratch).needs_smtputf8);
  EXPECT_FALSE(render(c.content, input_for("j@e.org", ""), Form::plain, scratch).needs_smtputf8);
}

TEST(render, small_literals_share_a_piece_and_large_ones_stay_where_they_are) {
  ContentSource source = simple();
  source.text = "Dear {{name}}, " + std::string(5'000, 'x') + "\n{{code}}";
  Compiled c = compile(source);
  std::string values = encode(c.content, {{"name", "Anna"}});
  Scratch scratch;
  Rendered r = render(c.content, input_for("u@e.org", values), Form::plain, scratch);
  EXPECT_EQ(r.pieces.size(), 3u);
  const char* pool = c.content.pool().data();
  const char* middle = static_cast<const char*>(r.pieces[1].iov_base);
  EXPECT_TRUE(middle >= pool && middle < pool + c.content.pool().size());
}

TEST(render, attempts_and_scratches_make_no_difference) {
  Compiled c = compile(simple());
  std::string values = encode(c.content, {{"name", "Anna"}, {"code", "1"}});
  RenderInput input = input_for("u@e.org", values);
  Scratch used;
  std::string first = join(render(c.content, input, Form::plain, used));
  RenderInput other = input;
  other.accepted_at = WallTime::from_seconds(5);
  other.recipient = 99;
  join(render(c.content, other, Form::dot_stuffed, used));
  EXPECT_EQ(join(render(c.content, input, Form::plain, used)), first);
}

TEST(render, one_message_of_several_recipients_is_the_same_for_all) {
  ContentSource source = simple();
  EXPECT_FALSE(compile(source).content.same_for_all());
  source.text = "no fields";
  source.subject = "none here either";
  EXPECT_FALSE(compile(source).content.same_for_all()) << "To: is the recipient's address";
  source.to = "list@example.com";
  Compiled c = compile(source);
  ASSERT_TRUE(c.content.same_for_all());
  Scratch scratch;
  RenderInput input = input_for("anna@example.org", "");
  input.message = input.recipient;
  std::string first = join(render(c.content, input, Form::plain, scratch));
  EXPECT_TRUE(first.contains("Message-ID: <m.0003000000001234@mail.example.com>\r\n")) << first;
  input.recipient = 99;
  input.address = "bert@example.org";
  EXPECT_EQ(join(render(c.content, input, Form::plain, scratch)), first);
  source.return_path = "b+{{verp}}@example.com";
  EXPECT_FALSE(compile(source).content.same_for_all());
}

}  // namespace
}  // namespace postring::mail
