#include "smtp/reply_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace postring::smtp {
namespace {

using Event = ReplyParser::Event;

struct Heard {
  std::vector<Reply> replies;
  std::vector<std::string> lines;
  std::string broken;
};

// Everything the parser makes of the bytes, fed in pieces of `piece` bytes.
Heard hear(std::string_view bytes, size_t piece) {
  ReplyParser parser;
  Heard heard;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    std::string copy(bytes.substr(at, piece));
    parser.feed(copy);
    for (Event event = parser.next(); event != Event::more; event = parser.next()) {
      if (event == Event::broken) {
        heard.broken = parser.why();
        return heard;
      }
      heard.lines.emplace_back(parser.line());
      if (event == Event::reply) heard.replies.push_back(parser.reply());
    }
  }
  return heard;
}

std::string enhanced_of(const Reply& reply) {
  return std::to_string(reply.enhanced[0]) + "." + std::to_string(reply.enhanced[1]) + "." +
         std::to_string(reply.enhanced[2]);
}

TEST(ReplyParser, EveryChunkingSaysTheSame) {
  std::string bytes =
      "220 mx ESMTP\r\n250-mx\r\n250-SIZE 1000\r\n250 CHUNKING\r\n550-5.1.1 no such\r\n"
      "550 5.1.1 user here\r\n354\r\n250\r\n";
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    Heard heard = hear(bytes, piece);
    ASSERT_EQ(heard.broken, "");
    ASSERT_EQ(heard.replies.size(), 5u) << piece;
    ASSERT_EQ(heard.lines.size(), 8u);
    EXPECT_EQ(heard.replies[0].code, 220);
    EXPECT_EQ(heard.replies[0].text, "mx ESMTP");
    EXPECT_EQ(heard.replies[1].text, "mx SIZE 1000 CHUNKING");
    EXPECT_EQ(heard.lines[2], "SIZE 1000");
    EXPECT_EQ(heard.replies[2].code, 550);
    EXPECT_EQ(enhanced_of(heard.replies[2]), "5.1.1");
    EXPECT_EQ(heard.replies[2].text, "no such user here");
    EXPECT_EQ(heard.replies[3].code, 354);
    EXPECT_EQ(heard.replies[4].text, "");
    EXPECT_EQ(enhanced_of(heard.replies[4]), "0.0.0");
  }
}

TEST(ReplyParser, BareLineFeedsEndLines) {
  Heard heard = hear("250-a\n250 b\n421 c\r\r\n", 1);
  ASSERT_EQ(heard.replies.size(), 2u);
  EXPECT_EQ(heard.replies[0].text, "a b");
  EXPECT_EQ(heard.replies[1].text, "c");
}

TEST(ReplyParser, CodesWithinAClassMayDifferAndTheLastCounts) {
  Heard heard = hear("550-x\r\n554 y\r\n", 64);
  ASSERT_EQ(heard.replies.size(), 1u);
  EXPECT_EQ(heard.replies[0].code, 554);
}

TEST(ReplyParser, CodesOfTwoClassesAreBroken) {
  EXPECT_NE(hear("250-x\r\n550 y\r\n", 64).broken, "");
}

TEST(ReplyParser, GarbageIsBrokenForGood) {
  for (const char* bytes : {"hello\r\n", "\r\n", "25\r\n", "25x ok\r\n", "250_ok\r\n", "150 x\r\n",
                            "650 x\r\n", "2500 x\r\n", "HTTP/1.1 400 Bad Request\r\n"}) {
    EXPECT_NE(hear(bytes, 1).broken, "") << bytes;
    EXPECT_NE(hear(bytes, 100).broken, "") << bytes;
  }
  ReplyParser parser;
  parser.feed("x\r\n250 ok\r\n");
  EXPECT_EQ(parser.next(), Event::broken);
  EXPECT_EQ(parser.next(), Event::broken);
  parser.feed("250 ok\r\n");
  EXPECT_EQ(parser.next(), Event::broken);
}

TEST(ReplyParser, NulInACodeIsBrokenAndInATextIsReplaced) {
  EXPECT_NE(hear(std::string_view("2\0"
                                  "0 x\r\n",
                                  7),
                 1)
                .broken,
            "");
  Heard heard = hear(std::string_view("250 a\0b\tc\rd\x7f.\r\n", 15), 1);
  ASSERT_EQ(heard.replies.size(), 1u);
  EXPECT_EQ(heard.replies[0].text, "a?b c d .");
}

TEST(ReplyParser, TextIsValidUtf8AndCutBetweenCharacters) {
  Heard heard = hear("250 gr\xc3\xbc\xc3 \xe2\x82\xac \xff \xed\xa0\x80\r\n", 3);
  ASSERT_EQ(heard.replies.size(), 1u);
  EXPECT_EQ(heard.replies[0].text, "gr\xc3\xbc? \xe2\x82\xac ? ???");

  std::string bytes = "250 " + std::string(kReplyTextMax - 1, 'x') + "\xc3\xbc\xc3\xbc\r\n";
  heard = hear(bytes, 50);
  ASSERT_EQ(heard.replies.size(), 1u);
  EXPECT_EQ(heard.replies[0].text, std::string(kReplyTextMax - 1, 'x'));
}

TEST(ReplyParser, LongRepliesAreReadUpToTheLimits) {
  std::string bytes;
  for (size_t i = 1; i < kReplyLinesMax; ++i) bytes += "250-line\r\n";
  std::string ok = bytes + "250 end\r\n";
  Heard heard = hear(ok, 999);
  ASSERT_EQ(heard.replies.size(), 1u);
  EXPECT_EQ(heard.lines.size(), kReplyLinesMax);
  EXPECT_EQ(heard.replies[0].text.size(), kReplyTextMax);
  EXPECT_NE(hear(bytes + "250-more\r\n250 end\r\n", 999).broken, "");
}

TEST(ReplyParser, EndlessLinesAndRepliesAreBroken) {
  std::string line = "250 " + std::string(kReplyLineBytesMax - 4, 'x');
  EXPECT_EQ(hear(line + "\n", 1000).replies.size(), 1u);
  EXPECT_NE(hear(line + "xx\n", 1000).broken, "");
  EXPECT_NE(hear(std::string(kReplyLineBytesMax + 1, '2'), 1).broken, "");
  std::string reply;
  while (reply.size() <= kReplyBytesMax + 10'000) reply += "250-" + std::string(4'000, 'x') + "\n";
  EXPECT_EQ(hear(reply, 4'096).broken, "a reply is too long");
}

TEST(ReplyParser, AnEnhancedCodeOfAnotherClassIsText) {
  Heard heard = hear("550-4.7.1 x\r\n550 5.7.1 y\r\n", 64);
  ASSERT_EQ(heard.replies.size(), 1u);
  EXPECT_EQ(enhanced_of(heard.replies[0]), "5.7.1");
  EXPECT_EQ(heard.replies[0].text, "4.7.1 x y");
}

}  // namespace
}  // namespace postring::smtp
