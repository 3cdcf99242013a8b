// One home where things happen at the same time: stops, full memory, reads and reclaim.
#include <gtest/gtest.h>

#include "full_disk.h"
#include "rig.h"
#include "spool/log.h"

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
  rig.home().when_told([&](bool) { told = true; });
  rig.turn_until([&] { return told; });  // nothing to wait for
  auto ids = rig.submit(1, {{.address = "a@x.test"}, {.address = "b@x.test"}});
  rig.turn_until([&] { return rig.offer_of("x.test").has_value(); });
  rig.pull(rig.offer_of("x.test")->id);
  for (int round = 0; round < 2; ++round) {
    rig.settle(ids[round], Outcome::delivered);
    told = false;
    rig.home().when_told([&](bool) { told = true; });
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

class HomeOnAFullDisk : public HomeTrouble {
 protected:
  // Mail for more recipients than there is room for outcomes, of which some have ended.
  HomeOnAFullDisk() {
    rig_.options.outcome_sync = Duration{};
    rig_.campaign(1, CampaignState::running);
    rig_.start();
    rig_.home().set_hold_sink([this](SpoolHold hold) { holds_.push_back(hold); });
    std::vector<To> to;
    for (int i = 0; i < 1'000; ++i) to.push_back({.address = std::to_string(i) + "@x.test"});
    rig_.submit(1, to);
    rig_.turn_until([&] { return rig_.offer_of("x.test").has_value(); });
    destination_ = rig_.offer_of("x.test")->id;
  }
  // Ends them one by one, each with a sync of its own, until the disk is known to be full.
  void find_out() {
    while (!rig_.home().stats().disk_full) {
      Pulled pulled = rig_.pull(destination_, 1);
      ASSERT_EQ(pulled.leases.size(), 1u);
      end(pulled.leases[0].id);
    }
  }
  void end(RecipientId id) {
    rig_.settle(id, Outcome::delivered);
    ++ended_;
    rig_.turn_until([&] { return rig_.home().stats().outcomes_unsynced == 0; });
  }
  HomeStats stats() { return rig_.home().stats(); }

  HomeRig rig_{folder_.path() + "/slice"};
  DestinationId destination_;
  std::vector<SpoolHold> holds_;
  size_t ended_ = 0;
};

TEST_F(HomeOnAFullDisk, NoMoreIsLeasedThanThereIsRoomFor) {
  auto disk = std::make_unique<FullDisk>(spool::kSegmentBytesMin);
  find_out();
  size_t leased = 0;
  // Many: what is being made ready at the moment counts as room a moment later.
  for (int pulls = 0; pulls < 20; ++pulls) {
    rig_.home().pull(destination_, 1'000, 1 << 20,
                     [&](Pulled pulled) { leased += pulled.leases.size(); });
    rig_.turns(50);
  }
  EXPECT_GT(leased, 50u);
  EXPECT_LT(leased, 1'000 - ended_);
  ASSERT_FALSE(holds_.empty());
  EXPECT_EQ(holds_.back(), SpoolHold::leases);
  EXPECT_EQ(rig_.find("999@x.test")[0].hold, Hold::disk_full);
  disk.reset();
  advance_clock(Duration::seconds(2));
  rig_.turn_until([&] { return leased == 1'000 - ended_; });
  EXPECT_EQ(holds_.back(), SpoolHold::none);
}

// What stood ready and was set aside cannot be used: nobody could have known.
TEST_F(HomeOnAFullDisk, WhereNothingCanBeWrittenSendingIsToStop) {
  std::vector<Lease> leases = rig_.pull(destination_, 600).leases;
  ASSERT_EQ(leases.size(), 600u);
  auto disk = std::make_unique<FullDisk>(spool::kSegmentBytesMin);
  for (const Lease& lease : leases) {
    // Each with a sync of its own, so that all of them take more than stands ready.
    rig_.settle(lease.id, Outcome::delivered);
    rig_.turn_until([&] { return !holds_.empty() || stats().outcomes_unsynced == 0; });
    if (!holds_.empty()) break;
    ++ended_;
  }
  ASSERT_EQ(holds_, std::vector<SpoolHold>{SpoolHold::contents});
  EXPECT_EQ(stats().outcomes_waiting, 1u);
  // What is given back waits here.
  rig_.home().give_back(leases.back().id);
  EXPECT_EQ(holds_.size(), 1u);
  disk.reset();
  advance_clock(Duration::seconds(2));
  rig_.turn_until([&] { return stats().outcomes_waiting == 0; });
  EXPECT_EQ(holds_.back(), SpoolHold::none);
  rig_.wait_for_events(ended_ + 1);
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
