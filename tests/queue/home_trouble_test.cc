// One home where things happen at the same time: stops, full memory, reads and reclaim.
#include <gtest/gtest.h>

#include "rig.h"

namespace postring::queue {
namespace {

class HomeTrouble : public testing::Test {
 protected:
  TempFolder folder_;
};

// The copies that reclaim was reading for come when the log takes nothing more.
TEST_F(HomeTrouble, AStopMayComeAtAnyTurnOfReclaim) {
  std::string values(300, 'z');
  for (int after = 0; after < 12; ++after) {
    HomeRig rig(folder_.path() + "/" + std::to_string(after));
    rig.options.tail_window_bytes = 0;
    rig.options.record_age_max = Duration::minutes(2);
    rig.campaign(1, CampaignState::paused);
    rig.start();
    std::vector<To> many;
    for (int i = 0; i < 300; ++i) {
      many.push_back({.address = std::to_string(i) + "@x.test", .values = values});
    }
    rig.submit(1, many);
    rig.turn_until([&] { return rig.home().stats().segments >= 2; });
    advance_clock(Duration::minutes(3));
    // Housekeeping begins the reclaim within the first of these.
    rig.turns(1 + after);
    rig.close();
    ASSERT_EQ(rig.open(), "");
    EXPECT_EQ(rig.home().stats().recipients, 300u);
  }
}

TEST_F(HomeTrouble, WhoHasJustEndedIsWaitedForUntilItsEventIsExported) {
  HomeRig rig(folder_.path() + "/slice");
  rig.exports = false;
  rig.campaign(1, CampaignState::running);
  rig.start();
  bool told = false;
  rig.home().when_told([&] { told = true; });
  rig.turn_until([&] { return told; });  // nothing to wait for
  auto ids = rig.submit(1, {{.address = "a@x.test"}, {.address = "b@x.test"}});
  rig.turn_until([&] { return rig.offer_of("x.test").has_value(); });
  rig.pull(rig.offer_of("x.test")->id);
  for (int round = 0; round < 2; ++round) {
    rig.settle(ids[round], Outcome::delivered);
    told = false;
    rig.home().when_told([&] { told = true; });
    rig.wait_for_events(static_cast<size_t>(round) + 1);
    rig.turns(20);
    EXPECT_FALSE(told);
    if (round == 0) {
      rig.home().exported(rig.last_event);
    } else {
      advance_clock(kToldWait + Duration::seconds(2));  // no longer than that
    }
    rig.turn_until([&] { return told; });
  }
}

TEST_F(HomeTrouble, ACommitThatWaitsForRoomIsRefusedAtTheStop) {
  HomeRig rig(folder_.path() + "/slice");
  rig.campaign(1, CampaignState::running);
  rig.start();
  BatchHandle batch = rig.begin(1);
  // Without a turn no further segment becomes ready.
  NewRecipient recipient;
  recipient.address = "a@x.test";
  std::string values(4'000, 'v');
  recipient.values = values;
  std::string address;
  for (int i = 0;; ++i) {
    address = std::to_string(i) + "@x.test";
    recipient.address = address;
    auto taken = rig.home().append(batch, recipient);
    if (taken) continue;
    ASSERT_EQ(taken.error(), SubmitError::busy);
    break;
  }
  std::optional<Result<Committed, SubmitError>> result;
  Home::CommitInput input;
  input.answer = std::string(8'000, 'a');
  rig.home().commit(batch, std::move(input),
                    [&](Result<Committed, SubmitError> r) { result = std::move(r); });
  bool closed = false;
  rig.home().close([&](bool) { closed = true; });
  rig.turn_until([&] { return closed && result.has_value(); });
  ASSERT_FALSE(result->has_value());
  EXPECT_EQ(result->error(), SubmitError::failed);
  rig.drop();
  ASSERT_EQ(rig.open(), "");
  EXPECT_EQ(rig.home().stats().recipients, 0u);
}

// Events beyond those held in memory, some of them not durable yet when the others are given away.
TEST_F(HomeTrouble, EventsBeyondThoseHeldAllComeInTheEnd) {
  HomeRig rig(folder_.path() + "/slice");
  rig.options.segment_bytes = 4u << 20;
  rig.options.tail_window_bytes = 0;
  rig.campaign(1, CampaignState::running);
  rig.start();
  bool room = false;
  rig.home().set_event_room([&] { return room; });
  size_t late = 10;
  size_t count = kEventsHeldMax + 3'000 + late;
  BatchHandle batch = rig.begin(1);
  for (size_t i = 0; i < count; ++i) {
    rig.append(batch, {.address = std::to_string(i) + "@x.test"});
  }
  rig.commit(batch);
  std::vector<RecipientId> leased;
  rig.turn_until([&] {
    auto offer = rig.offer_of("x.test");
    if (!offer) return false;
    for (const Lease& lease : rig.pull(offer->id, kPullMessagesMax).leases) {
      leased.push_back(lease.id);
    }
    return leased.size() == count;
  });
  for (size_t i = 0; i < count - late; ++i) rig.settle(leased[i], Outcome::delivered);
  rig.turn_until([&] {
    HomeStats stats = rig.home().stats();
    return stats.outcomes_waiting == 0 && stats.outcomes_unsynced == 0;
  });
  rig.turns(5);
  for (size_t i = count - late; i < count; ++i) rig.settle(leased[i], Outcome::delivered);
  room = true;
  rig.home().exported({});
  rig.wait_for_events(count);
  EXPECT_EQ(rig.events.size(), count);
}

TEST_F(HomeTrouble, AfterTheEndOfPullsTheyGiveNothing) {
  HomeRig rig(folder_.path() + "/slice");
  rig.campaign(1, CampaignState::running);
  rig.start();
  rig.submit(1, {{.address = "a@x.test"}});
  rig.turn_until([&] { return rig.offer_of("x.test").has_value(); });
  rig.home().end_pulls();
  Pulled pulled = rig.pull(rig.offer_of("x.test")->id);
  EXPECT_TRUE(pulled.leases.empty());
  EXPECT_EQ(rig.home().stats().leased, 0u);
}

TEST_F(HomeTrouble, MessagesOfAnEarlierLifeAreForgottenToo) {
  HomeRig rig(folder_.path() + "/slice");
  rig.start();
  rig.turns(3);
  auto ids = rig.submit(0, {{.address = "a@x.test"}});
  rig.turn_until([&] { return rig.offer_of("x.test").has_value(); });
  rig.pull(rig.offer_of("x.test")->id);
  rig.settle(ids[0], Outcome::delivered);
  rig.wait_for_events(1);
  rig.restart();
  EXPECT_EQ(rig.home().stats().batches, 1u);
  rig.pass(kMessageBatchKept + kForgetting + Duration::seconds(2));
  EXPECT_EQ(rig.home().stats().batches, 0u);
}

}  // namespace
}  // namespace postring::queue
