// One home in the course of time: retries and deadlines, also by clocks that do not agree.
#include <gtest/gtest.h>

#include "rig.h"

namespace postring::queue {
namespace {

class HomeTime : public testing::Test {
 protected:
  // Of x.test, deferred once: the schedule says 270 to 330 s.
  RecipientId defer() {
    rig_.campaign(1, CampaignState::running);
    rig_.start();
    RecipientId id = rig_.submit(1, {{.address = "a@x.test"}})[0];
    rig_.pull(rig_.offer_of("x.test")->id);
    rig_.settle(id, Outcome::deferred);
    rig_.wait_for_events(1);
    rig_.offers.clear();
    return id;
  }
  // How long it is said to wait from now.
  Duration said() {
    auto found = rig_.find("a@x.test");
    EXPECT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].hold, Hold::retry);
    return found[0].next_attempt_at - rig_.loop().wall_now();
  }
  void jump(Duration by) {
    jump_wall_clock(by);
    rig_.turn();
  }

  TempFolder folder_;
  HomeRig rig_{folder_.path() + "/slice"};
};

TEST_F(HomeTime, ARetryComesAtItsTimeAlsoAfterARestartAndFromTheSameSource) {
  rig_.campaign(1, CampaignState::running, {"s1", "s2"});
  rig_.start();
  auto ids = rig_.submit(1, {{.address = "a@x.test"}});
  rig_.pull(rig_.offer_of("x.test")->id);
  rig_.settle(ids[0], Outcome::deferred, "s2");
  rig_.wait_for_events(1);
  EXPECT_EQ(rig_.home().campaign_counts(1).deferrals, 1u);
  rig_.restart();
  rig_.pass(Duration::seconds(200));
  EXPECT_TRUE(rig_.offers.empty());
  RecipientStatus status = rig_.find("a@x.test")[0];
  EXPECT_EQ(status.hold, Hold::retry);
  EXPECT_EQ(status.attempts, 1u);
  EXPECT_EQ(status.reply.text, "said the peer");
  EXPECT_EQ(status.source, "s2");
  EXPECT_TRUE(status.next_attempt_at.is_set());
  rig_.pass(Duration::seconds(140));
  ASSERT_EQ(rig_.offers.size(), 1u);
  EXPECT_EQ(rig_.offers[0].sources, std::vector<std::string>{"s2"});
  Pulled pulled = rig_.pull(rig_.offers[0].id);
  ASSERT_EQ(pulled.leases.size(), 1u);
  EXPECT_EQ(pulled.leases[0].attempt, 2u);
  Report report;
  report.outcome = Outcome::deferred;
  report.not_an_attempt = true;
  report.retry_after = Duration::seconds(30);
  rig_.home().settle(ids[0], report);
  rig_.pass(Duration::seconds(10));
  EXPECT_EQ(rig_.offers.size(), 1u);
  rig_.pass(Duration::seconds(21));
  EXPECT_EQ(rig_.offers.size(), 2u);
  EXPECT_EQ(rig_.events.size(), 1u);
  rig_.pull(rig_.offers[1].id);
  rig_.settle(ids[0], Outcome::bounced);
  rig_.wait_for_events(2);
  EXPECT_EQ(rig_.events[1].attempt, 2u);
  EXPECT_EQ(rig_.home().campaign_counts(1).bounced, 1u);
}

TEST_F(HomeTime, ARetryCanBeAskedForNow) {
  rig_.campaign(1, CampaignState::running);
  rig_.start();
  auto ids = rig_.submit(1, {{.address = "a@x.test"}, {.address = "a@y.test"}});
  for (const char* domain : {"x.test", "y.test"}) rig_.pull(rig_.offer_of(domain)->id);
  for (RecipientId id : ids) rig_.settle(id, Outcome::deferred);
  rig_.wait_for_events(2);
  rig_.offers.clear();
  uint64_t count = 99;
  rig_.home().retry_now("x.test", [&](uint64_t n) { count = n; });
  rig_.turns(3);
  EXPECT_EQ(count, 1u);
  ASSERT_EQ(rig_.offers.size(), 1u);
  EXPECT_EQ(rig_.offers[0].domain, "x.test");
}

TEST_F(HomeTime, ExpiryComesWhileWaitingPausedDeferredAndLeased) {
  rig_.policies.max_age = Duration::hours(1);
  rig_.campaign(1, CampaignState::running);
  rig_.campaign(2, CampaignState::paused);
  rig_.start();
  auto running = rig_.submit(1, {{.address = "deferred@x.test"}, {.address = "leased@x.test"}});
  rig_.submit(2, {{.address = "paused@x.test"}});
  rig_.pull(rig_.offer_of("x.test")->id);
  rig_.settle(running[0], Outcome::deferred);
  rig_.submit(1, {{.address = "ready@y.test"},
                  {.address = "longer@y.test",
                   .expires_at = rig_.loop().wall_now() + Duration::hours(9)}});
  rig_.wait_for_events(1);
  rig_.pass(Duration::minutes(50));
  EXPECT_EQ(rig_.events.size(), 1u);
  rig_.pass(Duration::minutes(11));
  rig_.wait_for_events(4);
  EXPECT_EQ(rig_.home().campaign_counts(1).expired, 2u);
  EXPECT_EQ(rig_.home().campaign_counts(2).expired, 1u);
  EXPECT_EQ(rig_.home().campaign_counts(1).in_flight, 1u);
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(rig_.events[i].outcome, Outcome::expired);
    bool tried = rig_.events[i].address == "deferred@x.test";
    EXPECT_EQ(rig_.events[i].reply.text, tried ? "said the peer" : "");
    EXPECT_EQ(rig_.events[i].attempt, tried ? 1u : 0u);
  }
  rig_.settle(running[1], Outcome::deferred);
  rig_.wait_for_events(6);
  EXPECT_EQ(rig_.events[4].outcome, Outcome::deferred);
  EXPECT_EQ(rig_.events[5].outcome, Outcome::expired);
  EXPECT_EQ(rig_.home().stats().recipients, 1u);
}

TEST_F(HomeTime, AfterDowntimeExpiryGoesBeforeSending) {
  rig_.campaign(1, CampaignState::running);
  rig_.start();
  rig_.submit(1, {{.address = "a@x.test"}});
  rig_.close();
  advance_clock(Duration::days(4));
  rig_.start();
  rig_.wait_for_events(1);
  EXPECT_EQ(rig_.events[0].outcome, Outcome::expired);
  if (auto offer = rig_.offer_of("x.test")) {
    EXPECT_TRUE(rig_.pull(offer->id).leases.empty());
  }
}

TEST_F(HomeTime, AWallClockThatJumpsMovesNoRetry) {
  defer();
  jump(Duration::hours(-10));
  rig_.pass(Duration::seconds(200));
  EXPECT_TRUE(rig_.offers.empty());
  EXPECT_GT(said(), Duration::seconds(60));
  EXPECT_LT(said(), Duration::seconds(135));
  jump(Duration::hours(20));
  rig_.pass(Duration::seconds(60));
  EXPECT_TRUE(rig_.offers.empty());
  EXPECT_LT(said(), Duration::seconds(75));
  rig_.pass(Duration::seconds(75));
  ASSERT_EQ(rig_.offers.size(), 1u);
  EXPECT_EQ(rig_.pull(rig_.offers[0].id).leases.size(), 1u);
}

TEST_F(HomeTime, NorOneThatCountsAsNoAttempt) {
  RecipientId id = defer();
  rig_.pass(Duration::seconds(340));
  rig_.pull(rig_.offers[0].id);
  Report report;
  report.outcome = Outcome::deferred;
  report.not_an_attempt = true;
  report.retry_after = Duration::seconds(60);
  rig_.home().settle(id, report);
  jump(Duration::hours(-1));
  rig_.pass(Duration::seconds(50));
  EXPECT_EQ(rig_.offers.size(), 1u);
  rig_.pass(Duration::seconds(15));
  EXPECT_EQ(rig_.offers.size(), 2u);
}

TEST_F(HomeTime, AfterARestartARetryWaitsNoLongerThanItsWait) {
  defer();
  rig_.close();
  jump(Duration::days(-1));
  rig_.start();
  EXPECT_GT(said(), Duration::seconds(265));
  EXPECT_LT(said(), Duration::seconds(335));
  rig_.pass(Duration::seconds(200));
  EXPECT_TRUE(rig_.offers.empty());
  rig_.pass(Duration::seconds(135));
  EXPECT_EQ(rig_.offers.size(), 1u);
}

TEST_F(HomeTime, AnEarliestTimeGoesByTheWallClock) {
  rig_.campaign(1, CampaignState::running);
  rig_.start();
  WallTime not_before = rig_.loop().wall_now() + Duration::hours(1);
  rig_.submit(1, {{.address = "a@x.test", .not_before = not_before}});
  jump(Duration::minutes(-30));
  rig_.pass(Duration::minutes(80));
  EXPECT_TRUE(rig_.offers.empty());
  RecipientStatus status = rig_.find("a@x.test")[0];
  EXPECT_EQ(status.hold, Hold::not_before);
  EXPECT_LT(status.next_attempt_at - not_before, Duration::seconds(1));
  jump(Duration::minutes(11));
  rig_.pass(Duration::seconds(2));
  EXPECT_EQ(rig_.offers.size(), 1u);
}

TEST_F(HomeTime, SoDoesADeadline) {
  rig_.policies.max_age = Duration::hours(1);
  defer();
  jump(Duration::minutes(-30));
  rig_.pass(Duration::minutes(80));
  EXPECT_EQ(rig_.events.size(), 1u);
  jump(Duration::minutes(11));
  rig_.pass(Duration::seconds(20));
  rig_.wait_for_events(2);
  EXPECT_EQ(rig_.events[1].outcome, Outcome::expired);
}

}  // namespace
}  // namespace postring::queue
