// Pipelining within and across messages, chunking, and what of it may be our own fault.
#include <gtest/gtest.h>

#include "session.h"

namespace postring::smtp {
namespace {

const std::string kGroup = "MAIL FROM:<from@a.example>\r\nRCPT TO:<to@b.example>\r\n";
const std::string kDataGroup = kGroup + "DATA\r\n";

SessionOptions with(Pipelining pipelining) {
  SessionOptions options;
  options.pipelining = pipelining;
  return options;
}

// A session that has been told to send message 1 (354 heard), nothing said since.
void open_content(Session& s) {
  s.open();
  s.offer(1);
  EXPECT_EQ(s.said(), kDataGroup);
  s.hear("250 ok\r\n250 ok\r\n354 go\r\n");
}

TEST(ClientPipelining, SteadyFlowAcross) {
  Session s;
  open_content(s);
  for (uint64_t message = 1; message < 10; ++message) {
    ASSERT_TRUE(s.client.wants_message());
    s.offer(message + 1);
    EXPECT_FALSE(s.client.wants_message());
    EXPECT_EQ(s.take(), "{" + std::to_string(message) + "}.\r\n" + kDataGroup);
    s.client.flight_sent();
    s.hear("250 2.0.0 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    EXPECT_EQ(s.results(), Lines{std::to_string(message) + "/0 accepted done 250 done"});
  }
  s.client.finish();
  EXPECT_EQ(s.take(), "{10}.\r\nQUIT\r\n");
  s.client.flight_sent();
  s.hear("250 ok\r\n221 bye\r\n");
  EXPECT_EQ(s.results(), Lines{"10/0 accepted done 250 done"});
  EXPECT_EQ(s.client.end().cause, EndCause::finished);
  EXPECT_EQ(s.client.messages_done(), 10u);
}

TEST(ClientPipelining, ALateMessageFollowsTheContent) {
  Session s;
  open_content(s);
  EXPECT_EQ(s.said(), "{1}.\r\n");
  EXPECT_TRUE(s.client.wants_message());
  s.offer(2);
  EXPECT_EQ(s.said(), kDataGroup);
  s.hear("250 ok\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 accepted done 250 done"});
  EXPECT_FALSE(s.client.wants_message());
  s.hear("250 ok\r\n250 ok\r\n354 go\r\n");
  EXPECT_EQ(s.said(), "{2}.\r\n");
}

TEST(ClientPipelining, WithinWaitsForTheContentsReply) {
  Session s(with(Pipelining::within));
  open_content(s);
  EXPECT_FALSE(s.client.wants_message());
  s.client.finish();
  EXPECT_EQ(s.said(), "{1}.\r\n") << "QUIT waits too";
  s.hear("250 ok\r\n");
  EXPECT_EQ(s.said(), "QUIT\r\n");
}

TEST(ClientPipelining, OffThoughOffered) {
  Session s(with(Pipelining::off));
  s.open();
  s.offer(1);
  EXPECT_EQ(s.said(), "MAIL FROM:<from@a.example>\r\n");
}

TEST(ClientPipelining, NoGoodRecipientAnd354MeansALoneDot) {
  Session s;
  s.open();
  s.offer(1);
  s.said();
  s.hear("250 ok\r\n550 5.1.1 no\r\n354 go\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 refused rcpt 550 done"});
  s.offer(2);
  EXPECT_EQ(s.said(), ".\r\n" + kDataGroup);
  s.hear("554 no valid recipients\r\n250 ok\r\n250 ok\r\n354 go\r\n");
  EXPECT_EQ(s.results(), Lines{});
  EXPECT_EQ(s.said(), "{2}.\r\n");
}

TEST(ClientPipelining, RefusedMailDecidesForEveryRecipient) {
  Session s;
  s.open();
  s.offer(1, {"a@b", "b@b"});
  s.said();
  s.hear("550 5.7.1 not you\r\n503 no MAIL\r\n503 no MAIL\r\n503 no RCPT\r\n");
  EXPECT_EQ(s.results(), (Lines{"1/0 refused mail 550", "1/1 refused mail 550 done"}));
  s.offer(2);
  EXPECT_EQ(s.said(), kDataGroup) << "nothing to reset";
}

// The next one has to say RSET.
void end_without_a_dot(Session& s) {
  s.open();
  s.offer(1);
  s.said();
  s.hear("250 ok\r\n450 later\r\n554 no valid recipients\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 deferred rcpt 450 done"});
}

TEST(ClientPipelining, ATransactionThatEndedWithoutADotIsReset) {
  Session s;
  end_without_a_dot(s);
  s.offer(2);
  EXPECT_EQ(s.said(), "RSET\r\n" + kDataGroup);
  s.hear("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
  EXPECT_EQ(s.said(), "{2}.\r\n");
}

TEST(ClientPipelining, AMailThatCameTooEarlyBehindAResetIsTriedPlainOnce) {
  Session s;
  end_without_a_dot(s);
  s.offer(2);
  EXPECT_EQ(s.said(), "RSET\r\n" + kDataGroup);
  s.hear("250 ok\r\n503 5.5.0 not ahead of my reply\r\n503 no MAIL\r\n503 no RCPT\r\n");
  EXPECT_EQ(s.results(), Lines{"2/0 refused mail 503 plain done"});
  EXPECT_TRUE(s.client.peer().pipelining_failed);
}

TEST(ClientPipelining, AMailThatIsRefusedForItselfBehindAResetIsRefused) {
  Session s;
  end_without_a_dot(s);
  s.offer(2);
  s.said();
  s.hear("250 ok\r\n550 5.7.1 not you\r\n503 no MAIL\r\n503 no RCPT\r\n");
  EXPECT_EQ(s.results(), Lines{"2/0 refused mail 550 done"});
  EXPECT_FALSE(s.client.peer().pipelining_failed);
}

TEST(ClientPipelining, ResetIsAwaitedWherePipeliningIsOff) {
  Session s(with(Pipelining::off));
  s.open();
  s.offer(1);
  s.said();
  s.hear("250 ok\r\n");
  s.said();
  s.hear("550 5.1.1 no\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 refused rcpt 550 done"});
  EXPECT_FALSE(s.client.wants_message()) << "it could not leave at once";
  EXPECT_EQ(s.said(), "RSET\r\n");
  EXPECT_FALSE(s.client.wants_message());
  s.hear("250 ok\r\n");
  s.offer(2);
  EXPECT_EQ(s.said(), "MAIL FROM:<from@a.example>\r\n");
}

TEST(ClientPipelining, ARefusedResetEndsTheSession) {
  Session s;
  s.open();
  s.offer(1);
  s.said();
  s.hear("250 ok\r\n450 later\r\n554 no\r\n");
  s.results();
  s.offer(2);
  s.said();
  s.hear("502 no\r\n");
  EXPECT_TRUE(s.client.must_close());
  EXPECT_EQ(s.results(), Lines{"2/0 unsent mail 502 done"});
}

TEST(ClientPipelining, RefusedDataDefersTheAcceptedRecipients) {
  Session s;
  s.open();
  s.offer(1, {"a@b", "b@b"});
  s.said();
  s.hear("250 ok\r\n250 ok\r\n550 5.1.1 no\r\n451 4.3.0 disk\r\n");
  EXPECT_EQ(s.results(), (Lines{"1/1 refused rcpt 550", "1/0 deferred data 451 done"}));
}

TEST(ClientPipelining, ARefusalBehindAContentIsTriedPlainly) {
  Session s;
  open_content(s);
  s.offer(2);
  s.said();
  s.hear("250 ok\r\n503 5.5.1 nested\r\n503 x\r\n503 x\r\n");
  EXPECT_EQ(s.results(), (Lines{"1/0 accepted done 250 done", "2/0 refused mail 503 plain done"}));
  EXPECT_TRUE(s.client.peer().pipelining_failed);
}

TEST(ClientPipelining, ASequenceErrorInAGroupIsTriedPlainly) {
  Session s;
  s.open();
  s.offer(1);
  s.said();
  s.hear("250 ok\r\n503 5.5.1 what\r\n503 x\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 refused rcpt 503 plain done"});
  s.offer(2);
  s.said();
  s.hear("250 ok\r\n250 ok\r\n250 ok\r\n554 synchronization error\r\n");
  EXPECT_EQ(s.results(), Lines{"2/0 refused data 554 plain done"});
}

TEST(ClientPipelining, APlainWordAboutTheRecipientIsBelieved) {
  Session s;
  open_content(s);
  s.said();
  s.hear("550 5.7.1 spam\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 refused body 550 done"});
}

TEST(ClientPipelining, WhatWasSaidPlainlyIsBelieved) {
  Session s(with(Pipelining::off));
  s.open();
  s.offer(1);
  s.said();
  s.hear("503 no\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 refused mail 503 done"});
}

TEST(ClientPipelining, ParametersMayBeOurFault) {
  Session s(with(Pipelining::off));
  s.open("SIZE 100000");
  s.offer(1);
  s.said();
  s.hear("555 5.5.4 unsupported parameter\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 refused mail 555 plain done"});
}

// ---------------------------------------------------------------------------------------- chunking

TEST(ClientChunking, TheContentFollowsTheRecipientsAndTheNextRidesBehind) {
  Session s;
  s.open("PIPELINING,CHUNKING");
  s.offer(1);
  EXPECT_EQ(s.said(), kGroup);
  s.hear("250 ok\r\n250 ok\r\n");
  s.offer(2);
  EXPECT_EQ(s.said(), "BDAT 1000 LAST\r\n{1 plain}" + kGroup);
  s.hear("250 ok\r\n250 ok\r\n250 ok\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 accepted done 250 done"});
  s.client.finish();
  EXPECT_EQ(s.said(), "BDAT 1000 LAST\r\n{2 plain}QUIT\r\n");
}

TEST(ClientChunking, NoContentIsSentWithoutARecipient) {
  Session s;
  s.open("PIPELINING,CHUNKING");
  s.offer(1);
  s.said();
  s.hear("250 ok\r\n550 5.1.1 no\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 refused rcpt 550 done"});
  EXPECT_EQ(s.said(), "");
  s.offer(2);
  EXPECT_EQ(s.said(), "RSET\r\n" + kGroup);
}

TEST(ClientChunking, AFailedChunkIsReset) {
  Session s(with(Pipelining::within));
  s.open("PIPELINING,CHUNKING");
  s.offer(1);
  s.said();
  s.hear("250 ok\r\n250 ok\r\n");
  s.said();
  s.hear("451 4.3.0 disk\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 deferred body 451 done"});
  s.offer(2);
  EXPECT_EQ(s.said(), "RSET\r\n" + kGroup);
}

TEST(ClientChunking, APeerThatDoesNotKnowItIsRememberedAndLeft) {
  Session s;
  s.open("PIPELINING,CHUNKING");
  s.offer(1);
  s.said();
  s.hear("250 ok\r\n250 ok\r\n");
  s.offer(2);
  s.said();
  s.hear("502 5.5.1 what\r\n");
  EXPECT_EQ(s.results(), (Lines{"1/0 refused body 502 plain done", "2/0 unsent mail 502 done"}));
  EXPECT_TRUE(s.client.peer().chunking_failed);
  EXPECT_TRUE(s.client.must_close());
}

TEST(ClientChunking, AContentRefusedForItselfGoesOn) {
  Session s;
  s.open("PIPELINING,CHUNKING");
  s.offer(1);
  s.said();
  s.hear("250 ok\r\n250 ok\r\n");
  s.offer(2);
  s.said();
  s.hear("554 5.7.1 spam\r\n250 ok\r\n250 ok\r\n");
  EXPECT_EQ(s.results(), Lines{"1/0 refused body 554 done"});
  EXPECT_EQ(s.said(), "BDAT 1000 LAST\r\n{2 plain}");
}

TEST(ClientChunking, NotAcrossWherePipeliningIsOff) {
  Session s(with(Pipelining::off));
  s.open("PIPELINING,CHUNKING");
  s.offer(1);
  EXPECT_EQ(s.said(), "MAIL FROM:<from@a.example>\r\n");
  s.hear("250 ok\r\n");
  EXPECT_EQ(s.said(), "RCPT TO:<to@b.example>\r\n");
  s.hear("250 ok\r\n");
  EXPECT_EQ(s.said(), "BDAT 1000 LAST\r\n{1 plain}");
}

TEST(ClientChunking, ASilentPeerIsRemembered) {
  Session s;
  s.open("PIPELINING,CHUNKING");
  s.offer(1);
  s.said();
  s.hear("250 ok\r\n250 ok\r\n");
  s.said();
  s.client.timed_out();
  EXPECT_EQ(s.results(), Lines{"1/0 ambiguous body 0 done"});
  EXPECT_TRUE(s.client.peer().chunking_failed);
}

}  // namespace
}  // namespace postring::smtp
