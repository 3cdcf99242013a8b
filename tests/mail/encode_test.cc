#include "mail/encode.h"

#include <gtest/gtest.h>

#include "mail/lines.h"
#include "mail/mime.h"

namespace postring::mail {
namespace {

std::string value(Encoding encoding, std::string_view text) {
  std::string out(value_bound(text.size()), '\0');
  out.resize(static_cast<size_t>(put_value(encoding, text, out.data()) - out.data()));
  return out;
}

std::string header(std::string_view text, size_t column = 9) {
  std::string out(header_bound(text.size()), '\0');
  out.resize(static_cast<size_t>(put_header_text(text, column, out.data()) - out.data()));
  return out;
}

std::string name(std::string_view text) {
  std::string out(header_bound(text.size()), '\0');
  out.resize(static_cast<size_t>(put_display_name(text, 6, out.data()) - out.data()));
  return out;
}

TEST(encode, quoted_printable_values_are_lines_of_their_own) {
  EXPECT_EQ(value(Encoding::qp_text, ""), "");
  EXPECT_EQ(value(Encoding::qp_text, "a"), "a=\r\n");
  EXPECT_EQ(value(Encoding::qp_text, "."), "=2E=\r\n");
  EXPECT_EQ(value(Encoding::qp_text, "--b"), "=2D-b=\r\n");
  EXPECT_EQ(value(Encoding::qp_text, "a \nb\r\r\n.c "), "a=20\r\nb\r\n\r\n=2Ec =\r\n");
  EXPECT_EQ(value(Encoding::qp_text, "a\n"), "a\r\n");
  std::string line(75, 'x');
  EXPECT_EQ(value(Encoding::qp_text, line), line + "=\r\n");
  EXPECT_EQ(value(Encoding::qp_text, line + "."), line + "=\r\n=2E=\r\n");
  EXPECT_EQ(value(Encoding::qp_text, std::string(73, 'x') + "\xc3"),
            std::string(73, 'x') + "=\r\n=C3=\r\n");
}

TEST(encode, a_blank_before_a_line_end_is_escaped_wherever_that_comes_from) {
  std::string out;
  QuotedPrintable qp(out);
  qp.text("a \nb\t");
  qp.text("\n" + std::string(74, 'x') + " ");
  qp.text("\r\n ");
  qp.slot();
  qp.text("\n");
  EXPECT_EQ(out, "a=20\r\nb=09\r\n" + std::string(74, 'x') + "=\r\n=20\r\n =\r\n\r\n");
}

TEST(encode, urls) {
  EXPECT_EQ(value(Encoding::uri, "a b/\xc3\xbc?"), "a%20b%2F%C3%BC%3F");
  EXPECT_EQ(value(Encoding::uri_start, "HTTPS://x.y/?a=b c"), "HTTPS://x.y/?a=b%20c");
  EXPECT_EQ(value(Encoding::uri_start, "data:x"), "data%3Ax");
  EXPECT_EQ(value(Encoding::qp_url_start, "mailto:a@b?x=1&y"), "mailto:a@b?x=3D1&amp;y=\r\n");
}

TEST(encode, addresses) {
  EXPECT_EQ(value(Encoding::local_part, "a.b+c"), "a.b+c");
  EXPECT_EQ(value(Encoding::local_part, ".a..b."), "_a._b_");
  EXPECT_EQ(value(Encoding::local_part, ""), "_");
  EXPECT_EQ(value(Encoding::local_part, "a@b\r\n"), "a_b__");
  EXPECT_EQ(value(Encoding::local_part, std::string(100, 'a')).size(), kLocalValueMax);
  EXPECT_EQ(value(Encoding::mailbox, "a@b.c"), "a@b.c");
  EXPECT_EQ(value(Encoding::mailbox, "a@b.c, d@e.f"), "_@invalid");
}

TEST(encode, header_text) {
  EXPECT_EQ(header("plain text"), "plain text");
  EXPECT_EQ(header(" \tblanks go\r\n"), "blanks go");
  EXPECT_EQ(header("\xc3\xbc"), "=?utf-8?q?=C3=BC?=");
  EXPECT_EQ(header("a\r\nb"), "=?utf-8?q?a__b?=");
  EXPECT_EQ(header("\xff"), "=?utf-8?q?=3F?=");
  EXPECT_EQ(header("=?utf-8?q?x?="), "=?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3F=3D?=");
  EXPECT_EQ(header("\xe4\xbd\xa0\xe5\xa5\xbd"), "=?utf-8?b?5L2g5aW9?=");
  // Folded before a space, where one is.
  std::string words = "one two three four five six seven eight nine ten eleven twelve thirteen 14";
  EXPECT_EQ(header(words),
            "one two three four five six seven eight nine ten eleven twelve\r\n"
            " thirteen 14");
  EXPECT_EQ(header(std::string(500, 'x')), std::string(500, 'x'));
  EXPECT_TRUE(header(std::string(1'500, 'x')).starts_with("=?utf-8?q?xxx"));
}

TEST(encode, header_text_comes_back) {
  std::string text;
  for (int i = 0; i < 60; ++i) {
    text += i % 3 == 0 ? "\xf0\x9f\x98\x80" : i % 5 == 0 ? "\xc3\xa4 " : "word ";
    std::string written = header(text, static_cast<size_t>(i));
    std::string trimmed(trim_blanks(text));
    EXPECT_EQ(decode_header_text(written), trimmed);
    for (size_t at = 0; at < written.size();) {
      size_t end = std::min(written.find("\r\n", at), written.size());
      EXPECT_LE(end - at, 76u);
      at = end + 2;
    }
  }
}

TEST(encode, display_names) {
  EXPECT_EQ(name(""), "");
  EXPECT_EQ(name("Anna Meier"), "Anna Meier ");
  EXPECT_EQ(name("Meier, Anna"), "\"Meier, Anna\" ");
  EXPECT_EQ(name("a  b"), "\"a  b\" ");
  EXPECT_EQ(name("a\"\\"), "\"a\\\"\\\\\" ");
  EXPECT_EQ(name("\xc3\xbc, x"), "=?utf-8?q?=C3=BC=2C_x?=\r\n ");
}

TEST(encode, decode_header_text_takes_what_is_in_the_wild) {
  EXPECT_EQ(decode_header_text("=?UTF-8?B?w7w=?= =?utf-8?Q?=c3=bc?=\r\n =?utf-8?q?_x?= y"),
            "\xc3\xbc\xc3\xbc x y");
  EXPECT_EQ(decode_header_text("a =?utf-8?q?b?= c"), "a b c");
  EXPECT_EQ(decode_header_text("=?koi8-r?q?b?="), "=?koi8-r?q?b?=");
  EXPECT_EQ(decode_header_text("=?utf-8?q?b"), "=?utf-8?q?b");
  EXPECT_EQ(decode_header_text("=?utf-8?q?=zz?="), "=?utf-8?q?=zz?=");
}

TEST(lines, normalising_and_stuffing) {
  EXPECT_EQ(normalise_lines("a\nb\r\nc\rd"), "a\r\nb\r\nc\r\nd\r\n");
  EXPECT_EQ(normalise_lines("\n\r\r\n"), "\r\n\r\n\r\n");
  EXPECT_EQ(normalise_lines(""), "");
  auto stuffed = [](std::string_view text, bool start) {
    std::string out;
    append_stuffed(text, start, out);
    EXPECT_TRUE(is_stuffed(text, start, out));
    EXPECT_EQ(has_leading_dot(text, start), out.size() != text.size());
    return out;
  };
  EXPECT_EQ(stuffed(".\r\n..\r\na.b\r\n.", true), "..\r\n...\r\na.b\r\n..");
  EXPECT_EQ(stuffed(".a\r\n", false), ".a\r\n");
  EXPECT_FALSE(is_stuffed("a", true, "b"));
  EXPECT_FALSE(is_stuffed(".a", true, ".a"));
  EXPECT_EQ(find_long_line(std::string(998, 'x') + "\r\n"), std::string::npos);
  EXPECT_EQ(find_long_line("a\r\n" + std::string(999, 'x')), 3u);
}

TEST(mime, multiparts_are_cut_without_loss) {
  std::string body =
      "pre\r\n--b\r\n\r\none\r\n--b \r\nX: y\r\n\r\ntwo\r\n\r\n--b--\r\nepilogue\r\n";
  std::string whole;
  std::vector<std::string> parts;
  for (const MultipartPiece& piece : split_multipart(body, "b")) {
    whole += piece.text;
    if (piece.is_part) parts.emplace_back(piece.text);
  }
  EXPECT_EQ(whole, body);
  EXPECT_EQ(parts, (std::vector<std::string>{"\r\none", "X: y\r\n\r\ntwo\r\n"}));
}

TEST(mime, content_types) {
  ContentType type = parse_content_type("Text/HTML; Charset=\"UTF-8\" ;\r\n format = flowed; x");
  EXPECT_EQ(type.type, "text/html");
  EXPECT_EQ(type.parameter("charset"), "UTF-8");
  EXPECT_EQ(type.parameter("format"), "flowed");
  EXPECT_EQ(parse_content_type("garbage").type, "text/plain");
  EXPECT_EQ(*decode_body("a=3D=\r\nb \r\n=zz", "Quoted-Printable"), "a=b\r\n=zz");
  EXPECT_EQ(*decode_body("YQ\r\n==\r\n", "BASE64"), "a");
  EXPECT_FALSE(decode_body("x", "uuencode"));
}

}  // namespace
}  // namespace postring::mail
