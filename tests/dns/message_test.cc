#include "dns/message.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "wire_builder.h"

namespace postring::dns {
namespace {

TEST(DnsMessage, ReadsWhatItKnows) {
  auto message = parse_message(
      WireBuilder("Example.COM", 15)
          .mx("Example.COM", 300, 10, "MX.example.com")
          .a("mx.example.com", 60, {192, 0, 2, 1})
          .record("x", 99, 1, "whatever")
          .record("t.example.com", 16, 5, std::string_view("\3abc\2de", 7))
          .a("mx.example.com", 60, {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9})
          .soa("example.com", 900, 120)
          .bytes());
  ASSERT_TRUE(message.has_value());
  ASSERT_EQ(message->answers.size(), 4u);
  EXPECT_EQ(message->answers[0].name, "example.com");
  EXPECT_EQ(message->answers[0].text, "mx.example.com");
  EXPECT_EQ(message->answers[0].preference, 10);
  EXPECT_EQ(message->answers[0].ttl_seconds, 300u);
  EXPECT_EQ(message->answers[1].ip.text(), "192.0.2.1");
  EXPECT_EQ(message->answers[2].text, "abcde");
  EXPECT_EQ(message->answers[3].ip.text(), "2001:db8::9");
  EXPECT_EQ(message->negative_ttl_seconds, 120u);
  EXPECT_EQ(message->id, 0x1234);
}

TEST(DnsMessage, FollowsCompressionBackOnly) {
  std::string bytes = WireBuilder("example.com", 1).bytes();
  std::string answer("\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\1\2\3\4", 16);
  bytes[7] = 1;
  auto good = parse_message(bytes + answer);
  ASSERT_TRUE(good.has_value());
  EXPECT_EQ(good->answers[0].name, "example.com");

  auto at = static_cast<char>(bytes.size());
  for (std::string pointer :
       {std::string{'\xc0', at}, std::string{'\xc0', static_cast<char>(at + 2)},
        std::string("\xff\xff", 2)}) {
    answer.replace(0, 2, pointer);
    EXPECT_EQ(parse_message(bytes + answer).error(), MessageError::bad_name);
  }
  // A label, then a pointer to that label: a circle.
  std::string circle = bytes + std::string("\1a\xc0", 3) + at + answer.substr(2);
  EXPECT_EQ(parse_message(circle).error(), MessageError::bad_name);
}

TEST(DnsMessage, StrangeLabelsCannotPassForNames) {
  std::string bytes = WireBuilder("q", 15).bytes();
  bytes[7] = 1;
  std::string data = std::string("\0\12\3a.b\0", 7);
  bytes += WireBuilder::name("q") + std::string("\0\17\0\1\0\0\0\1\0\7", 10) + data;
  auto message = parse_message(bytes);
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->answers[0].text, "a\\046b");
  EXPECT_FALSE(is_host_name(message->answers[0].text));
}

TEST(DnsMessage, EveryCutIsAnError) {
  std::string bytes = WireBuilder("example.com", 15)
                          .mx("example.com", 300, 10, "mx.example.com")
                          .soa("example.com", 900, 120)
                          .bytes();
  ASSERT_TRUE(parse_message(bytes).has_value());
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(parse_message(std::string(bytes, 0, size)).has_value()) << size;
}

TEST(DnsMessage, DataMustFitItsType) {
  EXPECT_EQ(parse_message(WireBuilder("x", 1).record("x", 1, 1, "abc").bytes()).error(),
            MessageError::bad_record);
  EXPECT_EQ(parse_message(WireBuilder("x", 28).record("x", 28, 1, "abcd").bytes()).error(),
            MessageError::bad_record);
  EXPECT_EQ(parse_message(WireBuilder("x", 16).record("x", 16, 1, "\tab").bytes()).error(),
            MessageError::bad_record);
  std::string mx = std::string("\0\1", 2) + WireBuilder::name("m") + "x";
  EXPECT_EQ(parse_message(WireBuilder("x", 15).record("x", 15, 1, mx).bytes()).error(),
            MessageError::bad_record);
}

TEST(DnsMessage, LongNamesAndQueriesAreRefused) {
  std::string name;
  for (int i = 0; i < 5; ++i) name += std::string(62, 'a') + ".";
  name.pop_back();
  EXPECT_EQ(parse_message(WireBuilder(name, 1).bytes()).error(), MessageError::bad_name);
  EXPECT_EQ(parse_message(WireBuilder("x", 1).query().bytes()).error(), MessageError::not_a_reply);
}

TEST(DnsMessage, ATtlWithTheTopBitIsZero) {
  auto message = parse_message(WireBuilder("x", 1).a("x", 0x80000001u, {1, 2, 3, 4}).bytes());
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->answers[0].ttl_seconds, 0u);
}

RecordSet set_of(const WireBuilder& wire, std::string_view name, RecordType type) {
  auto message = parse_message(wire.bytes());
  EXPECT_TRUE(message.has_value());
  auto set = record_set_of(*message, name, type);
  EXPECT_TRUE(set.has_value());
  return set.value_or(RecordSet{});
}

TEST(RecordSet, FollowsAliasesInTheAnswer) {
  RecordSet set = set_of(WireBuilder("a", 1)
                             .cname("b", 50, "c")
                             .cname("a", 100, "b")
                             .a("c", 70, {1, 2, 3, 4})
                             .a("d", 70, {1, 2, 3, 5}),
                         "a", RecordType::a);
  EXPECT_EQ(set.kind, RecordSet::Kind::records);
  ASSERT_EQ(set.records.size(), 1u);
  EXPECT_EQ(set.ttl_seconds, 50u);
}

TEST(RecordSet, NegativeAnswersHaveTheSoasTime) {
  RecordSet set = set_of(WireBuilder("a", 1, 3).soa("a", 1'000, 60), "a", RecordType::a);
  EXPECT_EQ(set.kind, RecordSet::Kind::no_name);
  EXPECT_EQ(set.ttl_seconds, 60u);
  set = set_of(WireBuilder("a", 1).soa("a", 30, 60), "a", RecordType::a);
  EXPECT_EQ(set.kind, RecordSet::Kind::no_data);
  EXPECT_EQ(set.ttl_seconds, 30u);
  set = set_of(WireBuilder("a", 1), "a", RecordType::a);
  EXPECT_EQ(set.kind, RecordSet::Kind::no_data);
  EXPECT_FALSE(set.ttl_seconds.has_value());
}

TEST(RecordSet, AnUnfinishedChainNamesWhereToAsk) {
  RecordSet set = set_of(WireBuilder("a", 1).cname("a", 100, "b"), "a", RecordType::a);
  EXPECT_EQ(set.kind, RecordSet::Kind::alias);
  EXPECT_EQ(set.alias, "b");
  set = set_of(WireBuilder("a", 1).cname("a", 100, "b").soa("b", 9, 9), "a", RecordType::a);
  EXPECT_EQ(set.kind, RecordSet::Kind::no_data);
  set = set_of(WireBuilder("a", 1, 3).cname("a", 100, "b"), "a", RecordType::a);
  EXPECT_EQ(set.kind, RecordSet::Kind::no_name);
}

TEST(RecordSet, CirclesFailuresAndTruncationAreNoAnswer) {
  auto none = [](const WireBuilder& wire) {
    return !record_set_of(*parse_message(wire.bytes()), "a", RecordType::a).has_value();
  };
  EXPECT_TRUE(none(WireBuilder("a", 1).cname("a", 1, "b").cname("b", 1, "a")));
  EXPECT_TRUE(none(WireBuilder("a", 1, 2)));
  EXPECT_TRUE(none(WireBuilder("a", 1, 5)));
  EXPECT_TRUE(none(WireBuilder("a", 1).a("a", 1, {1, 2, 3, 4}).truncated()));
}

TEST(HostName, Syntax) {
  for (const char* name : {"a", "example.com", "xn--mnchen-3ya.de", "_dmarc.a-b.c1"})
    EXPECT_TRUE(is_host_name(name)) << name;
  for (const char* name :
       {"", ".", "a.", ".a", "a..b", "A.b", "a b", "a\\046b", "a/b", "m\xc3\xbc.de"})
    EXPECT_FALSE(is_host_name(name)) << name;
  EXPECT_FALSE(is_host_name(std::string(64, 'a')));
}

}  // namespace
}  // namespace postring::dns
