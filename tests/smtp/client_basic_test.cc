// The conversation without surprises: hello, extensions, one message at a time, goodbye.
#include <gtest/gtest.h>

#include "session.h"

namespace postring::smtp {
namespace {

const std::string kMail = "MAIL FROM:<from@a.example>\r\n";
const std::string kRcpt = "RCPT TO:<to@b.example>\r\n";

SessionOptions with(Pipelining pipelining) {
  SessionOptions options;
  options.pipelining = pipelining;
  return options;
}

TEST(ClientBasic, OneByOneWhereNothingIsOffered) {
  Session s;
  s.open("HELP");
  s.offer(7);
  EXPECT_FALSE(s.client.wants_message());
  EXPECT_EQ(s.said(), kMail);
  EXPECT_EQ(s.client.state(), State::mail);
  s.hear("250 ok\r\n");
  EXPECT_EQ(s.said(), kRcpt);
  EXPECT_EQ(s.client.state(), State::rcpt);
  s.hear("250 ok\r\n");
  EXPECT_EQ(s.said(), "DATA\r\n");
  EXPECT_EQ(s.client.state(), State::data);
  s.hear("354 go\r\n");
  EXPECT_FALSE(s.client.wants_message());
  EXPECT_EQ(s.said(), "{7}.\r\n");
  EXPECT_EQ(s.client.state(), State::final);
  EXPECT_EQ(s.results(), Lines{});
  s.hear("250 2.0.0 queued as A1\r\n");
  ASSERT_EQ(s.client.results().size(), 1u);
  EXPECT_EQ(s.client.reply_of(s.client.results()[0]).text, "queued as A1");
  EXPECT_EQ(s.results(), Lines{"7/0 accepted done 250 done"});
  EXPECT_EQ(s.client.state(), State::idle);
  EXPECT_TRUE(s.client.wants_message());
  s.client.finish();
  EXPECT_FALSE(s.client.wants_message());
  EXPECT_EQ(s.said(), "QUIT\r\n");
  s.hear("221 bye\r\n");
  EXPECT_TRUE(s.client.must_close());
  EXPECT_EQ(s.client.end().cause, EndCause::finished);
  EXPECT_FALSE(s.client.end().before_mail);
}

TEST(ClientBasic, EveryByteOnItsOwn) {
  Session s;
  std::string said;
  bool offered = false;
  for (char c :
       std::string("220-hi\r\n220 mx\r\n250-mx\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n354 "
                   "go\r\n250 ok\r\n221 bye\r\n")) {
    s.hear(std::string_view(&c, 1));
    if (!offered && s.client.wants_message()) {
      s.offer(1);
      s.client.finish();
      offered = true;
    }
    said += s.said();
  }
  EXPECT_EQ(said, "EHLO me.example\r\n" + kMail + kRcpt + "DATA\r\n{1}.\r\nQUIT\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 accepted done 250 done"});
  EXPECT_TRUE(s.client.must_close());
}

TEST(ClientBasic, ExtensionsAreRead) {
  Session s;
  s.open("pipelining,Chunking,SIZE 35882577,8BITMIME,SMTPUTF8,ENHANCEDSTATUSCODES,STARTTLS,DSN");
  const Peer& peer = s.client.peer();
  EXPECT_TRUE(peer.pipelining && peer.chunking && peer.size && peer.eight_bit && peer.smtputf8);
  EXPECT_TRUE(peer.enhanced_codes && peer.starttls && peer.dsn);
  EXPECT_EQ(peer.size_bytes_max, 35'882'577u);
  EXPECT_FALSE(peer.helo_only);
}

TEST(ClientBasic, HeloWhereEhloIsRefused) {
  Session s;
  s.hear("220 mx\r\n");
  EXPECT_EQ(s.said(), "EHLO me.example\r\n");
  s.hear("502 5.5.1 what?\r\n");
  EXPECT_EQ(s.client.state(), State::helo);
  EXPECT_EQ(s.said(), "HELO me.example\r\n");
  s.hear("250 PIPELINING\r\n");
  EXPECT_TRUE(s.client.peer().helo_only);
  EXPECT_FALSE(s.client.peer().pipelining);
  s.offer(1);
  EXPECT_EQ(s.said(), kMail);
}

TEST(ClientBasic, HeloRefusedEndsTheSession) {
  Session s;
  s.hear("220 mx\r\n");
  s.said();
  s.hear("500 no\r\n");
  s.said();
  s.hear("550 5.7.1 no\r\n");
  EXPECT_TRUE(s.client.must_close());
  EXPECT_EQ(s.client.end().cause, EndCause::refused);
  EXPECT_TRUE(s.client.end().before_mail);
  EXPECT_TRUE(s.client.end().permanent);
  EXPECT_EQ(s.client.end().stage, Stage::ehlo);
}

TEST(ClientBasic, GreetingDecides) {
  struct Case {
    const char* bytes;
    EndCause cause;
    bool permanent;
  };
  for (const Case& c : {Case{"554 5.7.1 go away\r\n", EndCause::refused, true},
                        Case{"450 later\r\n", EndCause::refused, false},
                        Case{"421 busy\r\n", EndCause::closing, false},
                        Case{"SSH-2.0-OpenSSH_9.2\r\n", EndCause::garbled, false}}) {
    Session s;
    s.hear(c.bytes);
    EXPECT_EQ(s.said(), "");
    EXPECT_TRUE(s.client.must_close());
    EXPECT_EQ(s.client.end().cause, c.cause) << c.bytes;
    EXPECT_EQ(s.client.end().permanent, c.permanent);
    EXPECT_EQ(s.client.end().stage, Stage::greeting);
    EXPECT_TRUE(s.client.end().before_mail);
    EXPECT_EQ(s.results(), Lines{});
  }
}

TEST(ClientBasic, ParametersAsOfferedAndNeeded) {
  Session s(with(Pipelining::off));
  s.open("SIZE 0,8BITMIME,SMTPUTF8");
  Envelope envelope;
  std::vector<std::string_view> recipients = {"to@b.example"};
  envelope.recipients = recipients;
  envelope.size_bytes = 12'345;
  envelope.content_8bit = true;
  envelope.smtputf8 = true;
  s.client.offer(envelope);
  EXPECT_EQ(s.said(), "MAIL FROM:<> SIZE=12345 BODY=8BITMIME SMTPUTF8\r\n");
}

TEST(ClientBasic, NonAsciiAddressesAskForSmtpUtf8) {
  Session s(with(Pipelining::off));
  s.open("SMTPUTF8");
  s.offer(1, {"j\xc3\xb6@b.example"});
  EXPECT_EQ(s.said(), "MAIL FROM:<from@a.example> SMTPUTF8\r\n");
}

TEST(ClientBasic, WhatThePeerCannotTakeIsRefusedUnsaid) {
  Session s;
  s.open("SIZE 999");
  s.offer(1);
  EXPECT_EQ(s.results(), Lines{"1/0 refused mail 0 done"});
  std::vector<std::string_view> recipients = {"to@b.example", "j\xc3\xb6@b.example", "a\r\nb"};
  Envelope envelope{.message = 2, .sender = "f@a", .recipients = recipients, .content_8bit = true};
  s.client.offer(envelope);
  EXPECT_EQ(s.results(),
            (Lines{"2/0 refused mail 0", "2/1 refused mail 0", "2/2 refused mail 0 done"}));
  envelope.content_8bit = false;
  s.client.offer(envelope);
  EXPECT_EQ(s.results(), (Lines{"2/1 refused rcpt 0", "2/2 refused rcpt 0"}));
  EXPECT_EQ(s.said(), "MAIL FROM:<f@a> SIZE=0\r\n");
}

TEST(ClientBasic, ASenderThatCannotBeSaidIsRefused) {
  Session s;
  s.open();
  std::vector<std::string_view> recipients = {"to@b.example"};
  s.client.offer({.message = 1, .sender = "a>\r\nRSET", .recipients = recipients});
  EXPECT_EQ(s.results(), Lines{"1/0 refused mail 0 done"});
  EXPECT_EQ(s.said(), "");
  EXPECT_TRUE(s.client.wants_message());
}

TEST(ClientBasic, EightBitContentGoesAnywayWhereAllowed) {
  SessionOptions options;
  options.ignore_8bit = true;
  Session s(options);
  s.open("PIPELINING");
  std::vector<std::string_view> recipients = {"to@b.example"};
  s.client.offer({.message = 1, .sender = "f@a", .recipients = recipients, .content_8bit = true});
  EXPECT_EQ(s.said(), "MAIL FROM:<f@a>\r\nRCPT TO:<to@b.example>\r\nDATA\r\n");
}

TEST(ClientBasic, PlainSaysNothingOptional) {
  SessionOptions options;
  Session s(options.plain());
  s.open("PIPELINING,CHUNKING,SIZE 100000");
  s.offer(1);
  EXPECT_EQ(s.said(), kMail);
  s.hear("250 ok\r\n");
  EXPECT_EQ(s.said(), kRcpt);
  s.hear("250 ok\r\n");
  EXPECT_EQ(s.said(), "DATA\r\n");
}

TEST(ClientBasic, SeveralRecipientsHaveTheirOwnOutcomes) {
  Session s(with(Pipelining::within));
  s.open();
  s.offer(1, {"a@b", "b@b", "c@b", "d@b"});
  EXPECT_EQ(s.said(), kMail +
                          "RCPT TO:<a@b>\r\nRCPT TO:<b@b>\r\nRCPT TO:<c@b>\r\nRCPT TO:<d@b>\r\n"
                          "DATA\r\n");
  s.hear("250 ok\r\n250 ok\r\n550 5.1.1 no\r\n451 4.7.1 greylisted\r\n552 too many\r\n354 go\r\n");
  EXPECT_EQ(s.results(),
            (Lines{"1/1 refused rcpt 550", "1/2 deferred rcpt 451", "1/3 unsent rcpt 552"}));
  EXPECT_EQ(s.said(), "{1}.\r\n");
  s.hear("250 ok\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 accepted done 250 done"});
}

TEST(ClientBasic, TimeoutsFollowTheStates) {
  Session s;
  EXPECT_EQ(s.client.timeout(), Duration::minutes(5));
  s.open();
  s.offer(1);
  uint64_t progress = s.client.progress();
  s.said();
  EXPECT_NE(s.client.progress(), progress);
  s.hear("250 ok\r\n250 ok\r\n");
  EXPECT_EQ(s.client.timeout(), Duration::minutes(2));
  progress = s.client.progress();
  s.hear("354 g");
  EXPECT_EQ(s.client.progress(), progress) << "a part of a reply is no progress";
  s.hear("o\r\n");
  s.take();
  EXPECT_EQ(s.client.state(), State::body);
  EXPECT_EQ(s.client.timeout(), Duration::minutes(3));
  s.client.flight_sent();
  EXPECT_EQ(s.client.timeout(), Duration::minutes(10));
}

TEST(ClientBasic, OptionsChangeTimeouts) {
  SessionOptions options;
  options.timeouts[State::greeting] = Duration::seconds(30);
  Session s(options);
  EXPECT_EQ(s.client.timeout(), Duration::seconds(30));
}

TEST(ClientBasic, FlightsLeaveOneAtATime) {
  Session s;
  s.open();
  s.offer(1);
  EXPECT_NE(s.take(), "");
  s.hear("250 ok\r\n250 ok\r\n354 go\r\n");
  EXPECT_EQ(s.take(), "") << "the last flight is still being sent";
  s.client.flight_sent();
  EXPECT_EQ(s.take(), "{1}.\r\n");
}

TEST(ClientBasic, TooManyRecipientsIsNoWordAboutTheRest) {
  Session s(with(Pipelining::within));
  s.open();
  s.offer(1, {"a@b", "b@b", "c@b", "d@b"});
  s.said();
  s.hear("250 ok\r\n250 ok\r\n250 ok\r\n452 4.5.3 too many\r\n452 4.2.2 full\r\n354 go\r\n");
  EXPECT_EQ(s.results(), (Lines{"1/2 unsent rcpt 452", "1/3 deferred rcpt 452"}));
  EXPECT_EQ(s.client.peer().recipients_max, 2u);
  EXPECT_EQ(s.said(), "{1}.\r\n");
  s.hear("250 ok\r\n");
  EXPECT_EQ(s.results(), (Lines{"1/0 accepted done 250", "1/1 accepted done 250 done"}));
  s.offer(2, {"a@b"});
  s.said();
  s.hear("250 ok\r\n452 4.5.3 too many\r\n503 5.5.1 no recipients\r\n");
  EXPECT_EQ(s.results(), Lines{"2/0 deferred rcpt 452 done"}) << "it was the first";
}

TEST(ClientBasic, TheAnswerToTheContentCountsForAllThatWereAccepted) {
  for (const char* extensions : {"PIPELINING", "PIPELINING,CHUNKING", ""}) {
    Session s;
    s.open(extensions);
    s.offer(1, {"a@b", "b@b", "c@b"});
    std::string said;
    for (const char* reply : {"250 ok\r\n", "250 ok\r\n", "550 5.1.1 no\r\n", "250 ok\r\n"}) {
      said += s.said();
      s.hear(reply);
    }
    EXPECT_EQ(s.results(), Lines{"1/1 refused rcpt 550"});
    said += s.said();
    if (std::string_view(extensions).find("CHUNKING") == std::string_view::npos) {
      s.hear("354 go\r\n");
      EXPECT_EQ(s.said(), "{1}.\r\n");
    } else {
      EXPECT_TRUE(said.ends_with("BDAT 1000 LAST\r\n{1 plain}")) << said;
    }
    s.hear("451 4.3.0 later\r\n");
    EXPECT_EQ(s.results(), (Lines{"1/0 deferred body 451", "1/2 deferred body 451 done"}));
  }
}

TEST(ClientBasic, AContentForNobodyIsALoneDot) {
  Session s;
  s.open();
  s.offer(1, {"a@b", "b@b"});
  s.said();
  s.hear("250 ok\r\n550 5.1.1 no\r\n450 4.2.1 later\r\n354 go\r\n");
  EXPECT_EQ(s.results(), (Lines{"1/0 refused rcpt 550", "1/1 deferred rcpt 450 done"}));
  EXPECT_EQ(s.said(), ".\r\n");
  s.hear("554 5.5.1 no valid recipients\r\n");
  EXPECT_EQ(s.results(), Lines{});
  EXPECT_TRUE(s.client.wants_message());
}

TEST(ClientBasic, ALostFinalReplyIsAmbiguousForAllThatWereAccepted) {
  Session s;
  s.open();
  s.offer(1, {"a@b", "b@b", "c@b"});
  s.said();
  s.hear("250 ok\r\n250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go\r\n");
  s.results();
  s.said();
  s.client.lost(0);
  EXPECT_EQ(s.results(), (Lines{"1/0 ambiguous body 0", "1/2 ambiguous body 0 done"}));
}

}  // namespace
}  // namespace postring::smtp
