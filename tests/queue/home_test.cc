// One home, from submission to the last outcome, through restarts.
#include <gtest/gtest.h>

#include <algorithm>

#include "rig.h"

namespace postring::queue {
namespace {

class HomeTest : public testing::Test {
 protected:
  std::vector<std::string> addresses(const Pulled& pulled) {
    std::vector<std::string> found;
    for (const Lease& lease : pulled.leases) found.emplace_back(lease.address());
    return found;
  }

  TempFolder folder_;
  HomeRig rig_{folder_.path() + "/slice"};
};

TEST_F(HomeTest, ABatchIsNothingUntilItsCommit) {
  rig_.campaign(1, CampaignState::running);
  rig_.start();
  BatchHandle batch = rig_.begin(1);
  rig_.append(batch, {.address = "a@x.test"});
  rig_.turns(10);
  EXPECT_TRUE(rig_.offers.empty());
  EXPECT_TRUE(rig_.find("a@x.test").empty());
  EXPECT_EQ(rig_.home().campaign_counts(1).accepted, 0u);
  EXPECT_FALSE(rig_.home().is_idle(1));
  rig_.home().discard(batch);
  EXPECT_EQ(rig_.home().stats().recipients, 0u);
  rig_.turns(3);
  EXPECT_EQ(rig_.idle, std::vector<CampaignId>{1});

  BatchHandle lost = rig_.begin(1);
  rig_.append(lost, {.address = "b@x.test"});
  BatchHandle kept = rig_.begin(1, "key");
  RecipientId id = rig_.append(kept, {.address = "c@x.test", .ref = "r"});
  Home::CommitInput input;
  input.rejected = 2;
  input.answer = "the answer";
  Committed committed = rig_.commit(kept, std::move(input));
  EXPECT_EQ(committed.accepted, 1u);
  EXPECT_EQ(rig_.offers.size(), 1u);
  rig_.home().discard(lost);

  rig_.restart();
  rig_.turns(3);
  EXPECT_EQ(rig_.home().stats().recipients, 1u);
  ASSERT_EQ(rig_.find("c@x.test").size(), 1u);
  RecipientStatus status = rig_.find("c@x.test")[0];
  EXPECT_EQ(status.id, id);
  EXPECT_EQ(status.ref, "r");
  EXPECT_EQ(status.hold, Hold::ready);
  EXPECT_EQ(status.batch, committed.batch);
  EXPECT_EQ(rig_.answers, (std::map<std::string, std::string>{{"key", "the answer"}}));
  EXPECT_TRUE(rig_.seen.contains(
      {1, fingerprint_of(rig_.options.fingerprint_key, "r", "c@x.test")}));
  auto found = rig_.home().batch(committed.batch);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->counts.accepted, 1u);
  EXPECT_EQ(found->counts.rejected, 2u);
  // Ids of what came to nothing are not used again.
  EXPECT_GT(rig_.submit(1, {{.address = "d@x.test"}})[0], id);
}

TEST_F(HomeTest, DroppedDuplicatesAreNotSent) {
  rig_.campaign(1, CampaignState::running);
  rig_.start();
  BatchHandle batch = rig_.begin(1);
  for (int i = 0; i < 6; ++i) rig_.append(batch, {.address = std::to_string(i) + "@x.test"});
  EXPECT_EQ(rig_.home().fingerprints(batch).size(), 6u);
  Home::CommitInput input;
  input.dropped = {0, 3, 5};
  input.duplicates = 3;
  EXPECT_EQ(rig_.commit(batch, std::move(input)).accepted, 3u);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(rig_.home().campaign_counts(1).accepted, 3u);
    EXPECT_EQ(rig_.home().campaign_counts(1).duplicate, 3u);
    EXPECT_EQ(rig_.home().stats().recipients, 3u);
    rig_.restart();
  }
  rig_.turns(3);
  Pulled pulled = rig_.pull(rig_.offer_of("x.test")->id);
  EXPECT_EQ(addresses(pulled), (std::vector<std::string>{"1@x.test", "2@x.test", "4@x.test"}));
  for (const Lease& lease : pulled.leases) rig_.home().give_back(lease.id);
}

TEST_F(HomeTest, ALeaseCarriesWhatSendingNeeds) {
  rig_.campaign(2, CampaignState::running, {"s1", "s2"});
  rig_.start();
  auto ids = rig_.submit(2, {{.address = "a@x.test", .values = "the values"}});
  auto offer = rig_.offer_of("x.test");
  ASSERT_TRUE(offer);
  EXPECT_EQ(offer->sources, (std::vector<std::string>{"s1", "s2"}));
  EXPECT_FALSE(offer->transactional);
  Pulled pulled = rig_.pull(offer->id);
  ASSERT_EQ(pulled.leases.size(), 1u);
  EXPECT_FALSE(pulled.more);
  const Lease& lease = pulled.leases[0];
  EXPECT_EQ(lease.id, ids[0]);
  EXPECT_EQ(lease.campaign, 2u);
  EXPECT_EQ(lease.tenant, 3u);
  EXPECT_EQ(lease.attempt, 1u);
  EXPECT_EQ(lease.address(), "a@x.test");
  EXPECT_EQ(lease.values(), "the values");
  EXPECT_EQ(lease.inline_content(), "");
  EXPECT_EQ(lease.content[0], std::byte{2});
  EXPECT_EQ(lease.expires_at, lease.accepted_at + Duration::days(3));
  EXPECT_EQ(rig_.home().campaign_counts(2).in_flight, 1u);
  EXPECT_EQ(rig_.home().campaign_counts(2).waiting, 0u);
  EXPECT_TRUE(rig_.find("a@x.test")[0].in_flight);

  rig_.home().give_back(lease.id);
  rig_.turns(2);
  EXPECT_EQ(rig_.offers.size(), 2u);
  EXPECT_EQ(rig_.home().campaign_counts(2).waiting, 1u);
  rig_.pull(rig_.offer_of("x.test")->id);
  rig_.settle(ids[0], Outcome::delivered, "s1");
  rig_.wait_for_events(1);
  const EventFacts& event = rig_.events[0];
  EXPECT_EQ(event.outcome, Outcome::delivered);
  EXPECT_EQ(event.recipient, ids[0]);
  EXPECT_EQ(event.attempt, 1u);
  EXPECT_EQ(event.address, "a@x.test");
  EXPECT_EQ(event.tenant_name, "acme");
  EXPECT_EQ(event.remote_address, "192.0.2.7");
  EXPECT_EQ(event.reply.code, 250);
  EXPECT_EQ(rig_.idle, std::vector<CampaignId>{2});
  EXPECT_TRUE(rig_.find("a@x.test").empty());
}

TEST_F(HomeTest, PauseHoldsAndResumeOffersAgain) {
  rig_.campaign(1, CampaignState::loading);
  rig_.start();
  rig_.submit(1, {{.address = "a@x.test"}, {.address = "b@x.test"}, {.address = "c@y.test"}});
  rig_.turns(5);
  EXPECT_TRUE(rig_.offers.empty());
  EXPECT_EQ(rig_.find("a@x.test")[0].hold, Hold::not_started);
  rig_.campaign(1, CampaignState::running);
  rig_.turns(5);
  EXPECT_EQ(rig_.offers.size(), 2u);
  DestinationId destination = rig_.offer_of("x.test")->id;
  Pulled pulled = rig_.pull(destination, 1);
  EXPECT_TRUE(pulled.more);
  rig_.campaign(1, CampaignState::paused);
  EXPECT_FALSE(rig_.campaigns.may_send(1));
  Pulled none = rig_.pull(destination);
  EXPECT_TRUE(none.leases.empty());
  EXPECT_FALSE(none.more);
  rig_.home().give_back(pulled.leases[0].id);
  rig_.turns(5);
  EXPECT_EQ(rig_.find("b@x.test")[0].hold, Hold::paused);
  rig_.offers.clear();
  rig_.restart();
  rig_.turns(5);
  EXPECT_TRUE(rig_.offers.empty());
  rig_.campaign(1, CampaignState::running);
  rig_.turns(5);
  EXPECT_EQ(rig_.offers.size(), 2u);
  EXPECT_EQ(addresses(rig_.pull(rig_.offer_of("x.test")->id)).size(), 2u);
  for (const char* address : {"a@x.test", "b@x.test"}) {
    rig_.home().give_back(rig_.find(address)[0].id);
  }
}

TEST_F(HomeTest, CancelEndsWhatWaitsAndWhatComesBack) {
  rig_.campaign(1, CampaignState::running);
  rig_.campaign(2, CampaignState::running);
  rig_.start();
  std::vector<To> many;
  for (int i = 0; i < 3'000; ++i) many.push_back({.address = std::to_string(i) + "@x.test"});
  many.push_back({.address = "later@x.test",
                  .not_before = rig_.loop().wall_now() + Duration::hours(5)});
  rig_.submit(1, many);
  rig_.submit(2, {{.address = "other@x.test"}});
  rig_.turns(20);
  Pulled pulled = rig_.pull(rig_.offer_of("x.test")->id, 10);
  ASSERT_EQ(pulled.leases.size(), 10u);
  rig_.campaign(1, CampaignState::cancelled);
  rig_.turn_until([&] { return rig_.home().campaign_counts(1).waiting == 0; });
  Counts counts = rig_.home().campaign_counts(1);
  EXPECT_TRUE(counts.adds_up());
  EXPECT_EQ(counts.cancelled + counts.in_flight, 3'001u);
  EXPECT_GE(counts.in_flight, 9u);
  for (const Lease& lease : pulled.leases) rig_.home().give_back(lease.id);
  rig_.turn_until([&] { return rig_.home().campaign_counts(1).in_flight == 0; });
  EXPECT_EQ(rig_.home().campaign_counts(1).cancelled, 3'001u);
  EXPECT_EQ(rig_.home().campaign_counts(2).waiting, 1u);
  rig_.wait_for_events(3'001);
  EXPECT_EQ(rig_.events[77].outcome, Outcome::cancelled);
  EXPECT_FALSE(rig_.events[77].address.empty());
}

TEST_F(HomeTest, TransactionalMailHurriesAnOfferedDestination) {
  rig_.campaign(1, CampaignState::running);
  rig_.start();
  rig_.submit(1, {{.address = "a@x.test"}, {.address = "b@x.test"}});
  ASSERT_EQ(rig_.offers.size(), 1u);
  rig_.submit(1, {{.address = "c@x.test"}});
  EXPECT_EQ(rig_.offers.size(), 1u);
  rig_.submit(1, {{.address = "t@x.test", .mail_class = MailClass::transactional}});
  ASSERT_EQ(rig_.offers.size(), 2u);
  EXPECT_TRUE(rig_.offers[1].transactional);
  EXPECT_EQ(rig_.offers[1].id, rig_.offers[0].id);
  Pulled pulled = rig_.pull(rig_.offers[0].id, 2);
  EXPECT_EQ(addresses(pulled), (std::vector<std::string>{"t@x.test", "a@x.test"}));
  EXPECT_TRUE(pulled.more);
  for (const Lease& lease : pulled.leases) rig_.settle(lease.id, Outcome::delivered);
}

TEST_F(HomeTest, ListsGiveEachLiveRecipientOnce) {
  rig_.campaign(1, CampaignState::running);
  rig_.campaign(2, CampaignState::running);
  rig_.start();
  std::vector<To> many;
  for (int i = 0; i < 250; ++i) many.push_back({.address = std::to_string(i) + "@x.test"});
  auto ids = rig_.submit(1, many);
  rig_.submit(2, many);
  std::vector<RecipientId> found;
  uint64_t after = 0;
  do {
    std::optional<StatusPage> page;
    rig_.home().list(1, std::nullopt, after, 60, [&](StatusPage p) { page = std::move(p); });
    rig_.turn_until([&] { return page.has_value(); });
    for (const RecipientStatus& status : page->recipients) found.push_back(status.id);
    after = page->next;
  } while (after != 0);
  EXPECT_EQ(found, ids);
}

TEST_F(HomeTest, EventsThatNobodyExportedComeAgainAfterARestart) {
  rig_.campaign(1, CampaignState::running);
  rig_.exports = false;
  rig_.start();
  std::vector<To> many;
  for (int i = 0; i < 600; ++i) {
    many.push_back({.address = std::to_string(i) + "@x.test", .ref = "r" + std::to_string(i)});
  }
  auto ids = rig_.submit(1, many);
  rig_.turns(5);
  for (int i = 0; i < 6; ++i) {
    for (const Lease& lease : rig_.pull(rig_.offer_of("x.test")->id).leases) {
      rig_.settle(lease.id, Outcome::delivered, "s1");
    }
  }
  rig_.wait_for_events(600);
  std::vector<EventFacts> before = std::move(rig_.events);
  rig_.events.clear();
  rig_.last_event = {};
  rig_.restart();
  rig_.wait_for_events(600);
  rig_.turns(10);
  ASSERT_EQ(rig_.events.size(), 600u);
  for (size_t i = 0; i < 600; ++i) {
    EXPECT_EQ(rig_.events[i].recipient, before[i].recipient);
    EXPECT_EQ(rig_.events[i].address, before[i].address);
    EXPECT_EQ(rig_.events[i].ref, before[i].ref);
    EXPECT_EQ(rig_.events[i].reply.text, before[i].reply.text);
    EXPECT_EQ(rig_.events[i].remote_address, before[i].remote_address);
    EXPECT_EQ(rig_.events[i].queued, before[i].queued);
    EXPECT_EQ(rig_.events[i].logged, before[i].logged);
    EXPECT_EQ(rig_.events[i].source, before[i].source);
    EXPECT_EQ(rig_.events[i].tenant_name, before[i].tenant_name);
  }
}

TEST_F(HomeTest, ReclaimKeepsWhatLivesAndForgetsTheRest) {
  rig_.campaign(1, CampaignState::running);
  rig_.start();
  auto first = rig_.submit(1, {{.address = "stays@x.test", .values = "v", .ref = "old"},
                               {.address = "gone@x.test"},
                               {.address = "leased@l.test", .values = "w"}});
  Pulled leased = rig_.pull(rig_.offer_of("l.test")->id);
  rig_.pull(rig_.offer_of("x.test")->id);
  rig_.settle(first[0], Outcome::deferred, "s1");
  rig_.settle(first[1], Outcome::delivered);
  uint64_t delivered = 1;
  std::string values(300, 'z');
  // Enough of what comes and goes for many segments.
  for (int round = 0; round < 40; ++round) {
    std::vector<To> many;
    for (int i = 0; i < 50; ++i) {
      many.push_back({.address = std::to_string(round * 100 + i) + "@y.test", .values = values});
    }
    rig_.submit(1, many);
    for (const Lease& lease : rig_.pull(rig_.offer_of("y.test")->id).leases) {
      rig_.settle(lease.id, Outcome::delivered);
      ++delivered;
    }
    if (round % 5 == 4) rig_.pass(Duration::milliseconds(1'100));
  }
  EXPECT_EQ(delivered, 2'001u);
  rig_.turn_until([&] {
    advance_clock(Duration::milliseconds(300));
    return rig_.home().stats().segments < 6;
  });
  for (int round = 0; round < 3; ++round) {
    Counts counts = rig_.home().campaign_counts(1);
    EXPECT_EQ(counts.accepted, 2'003u);
    EXPECT_EQ(counts.delivered, 2'001u);
    EXPECT_TRUE(counts.adds_up());
    EXPECT_EQ(rig_.home().stats().recipients, 2u);
    RecipientStatus status = rig_.find("stays@x.test")[0];
    EXPECT_EQ(status.id, first[0]);
    EXPECT_EQ(status.attempts, 1u);
    EXPECT_EQ(status.reply.text, "said the peer");
    EXPECT_EQ(status.source, "s1");
    EXPECT_EQ(status.ref, "old");
    if (round == 0) {
      rig_.home().give_back(leased.leases[0].id);
      rig_.restart();
      continue;
    }
    EXPECT_TRUE(rig_.seen.contains(
        {1, fingerprint_of(rig_.options.fingerprint_key, "", "gone@x.test")}));
    EXPECT_TRUE(rig_.seen.contains(
        {1, fingerprint_of(rig_.options.fingerprint_key, "old", "stays@x.test")}));
    EXPECT_EQ(rig_.seen.size(), 2'003u);
    if (round == 1) rig_.restart();
  }
}

TEST_F(HomeTest, ASliceThatTakesNoMailSaysSo) {
  rig_.campaign(1, CampaignState::running);
  rig_.options.takes_mail = false;
  rig_.start();
  NewBatch in;
  in.campaign = 1;
  auto begun = rig_.home().begin(in);
  ASSERT_FALSE(begun.has_value());
  EXPECT_EQ(begun.error(), SubmitError::no_mail);
  EXPECT_TRUE(rig_.home().is_empty());
}

TEST_F(HomeTest, IdleOnlyWhenTheEventsAreExported) {
  rig_.exports = false;
  rig_.campaign(1, CampaignState::running);
  rig_.start();
  RecipientId id = rig_.submit(1, {{.address = "a@x.test"}})[0];
  rig_.pull(rig_.offer_of("x.test")->id);
  rig_.settle(id, Outcome::delivered);
  rig_.wait_for_events(1);
  rig_.turns(10);
  EXPECT_FALSE(rig_.home().is_idle(1));
  EXPECT_EQ(rig_.idle, std::vector<CampaignId>{});
  rig_.home().exported(rig_.last_event);
  rig_.turns(3);
  EXPECT_TRUE(rig_.home().is_idle(1));
  EXPECT_EQ(rig_.idle, std::vector<CampaignId>{1});

  // After a start, what was not exported before is waited for, too.
  spool::Position exported = rig_.last_event;
  id = rig_.submit(1, {{.address = "b@x.test"}})[0];
  rig_.pull(rig_.offer_of("x.test")->id);
  rig_.settle(id, Outcome::delivered);
  rig_.wait_for_events(2);
  rig_.close();
  rig_.options.exported = exported;
  rig_.events.clear();
  rig_.idle.clear();
  rig_.start();
  EXPECT_FALSE(rig_.home().is_idle(1));
  rig_.wait_for_events(1);
  rig_.turns(10);
  EXPECT_FALSE(rig_.home().is_idle(1));
  EXPECT_EQ(rig_.idle, std::vector<CampaignId>{});
  rig_.home().exported(rig_.last_event);
  rig_.turns(3);
  EXPECT_TRUE(rig_.home().is_idle(1));
  EXPECT_EQ(rig_.idle, std::vector<CampaignId>{1});
}

TEST_F(HomeTest, ASegmentThatCannotBeReadIsLeftAloneLongerEachTime) {
  rig_.campaign(1, CampaignState::running);
  rig_.start();
  std::vector<To> to;
  for (int i = 0; i < 300; ++i) {
    to.push_back({.address = "u" + std::to_string(i) + "@x.test", .values = std::string(600, 'v')});
  }
  std::vector<RecipientId> ids = rig_.submit(1, to);
  size_t settled = 0;
  while (settled < ids.size()) {
    for (const Lease& lease : rig_.pull(rig_.offer_of("x.test")->id).leases) {
      rig_.settle(lease.id, Outcome::delivered);
      ++settled;
    }
  }
  rig_.wait_for_events(ids.size());
  rig_.restart();
  ASSERT_GT(rig_.home().stats().segments, 2u);
  std::vector<std::filesystem::path> segments;
  for (const auto& entry : std::filesystem::directory_iterator(rig_.folder())) {
    if (entry.path().extension() == ".seg") segments.push_back(entry.path());
  }
  std::ranges::sort(segments);
  ASSERT_FALSE(segments.empty());
  std::filesystem::path aside = segments.front();
  aside += ".aside";
  std::filesystem::rename(segments.front(), aside);
  uint64_t before = rig_.home().stats().segments;
  for (int second = 0; second < 60; ++second) rig_.pass(Duration::seconds(1));
  EXPECT_GE(rig_.home().stats().reclaim_failures, 3u);
  EXPECT_LE(rig_.home().stats().reclaim_failures, 6u);
  EXPECT_EQ(rig_.home().stats().segments, before);
  std::filesystem::rename(aside, segments.front());
  for (int minute = 0; minute < 3; ++minute) rig_.pass(Duration::minutes(1));
  rig_.turn_until([&] { return rig_.home().stats().segments < before; });
  EXPECT_EQ(rig_.home().stats().reclaim_failures, 0u);
}

}  // namespace
}  // namespace postring::queue
