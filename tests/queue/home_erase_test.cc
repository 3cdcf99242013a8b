// Erasing an address: what waits ends, what is in flight does not wait again, others are untouched,
// and no file of the slice names it any more.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "rig.h"

namespace postring::queue {
namespace {

constexpr TenantId kTenant = 3;  // the rig's

class HomeErase : public testing::Test {
 protected:
  HomeErase() : rig_(folder_.path() + "/slice") {}

  std::optional<Erased> erase(const std::string& address, TenantId tenant = kTenant) {
    std::optional<std::optional<Erased>> answer;
    rig_.home().erase(address, tenant, rig_.home().next_id(),
                      [&](std::optional<Erased> e) { answer = e; });
    rig_.turn_until([&] { return answer.has_value(); });
    return answer.value_or(std::nullopt);
  }
  // Records are padded, so an address can be told from a longer one by the byte before it.
  bool files_name(const std::string& text) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(rig_.folder())) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      std::stringstream bytes;
      bytes << file.rdbuf();
      if (bytes.str().find(text) != std::string::npos) return true;
    }
    return false;
  }
  void wait_until_clean() {
    rig_.turn_until([&] {
      advance_clock(Duration::milliseconds(100));
      return !rig_.home().is_erasing();
    });
  }
  Pulled pull(std::string_view domain) {
    std::optional<DestinationOffer> offer;
    rig_.turn_until([&] { return (offer = rig_.offer_of(domain)).has_value(); });
    return rig_.pull(offer->id);
  }

  TempFolder folder_;
  HomeRig rig_;
};

TEST_F(HomeErase, WhatWaitsIsCancelledAndNothingElse) {
  rig_.campaign(1, CampaignState::running);
  rig_.campaign(2, CampaignState::paused);
  rig_.start();
  rig_.submit(1, {{.address = "gone@x.test"}, {.address = "stays@x.test"}});
  rig_.submit(2, {{.address = "gone@x.test"}, {.address = "gone@y.test"}});
  rig_.submit(1, {{.address = "gone@x.test", .ref = "later",
                   .not_before = rig_.loop().wall_now() + Duration::hours(1)}});
  EXPECT_EQ(erase("gone@x.test", kTenant + 1)->cancelled, 0u);
  EXPECT_EQ(rig_.find("gone@x.test").size(), 3u);
  auto erased = erase("gone@x.test");
  ASSERT_TRUE(erased);
  EXPECT_EQ(erased->cancelled, 3u);
  EXPECT_EQ(erased->in_flight, 0u);
  EXPECT_TRUE(rig_.find("gone@x.test").empty());
  EXPECT_EQ(rig_.find("stays@x.test").size(), 1u);
  EXPECT_EQ(rig_.find("gone@y.test").size(), 1u);
  Counts counts = rig_.home().all_counts();
  EXPECT_EQ(counts.cancelled, 3u);
  EXPECT_EQ(counts.waiting, 2u);
  EXPECT_TRUE(counts.adds_up());
  rig_.wait_for_events(3);
  // What comes later is new.
  rig_.submit(1, {{.address = "gone@x.test"}});
  EXPECT_EQ(rig_.find("gone@x.test").size(), 1u);
  rig_.restart();
  EXPECT_EQ(rig_.find("gone@x.test").size(), 1u);
  EXPECT_EQ(rig_.home().all_counts().cancelled, 3u);
}

TEST_F(HomeErase, WhatIsInFlightDoesNotWaitAgain) {
  rig_.campaign(1, CampaignState::running);
  rig_.start();
  auto ids = rig_.submit(1, {{.address = "gone@x.test", .ref = "a"},
                             {.address = "gone@x.test", .ref = "b"},
                             {.address = "gone@x.test", .ref = "c"}});
  ASSERT_EQ(pull("x.test").leases.size(), 3u);
  auto erased = erase("gone@x.test");
  ASSERT_TRUE(erased);
  EXPECT_EQ(erased->cancelled, 0u);
  EXPECT_EQ(erased->in_flight, 3u);
  EXPECT_TRUE(rig_.home().is_erasing());
  EXPECT_TRUE(rig_.find("gone@x.test").empty());
  StatusPage listed;
  rig_.home().list(1, std::nullopt, 0, 10, [&](StatusPage p) { listed = std::move(p); });
  rig_.turn_until([&] { return listed.recipients.size() == 3; });
  EXPECT_EQ(listed.recipients[0].address + listed.recipients[0].ref, "");
  rig_.settle(ids[0], Outcome::delivered);
  rig_.settle(ids[1], Outcome::deferred);
  rig_.home().give_back(ids[2]);
  rig_.wait_for_events(4);
  Counts counts = rig_.home().all_counts();
  EXPECT_EQ(counts.delivered, 1u);
  EXPECT_EQ(counts.cancelled, 2u);
  EXPECT_EQ(counts.deferrals, 1u);
  EXPECT_TRUE(counts.adds_up());
  EXPECT_TRUE(rig_.find("gone@x.test").empty());
  wait_until_clean();
}

// What was accepted before is told by its id: the wall clock may go back.
TEST_F(HomeErase, AClockThatGoesBackHidesNobody) {
  rig_.campaign(1, CampaignState::running);
  rig_.start();
  rig_.submit(1, {{.address = "gone@x.test"}});
  jump_wall_clock(Duration::hours(-1));
  RecipientId end = rig_.home().next_id();
  EXPECT_EQ(erase("gone@x.test")->cancelled, 1u);
  jump_wall_clock(Duration::hours(-1));
  rig_.submit(1, {{.address = "gone@x.test"}});
  std::optional<std::optional<Erased>> again;
  rig_.home().erase("gone@x.test", kTenant, end, [&](std::optional<Erased> e) { again = e; });
  rig_.turn_until([&] { return again.has_value(); });
  EXPECT_EQ((*again)->cancelled, 0u);
  EXPECT_EQ(rig_.find("gone@x.test").size(), 1u);
  jump_wall_clock(Duration::hours(2));
}

TEST_F(HomeErase, AnIdThatCameToNothingIsNotGivenToAStranger) {
  rig_.campaign(1, CampaignState::running);
  rig_.start();
  RecipientId end = rig_.home().next_id() + 10;  // of a life whose end nobody saw
  std::optional<std::optional<Erased>> again;
  rig_.home().erase("gone@x.test", kTenant, end, [&](std::optional<Erased> e) { again = e; });
  auto ids = rig_.submit(1, {{.address = "gone@x.test"}});
  EXPECT_GE(ids[0], end);
  rig_.turn_until([&] { return again.has_value(); });
  EXPECT_EQ(rig_.find("gone@x.test").size(), 1u);
  wait_until_clean();
  rig_.restart();
  EXPECT_GT(rig_.home().next_id(), ids[0]);
}

TEST_F(HomeErase, NoFileNamesTheAddress) {
  rig_.campaign(1, CampaignState::paused);
  rig_.campaign(2, CampaignState::running);
  rig_.start();
  std::vector<To> many;
  for (int i = 0; i < 400; ++i) {
    many.push_back({.address = std::to_string(i) + "@x.test", .values = std::string(300, 'z')});
  }
  many.push_back({.address = "gone@erased.test", .ref = "gone@erased.test, too"});
  rig_.submit(1, many);
  auto done = rig_.submit(2, {{.address = "gone@erased.test"}});
  auto flying = rig_.submit(2, {{.address = "gone@erased.test", .ref = "flying"}});
  ASSERT_EQ(pull("erased.test").leases.size(), 2u);
  rig_.settle(done[0], Outcome::delivered);
  rig_.wait_for_events(1);
  ASSERT_TRUE(files_name("gone@erased.test"));
  EXPECT_EQ(erase("gone@erased.test")->cancelled, 1u);
  rig_.turn_until([&] { return rig_.home().stats().events_waiting == 0; });
  // Its record is needed until it ends.
  rig_.pass(Duration::seconds(10));
  EXPECT_TRUE(rig_.home().is_erasing());
  rig_.settle(flying[0], Outcome::deferred);
  wait_until_clean();
  EXPECT_FALSE(files_name("gone@erased.test"));
  EXPECT_EQ(rig_.home().stats().recipients, 400u);
  rig_.restart();
  EXPECT_EQ(rig_.home().stats().recipients, 400u);
  EXPECT_TRUE(rig_.home().all_counts().adds_up());
  EXPECT_EQ(rig_.home().all_counts().cancelled, 2u);
  EXPECT_EQ(rig_.find("7@x.test").size(), 1u);
}

TEST_F(HomeErase, ABatchThatIsStillComingInIsMeantToo) {
  rig_.campaign(1, CampaignState::running);
  rig_.start();
  BatchHandle batch = rig_.begin(1);
  rig_.append(batch, {.address = "gone@x.test"});
  rig_.append(batch, {.address = "stays@x.test"});
  EXPECT_EQ(erase("gone@x.test")->cancelled, 0u);
  EXPECT_EQ(rig_.commit(batch).accepted, 2u);
  rig_.wait_for_events(1);
  EXPECT_EQ(rig_.events[0].outcome, Outcome::cancelled);
  EXPECT_EQ(rig_.home().all_counts().cancelled, 1u);
  EXPECT_EQ(rig_.home().all_counts().waiting, 1u);
  wait_until_clean();
}

TEST_F(HomeErase, AnEmptyHomeIsCleanSoon) {
  rig_.start();
  EXPECT_EQ(erase("nobody@x.test")->cancelled, 0u);
  wait_until_clean();
}

}  // namespace
}  // namespace postring::queue
