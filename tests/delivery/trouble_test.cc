// Hosts that refuse, drop and stumble, DNS that does not answer, descriptors that are short.
#include <gtest/gtest.h>

#include <algorithm>

#include "io/clock.h"
#include "world.h"

namespace postring::delivery {
namespace {

std::string address_of(int i, std::string_view domain = "example.com") {
  return "user" + std::to_string(i) + "@" + std::string(domain);
}

WorldOptions to(const SmtpHost& host) {
  WorldOptions options;
  options.settings = quick_settings();
  options.routes = {{"*", {host.address()}}};
  return options;
}

TEST(DeliveryInTrouble, OutcomesFollowTheReplies) {
  HostBehaviour behaviour;
  behaviour.on_rcpt = [](const std::string& recipient) -> std::string {
    if (recipient.starts_with("full")) return "452 4.2.2 mailbox full";
    if (recipient.starts_with("gone")) return "550 5.1.1 no such user";
    return "";
  };
  behaviour.on_content = [](const ReceivedMail& mail) -> std::string {
    return mail.recipients[0].starts_with("spam") ? "554 5.7.1 looks like spam" : "";
  };
  SmtpHost host(behaviour);
  World world(to(host));
  for (const char* who : {"full", "gone", "spam", "good"})
    world.homes().add(std::string(who) + "@example.com");
  ASSERT_TRUE(world.run_dry());
  ASSERT_EQ(world.settled_count(), 4u);
  for (const Settled& settled : world.settled()) {
    const queue::Report& report = settled.report;
    if (settled.address.starts_with("full")) {
      EXPECT_EQ(report.outcome, Outcome::deferred);
      EXPECT_EQ(report.reply.code, 452);
      EXPECT_EQ(report.stage, Stage::rcpt);
      EXPECT_FALSE(report.not_an_attempt);
    } else if (settled.address.starts_with("gone")) {
      EXPECT_EQ(report.outcome, Outcome::bounced);
      EXPECT_EQ(report.reply.text, "no such user");
    } else if (settled.address.starts_with("spam")) {
      EXPECT_EQ(report.outcome, Outcome::bounced);
      EXPECT_EQ(report.reply.enhanced[1], 7);
    } else {
      EXPECT_EQ(report.outcome, Outcome::delivered);
    }
  }
}

// The first connection is met with silence at this command; what has its time is the state.
WorldOptions silent_once(const SmtpHost& host, smtp::State state) {
  WorldOptions options = to(host);
  options.timeouts[state] = Duration::milliseconds(100);
  return options;
}
HostBehaviour silent_at(std::string_view command) {
  HostBehaviour behaviour;
  behaviour.falls_silent = [command](int connection, std::string_view at) {
    return connection == 1 && at.starts_with(command);
  };
  return behaviour;
}

TEST(DeliveryInTrouble, SilenceBehindTheDotEndsInTimeIsDeferredAndTriedAgain) {
  SmtpHost host(silent_at("."));
  World world(silent_once(host, smtp::State::final));
  world.homes().add(address_of(1));
  ASSERT_TRUE(world.run_dry());
  ASSERT_EQ(world.settled_count(), 1u);
  const queue::Report report = world.settled()[0].report;
  EXPECT_EQ(report.outcome, Outcome::deferred);
  EXPECT_EQ(report.stage, Stage::body);
  EXPECT_TRUE(report.possible_duplicate);
  EXPECT_FALSE(report.not_an_attempt);
  // As its home does it when its time has come.
  world.homes().add(address_of(1));
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.count(Outcome::delivered), 1u);
  EXPECT_EQ(host.connections(), 2);
  EXPECT_EQ(host.mail_count(), 2u) << "the host had it both times";
}

TEST(DeliveryInTrouble, SilenceAtEhloEndsInTimeAndIsNoAttempt) {
  SmtpHost host(silent_at("EHLO"));
  World world(silent_once(host, smtp::State::ehlo));
  world.homes().add(address_of(1));
  ASSERT_TRUE(world.run_dry());
  ASSERT_EQ(world.settled_count(), 1u);
  EXPECT_EQ(world.count(Outcome::delivered), 1u);
  EXPECT_EQ(host.connections(), 2);
  EXPECT_EQ(host.mail_count(), 1u);
}

TEST(DeliveryInTrouble, GoesToTheNextHostAtOnceWhenOneRefuses) {
  SmtpHost host;
  SocketAddress dead;
  {
    SmtpHost gone;
    dead = gone.address();
  }
  WorldOptions options = to(host);
  options.routes = {{"*", {dead, host.address()}}};
  World world(options);
  world.homes().add(address_of(1));
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.count(Outcome::delivered), 1u);
  EXPECT_EQ(world.counters().connections_failed, 1u);
}

TEST(DeliveryInTrouble, AHostThatCannotBeReachedSuspendsTheLaneAndNobodyIsTold) {
  SocketAddress dead;
  {
    SmtpHost gone;
    dead = gone.address();
  }
  WorldOptions options;
  options.settings = quick_settings();
  options.routes = {{"*", {dead}}};
  World world(options);
  for (int i = 0; i < 50; ++i) world.homes().add(address_of(i));
  ASSERT_TRUE(world.run_until([&] { return world.counters().lanes_suspended == 1; }));
  EXPECT_EQ(world.settled_count(), 0u);
  EXPECT_EQ(world.homes().leased.size(), 0u);
  EXPECT_EQ(world.homes().waiting(), 50u);
  std::optional<DestinationStatus> status;
  world.dispatch().explain(world.homes().destination_of("example.com"),
                           [&](DestinationStatus s) { status = std::move(s); });
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->hold, DestinationHold::lanes);
  ASSERT_EQ(status->lanes.size(), 1u);
  EXPECT_EQ(status->lanes[0].hold, LaneHold::suspended);
  EXPECT_NE(status->lanes[0].reason.find("Connection refused"), std::string::npos)
      << status->lanes[0].reason;
  EXPECT_TRUE(status->lanes[0].until.is_set());
}

TEST(DeliveryInTrouble, ASuspendedLaneComesBack) {
  SocketAddress address;
  {
    SmtpHost gone;
    address = gone.address();
  }
  SmtpHost other;
  WorldOptions options;
  options.settings = quick_settings();
  HostBehaviour behaviour;
  behaviour.greeting = "421 4.3.2 not now";
  auto refusing = std::make_unique<SmtpHost>(behaviour);
  options.routes = {{"*", {refusing->address()}}};
  World world(options);
  world.homes().add(address_of(1));
  ASSERT_TRUE(world.run_until([&] { return refusing->connections() >= 2; }));
  EXPECT_EQ(world.settled_count(), 0u);
}

TEST(DeliveryInTrouble, OtherHostsInDnsEndASuspension) {
  HostBehaviour behaviour;
  behaviour.greeting = "421 4.3.2 not now";
  SmtpHost refusing(behaviour);
  SmtpHost other;
  WorldOptions options;
  options.settings = quick_settings();
  options.routes = {{"*", {refusing.address()}}};
  World world(options);
  world.homes().add(address_of(1));
  // After the second failure it is left alone for two seconds or so.
  ASSERT_TRUE(world.run_until(
      [&] { return refusing.connections() == 2 && world.counters().lanes_suspended == 1; }));
  LaneStatus before = world.dispatch().lanes(1).at(0);
  world.change_routes({{"*", {other.address()}}});
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.count(Outcome::delivered), 1u);
  EXPECT_LT(clock_wall(), before.until);
  EXPECT_EQ(refusing.connections(), 2);
}

TEST(DeliveryInTrouble, A421AfterSoManyMessagesLosesNothing) {
  HostBehaviour behaviour;
  behaviour.messages_per_connection = 3;
  SmtpHost host(behaviour);
  World world(to(host));
  for (int i = 0; i < 40; ++i) world.homes().add(address_of(i));
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(host.mail_count() + world.count(Outcome::deferred), 40u);
  EXPECT_EQ(world.count(Outcome::bounced), 0u);
}

TEST(DeliveryInTrouble, AHostsConnectionLimitIsLearned) {
  HostBehaviour behaviour;
  behaviour.connections_max = 2;
  SmtpHost host(behaviour);
  WorldOptions options = to(host);
  options.settings.connections = 10;
  World world(options);
  for (int i = 0; i < 300; ++i) world.homes().add(address_of(i));
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.count(Outcome::delivered), 300u);
}

TEST(DeliveryInTrouble, ALostFinalReplyIsAPossibleDuplicate) {
  HostBehaviour behaviour;
  behaviour.drops_after_content = [](const ReceivedMail& mail) {
    return mail.recipients[0].starts_with("drop");
  };
  SmtpHost host(behaviour);
  {
    World world(to(host));
    world.homes().add("drop@example.com");
    ASSERT_TRUE(world.run_dry());
    EXPECT_EQ(world.homes().settled[0].report.outcome, Outcome::deferred);
    EXPECT_TRUE(world.homes().settled[0].report.possible_duplicate);
  }
  WorldOptions options = to(host);
  options.settings.on_lost_final_reply = traffic::LostFinalReply::assume_delivered;
  World world(options);
  world.homes().add("drop@example.com");
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.homes().settled[0].report.outcome, Outcome::delivered);
  EXPECT_TRUE(world.homes().settled[0].report.possible_duplicate);
}

TEST(DeliveryInTrouble, AnAbsentSourceStandsStillAndSaysWhy) {
  SmtpHost host;
  WorldOptions options = to(host);
  options.sources = {{"here", *IpAddress::parse("127.0.0.3"), "here.example"},
                     {"absent", *IpAddress::parse("192.0.2.77"), "absent.example"}};
  World world(options);
  world.homes().add("a@one.example", MailClass::bulk, 0, {}, {"here"});
  world.homes().add("a@two.example", MailClass::bulk, 0, {}, {"absent"});
  ASSERT_TRUE(world.run_until([&] { return world.settled_count() == 1; }));
  EXPECT_EQ(world.homes().settled[0].report.source, "here");
  std::optional<DestinationStatus> status;
  world.run_for(Duration::milliseconds(20));
  world.dispatch().explain(world.homes().destination_of("two.example"),
                           [&](DestinationStatus s) { status = std::move(s); });
  ASSERT_EQ(status->lanes.size(), 1u);
  EXPECT_EQ(status->lanes[0].hold, LaneHold::source_stopped);
  EXPECT_NE(status->lanes[0].reason.find("192.0.2.77"), std::string::npos);
}

TEST(DeliveryInTrouble, WhereDnsDoesNotAnswerMailWaits) {
  WorldOptions options;
  options.settings = quick_settings();
  World world(options);
  world.homes().add(address_of(1));
  ASSERT_TRUE(world.run_until([&] { return world.counters().destinations_held == 1; }));
  EXPECT_EQ(world.settled_count(), 0u);
  std::optional<DestinationStatus> status;
  world.dispatch().explain(world.homes().destination_of("example.com"),
                           [&](DestinationStatus s) { status = std::move(s); });
  EXPECT_EQ(status->hold, DestinationHold::dns);
  EXPECT_TRUE(status->until.is_set());
  EXPECT_FALSE(status->reason.empty());
}

TEST(DeliveryInTrouble, ADomainThatDoesNotExistBouncesAllItsMail) {
  WorldOptions options;
  options.settings = quick_settings();
  World world(options);
  for (int i = 0; i < 200; ++i) world.homes().add(address_of(i, "example.gone"));
  ASSERT_TRUE(world.run_dry());
  ASSERT_EQ(world.count(Outcome::bounced), 200u);
  const queue::Report& report = world.homes().settled[0].report;
  EXPECT_EQ(report.stage, Stage::dns);
  EXPECT_EQ(report.reply.enhanced[0], 5);
  EXPECT_EQ(world.counters().destinations, 0u);
}

TEST(DeliveryInTrouble, WhatOurPipeliningMayHaveCausedIsTriedPlainly) {
  // A host that says it can pipeline and loses its head when the next MAIL rides along.
  HostBehaviour behaviour;
  behaviour.chunking = false;
  behaviour.stumbles_over_pipelining = true;
  SmtpHost host(behaviour);
  WorldOptions options = to(host);
  options.settings.connections = 2;
  World world(options);
  for (int i = 0; i < 20; ++i) world.homes().add(address_of(i));
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.count(Outcome::bounced), 0u);
  EXPECT_GT(world.count(Outcome::delivered), 0u);
}

TEST(DeliveryInTrouble, AHostThatDropsEveryTransactionIsNotFedOneAfterTheOther) {
  HostBehaviour behaviour;
  behaviour.drops_at_mail = [](const std::string&) { return true; };
  SmtpHost host(behaviour);
  WorldOptions options = to(host);
  options.settings.connections = 1;
  World world(options);
  for (int i = 0; i < 500; ++i) world.homes().add(address_of(i));
  ASSERT_TRUE(world.run_until([&] { return world.counters().lanes_suspended == 1; }));
  EXPECT_LE(world.settled_count(), 2u);
  EXPECT_EQ(host.connections(), 1);
}

TEST(DeliveryInTrouble, AnOperatorsRetryEndsASuspension) {
  HostBehaviour behaviour;
  behaviour.greeting_refused_first = 4;
  SmtpHost host(behaviour);
  World world(to(host));
  world.homes().add(address_of(1));
  for (int i = 1; i <= 4; ++i) {
    ASSERT_TRUE(world.run_until(
        [&] { return host.connections() == i && world.counters().lanes_suspended == 1; }));
    world.dispatch().retry_now("example.com");
  }
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.count(Outcome::delivered), 1u);
}

// One content has left and its reply is awaited, the next message's transaction rides behind it,
// more is in hand, and the home, which is another worker's, can write no outcome any more.
class DeliveryWithoutRoom : public testing::Test {
 protected:
  DeliveryWithoutRoom() {
    HostBehaviour behaviour;
    behaviour.holds_content_replies = true;
    host_ = std::make_unique<SmtpHost>(behaviour);
  }
  void begin(WorldOptions options) {
    options.settings.connections = 1;
    options.workers = 2;
    world_ = std::make_unique<World>(options);
    for (int i = 0; i < 100; ++i) homes().add(address_of(i));
    ASSERT_TRUE(world_->run_until([&] { return host_->mail_count() == 1; }));
    homes().pulls_wait = true;
    hold(queue::SpoolHold::contents);
    ASSERT_TRUE(world_->run_until([&] { return homes().leased.size() <= 2; }));
    EXPECT_GE(homes().given_back.size(), 8u);
    host_->release();
    ASSERT_TRUE(world_->run_until([&] { return homes().settled.size() == 1; }));
  }
  void hold(queue::SpoolHold hold) { world_->dispatch(1).hold(1, hold); }
  ListHomes& homes() { return world_->homes(1); }

  std::unique_ptr<SmtpHost> host_;
  std::unique_ptr<World> world_;
};

TEST_F(DeliveryWithoutRoom, NoContentLeavesUntilThereIsRoom) {
  begin(to(*host_));
  world_->run_for(Duration::milliseconds(50));
  EXPECT_EQ(host_->mail_count(), 1u);
  EXPECT_EQ(homes().leased.size(), 1u);
  std::optional<DestinationStatus> status;
  world_->dispatch(1).explain(homes().destination_of("example.com"),
                              [&](DestinationStatus s) { status = std::move(s); });
  ASSERT_TRUE(world_->run_until([&] { return status.has_value(); }));
  ASSERT_EQ(status->lanes.size(), 1u);
  EXPECT_EQ(status->lanes[0].hold, LaneHold::disk_full);
  EXPECT_NE(status->lanes[0].reason.find("slice 1"), std::string::npos) << status->lanes[0].reason;
  homes().let_pull();
  hold(queue::SpoolHold::none);
  ASSERT_TRUE(world_->run_dry());
  EXPECT_EQ(world_->count(Outcome::delivered), 100u);
  EXPECT_EQ(host_->mail_count(), 100u);
  EXPECT_EQ(host_->connections(), 1);
}

TEST_F(DeliveryWithoutRoom, WhatWaitedForLongIsTakenBack) {
  WorldOptions options = to(*host_);
  options.timeouts[smtp::State::idle] = Duration::milliseconds(50);
  begin(options);
  ASSERT_TRUE(world_->run_until([&] { return homes().leased.empty(); }));
  EXPECT_EQ(host_->mail_count(), 1u);
  EXPECT_EQ(homes().settled.size(), 1u) << "it was no attempt";
  homes().let_pull();
  hold(queue::SpoolHold::none);
  ASSERT_TRUE(world_->run_dry());
  EXPECT_EQ(world_->count(Outcome::delivered), 100u);
  EXPECT_EQ(host_->mail_count(), 100u);
}

TEST_F(DeliveryWithoutRoom, MailOfOtherHomesGoesOn) {
  WorldOptions options = to(*host_);
  SmtpHost other;
  options.routes = {{"example.com", {host_->address()}}, {"*", {other.address()}}};
  begin(options);
  for (int i = 0; i < 20; ++i) world_->homes(0).add(address_of(i, "other.example"));
  ASSERT_TRUE(world_->run_until([&] { return world_->homes(0).settled.size() == 20; }));
  EXPECT_EQ(host_->mail_count(), 1u);
  homes().let_pull();
  hold(queue::SpoolHold::leases);  // what is leased may be sent
  ASSERT_TRUE(world_->run_dry());
  EXPECT_EQ(world_->count(Outcome::delivered), 120u);
}

TEST_F(DeliveryWithoutRoom, AStopTakesBackWhatWaits) {
  begin(to(*host_));
  for (uint32_t worker : {0u, 1u}) world_->dispatch(worker).stop();
  homes().keeps_given_back = true;
  homes().let_pull();
  ASSERT_TRUE(world_->run_until([&] {
    return world_->dispatch(0).stopped() && world_->dispatch(1).stopped();
  }));
  EXPECT_EQ(host_->mail_count(), 1u);
  EXPECT_TRUE(homes().leased.empty());
}

// Its lane has nothing left to do in between, and is asked for again before it has rested.
TEST(DeliveryInTrouble, ALaneThatComesBackHasItsRateStill) {
  HostBehaviour behaviour;
  behaviour.messages_per_connection = 1;
  SmtpHost host(behaviour);
  WorldOptions options = to(host);
  options.settings.rate = throttle::Rate::per_second(10);
  options.settings.burst = 2;
  options.settings.messages_per_connection = 1;
  World world(options);
  Instant begun = clock_now();
  for (int i = 0; i < 8; i += 2) {
    world.homes().add(address_of(i));
    world.homes().add(address_of(i + 1));
    ASSERT_TRUE(world.run_dry());
    ASSERT_TRUE(world.run_until([&] { return world.counters().connections == 0; }));
  }
  EXPECT_EQ(world.count(Outcome::delivered), 8u);
  EXPECT_GE(clock_now() - begun, Duration::milliseconds(599));
  ASSERT_TRUE(world.run_until([&] { return world.counters().lanes == 0; }));
}

TEST(DeliveryInTrouble, IdleConnectionsMakeRoomWhereDescriptorsAreShort) {
  SmtpHost hosts[8];
  WorldOptions options;
  options.settings = quick_settings();
  options.settings.idle_timeout = Duration::minutes(1);
  options.connections_max = 2;
  for (int i = 0; i < 8; ++i)
    options.routes.push_back({"d" + std::to_string(i) + ".example", {hosts[i].address()}});
  World world(options);
  for (int i = 0; i < 8; ++i)
    world.homes().add(address_of(1, "d" + std::to_string(i) + ".example"));
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.count(Outcome::delivered), 8u);
}

TEST(DeliveryInTrouble, FewDescriptorsMakeLanesTakeTurns) {
  SmtpHost hosts[6];
  WorldOptions options;
  options.settings = quick_settings();
  options.connections_max = 2;
  for (int i = 0; i < 6; ++i)
    options.routes.push_back({"d" + std::to_string(i) + ".example", {hosts[i].address()}});
  World world(options);
  for (int i = 0; i < 6; ++i)
    for (int k = 0; k < 150; ++k)
      world.homes().add(address_of(k, "d" + std::to_string(i) + ".example"));
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.count(Outcome::delivered), 900u);
}

}  // namespace
}  // namespace postring::delivery
