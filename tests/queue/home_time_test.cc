// One home, and clocks that do not agree.
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
