// Sessions that end early: 421, lost connections, time, garbage, and the wish to stop.
#include <gtest/gtest.h>

#include <cerrno>

#include "session.h"

namespace postring::smtp {
namespace {

const std::string kDataGroup = "MAIL FROM:<from@a.example>\r\nRCPT TO:<to@b.example>\r\nDATA\r\n";

// Opens a session and offers message 1 with its group said.
void open_group(Session& s) {
  s.open();
  s.offer(1);
  EXPECT_EQ(s.said(), kDataGroup);
}

void open_content(Session& s) {
  open_group(s);
  s.hear("250 ok\r\n250 ok\r\n354 go\r\n");
}

TEST(ClientFailure, LostBeforeMailIsTheSessionsResult) {
  Session s;
  s.open();
  s.client.lost(ECONNRESET);
  EXPECT_TRUE(s.client.must_close());
  EXPECT_TRUE(s.client.end().before_mail);
  EXPECT_EQ(s.client.end().cause, EndCause::lost);
  EXPECT_EQ(s.client.end().reply.code, 0);
  EXPECT_EQ(s.client.end().reply.text,
            "the connection was lost while between two messages: Connection reset by peer");
  EXPECT_EQ(s.results(), Lines{});
}

TEST(ClientFailure, LostAtEachStep) {
  struct Case {
    const char* replies;
    Lines results;
  };
  for (const Case& c : {Case{"", {"1/0 deferred mail 0 plain done"}},
                        Case{"250 ok\r\n", {"1/0 deferred rcpt 0 plain done"}},
                        Case{"250 ok\r\n250 ok\r\n", {"1/0 deferred data 0 plain done"}}}) {
    Session s;
    open_group(s);
    s.hear(c.replies);
    s.client.lost(0);
    EXPECT_EQ(s.results(), c.results);
    EXPECT_FALSE(s.client.end().before_mail);
  }
}

TEST(ClientFailure, LostAfterTheContentIsAmbiguous) {
  Session s;
  open_content(s);
  s.offer(2);
  s.said();
  s.client.lost(0);
  EXPECT_EQ(s.results(), (Lines{"1/0 ambiguous body 0 done", "2/0 unsent mail 0 done"}));
}

TEST(ClientFailure, LostInTheContentDependsOnWhatLeft) {
  for (bool left : {false, true}) {
    Session s;
    open_content(s);
    s.take();
    s.client.lost(EPIPE, left);
    EXPECT_EQ(s.results(),
              left ? Lines{"1/0 ambiguous body 0 done"} : Lines{"1/0 deferred body 0 plain done"});
  }
}

TEST(ClientFailure, LostBetweenTwoMessagesIsNoAttempt) {
  Session s;
  open_content(s);
  s.offer(2);
  s.said();
  s.hear("250 ok\r\n");
  s.client.lost(0);
  EXPECT_EQ(s.results(), (Lines{"1/0 accepted done 250 done", "2/0 unsent mail 0 done"}));
}

TEST(ClientFailure, AMessageNotYetSaidIsUnsent) {
  Session s;
  s.open();
  s.offer(1);
  s.client.lost(0);
  EXPECT_EQ(s.results(), Lines{"1/0 unsent mail 0 done"});
  EXPECT_TRUE(s.client.end().before_mail);
}

TEST(ClientFailure, ClosingAtTheFirstMailCountsLaterNot) {
  Session s;
  open_group(s);
  s.hear("421 4.7.0 too fast\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 deferred mail 421 done"});
  EXPECT_EQ(s.client.end().cause, EndCause::closing);

  Session later;
  open_content(later);
  later.offer(2);
  later.said();
  later.hear("250 ok\r\n421 4.7.0 enough\r\n");
  EXPECT_EQ(later.results(), (Lines{"1/0 accepted done 250 done", "2/0 unsent mail 421 done"}));
}

TEST(ClientFailure, ClosingInPlaceOfTheFinalReplyIsNotAmbiguous) {
  Session s;
  open_content(s);
  s.offer(2);
  s.said();
  s.hear("421 4.3.2 going down\r\n");
  EXPECT_EQ(s.results(), (Lines{"1/0 deferred body 421 done", "2/0 unsent mail 421 done"}));
}

TEST(ClientFailure, ClosingAtARecipientKeepsWhatWasSaid) {
  Session s;
  s.open();
  s.offer(1, {"a@b", "b@b", "c@b"});
  s.said();
  s.hear("250 ok\r\n550 5.1.1 no\r\n421 later\r\n");
  EXPECT_EQ(s.results(),
            (Lines{"1/0 refused rcpt 550", "1/1 deferred rcpt 421", "1/2 deferred rcpt 421 done"}));
}

TEST(ClientFailure, ClosingWhileIdle) {
  Session s;
  s.open();
  s.hear("421 idle too long\r\n");
  EXPECT_TRUE(s.client.must_close());
  EXPECT_EQ(s.client.end().cause, EndCause::closing);
}

TEST(ClientFailure, AReplyNobodyAskedForIsGarbled) {
  Session s;
  s.open();
  s.hear("250 surprise\r\n");
  EXPECT_EQ(s.client.end().cause, EndCause::garbled);
}

TEST(ClientFailure, GarbageAndWrongClassesEndInOrder) {
  for (const char* bytes : {"\x16\x03\x01\r\n", "250-a\r\n354 b\r\n", "354 what\r\n",
                            "250 ok\r\n354 what\r\n", "250 ok\r\n250 ok\r\n250 what\r\n"}) {
    Session s;
    open_group(s);
    s.hear(bytes);
    EXPECT_TRUE(s.client.must_close());
    EXPECT_EQ(s.client.end().cause, EndCause::garbled) << bytes;
    ASSERT_EQ(s.client.results().size(), 1u);
    EXPECT_EQ(s.client.results()[0].verdict, Verdict::deferred);
  }
}

TEST(ClientFailure, GarbageAfterTheContentIsAmbiguous) {
  Session s;
  open_content(s);
  s.said();
  s.hear("what?\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 ambiguous body 0 done"});
}

TEST(ClientFailure, TimeIsNamed) {
  Session s;
  open_group(s);
  s.hear("250 ok\r\n");
  s.client.timed_out();
  EXPECT_EQ(s.client.end().cause, EndCause::timed_out);
  EXPECT_EQ(s.client.end().reply.text, "timed out while waiting for the reply to RCPT TO");
  EXPECT_EQ(s.client.end().stage, Stage::rcpt);
}

TEST(ClientFailure, NothingHappensAfterTheEnd) {
  Session s;
  open_group(s);
  s.client.lost(0);
  s.results();
  s.hear("250 ok\r\n");
  s.client.timed_out();
  s.client.lost(0);
  s.client.stop();
  s.client.finish();
  EXPECT_EQ(s.said(), "");
  EXPECT_FALSE(s.client.wants_message());
  EXPECT_EQ(s.results(), Lines{});
  EXPECT_EQ(s.client.state(), State::closed);
}

TEST(ClientFailure, AnEarlyRefusalDuringTheContent) {
  Session s;
  open_content(s);
  s.take();
  s.hear("552 5.3.4 too big\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 refused body 552 done"});
  EXPECT_FALSE(s.client.must_close());
  s.client.flight_sent();
  s.offer(2);
  EXPECT_EQ(s.said(), kDataGroup);
}

// -------------------------------------------------------------------------------------------- stop

TEST(ClientStop, BeforeTheGreeting) {
  Session s;
  s.client.stop();
  EXPECT_TRUE(s.client.must_close());
  EXPECT_EQ(s.client.end().cause, EndCause::stopped);
}

TEST(ClientStop, BetweenEhloAndItsReply) {
  Session s;
  s.hear("220 mx\r\n");
  EXPECT_EQ(s.said(), "EHLO me.example\r\n");
  s.client.stop();
  // EHLO is the last command of its group (RFC 2920 section 3.1).
  EXPECT_EQ(s.said(), "");
  s.hear("250 mx\r\n");
  EXPECT_FALSE(s.client.wants_message());
  EXPECT_EQ(s.said(), "QUIT\r\n");
  EXPECT_FALSE(s.client.must_close());
  s.hear("221 bye\r\n");
  EXPECT_TRUE(s.client.must_close());
  EXPECT_EQ(s.client.end().cause, EndCause::stopped);
  EXPECT_TRUE(s.client.end().before_mail);
}

TEST(ClientStop, WhileIdle) {
  Session s;
  s.open();
  s.client.stop();
  EXPECT_EQ(s.said(), "QUIT\r\n");
  s.client.lost(0);
  EXPECT_EQ(s.client.end().cause, EndCause::stopped);
}

TEST(ClientStop, WaitsForTheReplyToResetWherePipeliningIsOff) {
  SessionOptions options;
  options.pipelining = Pipelining::off;
  Session s(options);
  s.open();
  s.offer(1);
  s.said();
  s.hear("250 ok\r\n");
  s.said();
  s.hear("550 5.1.1 no\r\n");
  EXPECT_EQ(s.said(), "RSET\r\n");
  s.client.stop();
  EXPECT_EQ(s.said(), "");
  s.hear("250 ok\r\n");
  EXPECT_EQ(s.said(), "QUIT\r\n");
}

TEST(ClientStop, WaitsForTheReplyToTheContent) {
  Session s;
  open_content(s);
  s.offer(2);
  s.said();
  s.client.stop();
  EXPECT_EQ(s.results(), Lines{"2/0 unsent mail 0 done"});
  EXPECT_EQ(s.said(), "") << "the taken-back message's replies are due";
  s.hear("250 ok\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 accepted done 250 done"});
  s.hear("250 ok\r\n250 ok\r\n");
  EXPECT_FALSE(s.client.must_close());
  s.hear("354 go\r\n");
  EXPECT_TRUE(s.client.must_close()) << "nothing but the content may follow a 354";
  EXPECT_EQ(s.client.end().cause, EndCause::stopped);
}

TEST(ClientStop, TakesBackTheMessageThatRidesBehindUnsaid) {
  Session s;
  open_content(s);
  s.take();
  s.offer(2);
  s.client.stop();
  EXPECT_EQ(s.results(), Lines{"2/0 unsent mail 0 done"});
  s.client.flight_sent();
  EXPECT_EQ(s.said(), "QUIT\r\n");
  s.hear("250 ok\r\n221 bye\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 accepted done 250 done"});
  EXPECT_EQ(s.client.end().cause, EndCause::stopped);
}

TEST(ClientStop, Behind354ItClosesAtOnce) {
  Session s;
  open_content(s);
  s.client.stop();
  EXPECT_EQ(s.results(), Lines{"1/0 unsent mail 0 done"});
  EXPECT_TRUE(s.client.must_close());
  EXPECT_EQ(s.said(), "");
}

TEST(ClientStop, OneByOneItQuitsAfterTheReply) {
  SessionOptions options;
  options.pipelining = Pipelining::off;
  Session s(options);
  s.open();
  s.offer(1);
  s.said();
  s.client.stop();
  EXPECT_EQ(s.results(), Lines{"1/0 unsent mail 0 done"});
  EXPECT_EQ(s.said(), "");
  s.hear("250 ok\r\n");
  EXPECT_EQ(s.said(), "QUIT\r\n");
}

TEST(ClientStop, ChunkingTakesBackBeforeTheContent) {
  Session s;
  s.open("PIPELINING,CHUNKING");
  s.offer(1);
  s.said();
  s.hear("250 ok\r\n250 ok\r\n");
  s.client.stop();
  EXPECT_EQ(s.results(), Lines{"1/0 unsent mail 0 done"});
  EXPECT_EQ(s.said(), "QUIT\r\n");
}

}  // namespace
}  // namespace postring::smtp
