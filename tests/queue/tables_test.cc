// The tables of a home against plain containers.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "queue/destinations.h"
#include "queue/due_times.h"
#include "queue/recipients.h"
#include "queue/retry_policy.h"

namespace postring::queue {
namespace {

std::string address_of(uint64_t n) { return "u" + std::to_string(n) + "@x.test"; }

TEST(Recipients, FindsWhatLivesThroughManyInsertionsAndRemovals) {
  Recipients recipients(7, 42);
  Random random(1);
  std::map<uint64_t, std::pair<Slot, std::string>> model;
  uint64_t next = 1;
  for (int step = 0; step < 300'000; ++step) {
    if (random.chance(2, 3) || model.empty()) {
      std::string address = address_of(random.below(1'000));
      Slot slot = recipients.add(next, address);
      recipients[slot].set_state(EntryState::ready);
      model[next++] = {slot, address};
    } else {
      auto at = model.lower_bound(random.below(next));
      if (at == model.end()) at = model.begin();
      recipients.remove(at->second.first);
      model.erase(at);
    }
  }
  EXPECT_EQ(recipients.used(), model.size());
  std::map<std::string, std::vector<Slot>> by_address;
  for (uint64_t counter = 1; counter < next; ++counter) {
    auto at = model.find(counter);
    Slot found = recipients.find(make_recipient_id(7, counter));
    ASSERT_EQ(found, at == model.end() ? kNoSlot : at->second.first);
    if (at != model.end()) by_address[at->second.second].push_back(found);
  }
  for (auto& [address, slots] : by_address) {
    std::reverse(slots.begin(), slots.end());
    ASSERT_EQ(recipients.find_address(address, UINT32_MAX), slots);
  }
  EXPECT_EQ(recipients.find(make_recipient_id(8, model.begin()->first)), kNoSlot);
}

TEST(Recipients, OneAddressManyTimesStaysCheap) {
  Recipients recipients(1, 1);
  std::vector<Slot> slots;
  for (uint64_t n = 1; n <= 100'000; ++n) {
    slots.push_back(recipients.add(n, "same@x.test"));
    recipients[slots.back()].set_state(EntryState::ready);
  }
  EXPECT_EQ(recipients.find_address("same@x.test", 10).size(), 10u);
  for (Slot slot : slots) recipients.remove(slot);
  EXPECT_TRUE(recipients.find_address("same@x.test", 10).empty());
}

TEST(Recipients, AddressesThatCameInBulkAreFoundAsAnyOthers) {
  Recipients recipients(7, 42);
  Random random(2);
  std::map<std::string, std::set<Slot>> model;
  std::map<uint64_t, Slot> slots;
  auto add = [&](uint64_t counter) {
    std::string address = address_of(counter % 5'000);
    Slot slot = slots[counter] = recipients.add(counter, address);
    recipients[slot].set_state(EntryState::ready);
    model[address].insert(slot);
  };
  auto remove = [&](uint64_t counter) {
    Slot slot = slots.at(counter);
    recipients.remove(slot);
    slots.erase(counter);
    model[address_of(counter % 5'000)].erase(slot);
  };
  auto expect_all = [&] {
    for (auto& [address, expected] : model) {
      auto found = recipients.find_address(address, UINT32_MAX);
      ASSERT_EQ(std::set<Slot>(found.begin(), found.end()), expected) << address;
    }
  };
  recipients.begin_bulk();
  for (uint64_t counter = 1; counter <= 100'000; ++counter) {
    add(counter);
    if (random.chance(1, 4)) remove(counter);
  }
  recipients.end_bulk();
  ASSERT_EQ(recipients.used(), slots.size());
  expect_all();
  // The index goes on growing from where it is.
  for (uint64_t counter = 100'001; counter <= 220'000; ++counter) {
    add(counter);
    if (slots.contains(counter - 100'000)) remove(counter - 100'000);
  }
  expect_all();
}

TEST(Recipients, APageKnowsItsEarliestDeadline) {
  Recipients recipients(1, 1);
  for (uint64_t n = 1; n <= kEntriesPerPage + 10; ++n) {
    Slot slot = recipients.add(n, address_of(n));
    recipients.set_expiry(slot, static_cast<uint32_t>(10'000 - n));
  }
  ASSERT_EQ(recipients.page_count(), 2u);
  EXPECT_EQ(recipients.page_expiry(0), 10'000 - kEntriesPerPage);
  EXPECT_EQ(recipients.page_expiry(1), 10'000 - kEntriesPerPage - 10);
}

TEST(DueTimes, GoesBySecondsThenByArrival) {
  Recipients recipients(1, 1);
  DueTimes due(recipients);
  std::vector<Slot> slots;
  for (uint64_t n = 1; n <= 6; ++n) {
    Slot slot = recipients.add(n, address_of(n));
    recipients[slot].due_s = n % 2 == 0 ? 20 : 10;
    due.add(slot);
    slots.push_back(slot);
  }
  due.remove(slots[2]);
  std::vector<Slot> order;
  while (due.first() != kNoSlot) {
    order.push_back(due.first());
    due.remove(due.first());
  }
  EXPECT_EQ(order, (std::vector<Slot>{slots[0], slots[4], slots[1], slots[3], slots[5]}));
  EXPECT_EQ(due.next_s(), kNeverSeconds);
}

class FlowsTest : public testing::Test {
 protected:
  uint32_t ready(std::string_view domain, uint32_t campaign, MailClass mail_class, uint64_t n) {
    Slot slot = recipients_.add(n, address_of(n));
    uint32_t number = destinations_.use_flow(domain, 0, campaign, mail_class);
    recipients_[slot].flow = number;
    Flow& flow = destinations_.flow(number);
    recipients_.push_back(flow.entries, slot);
    if (flow.place == FlowPlace::aside) destinations_.enter_ring(number);
    return flow.destination;
  }
  uint64_t take(uint32_t destination) {
    Slot number = destinations_.next_flow(destination);
    if (number == kNoSlot) return 0;
    Flow& flow = destinations_.flow(number);
    Slot slot = flow.entries.head;
    destinations_.move_on(number);
    recipients_.unlink(flow.entries, slot);
    if (flow.entries.empty()) destinations_.leave_ring(number);
    destinations_.release_flow(number);
    return recipients_[slot].counter;
  }

  Recipients recipients_{1, 1};
  Destinations destinations_{9};
};

TEST_F(FlowsTest, ClassesGoFirstThenCampaignsInTurn) {
  uint32_t place = ready("x.test", 1, MailClass::bulk, 1);
  ready("x.test", 1, MailClass::bulk, 2);
  ready("x.test", 2, MailClass::bulk, 3);
  ready("x.test", 1, MailClass::bulk, 4);
  ready("x.test", 2, MailClass::bulk, 5);
  ready("x.test", 3, MailClass::transactional, 6);
  ready("x.test", 3, MailClass::standard, 7);
  uint32_t other = ready("y.test", 1, MailClass::bulk, 8);
  std::vector<uint64_t> order;
  while (uint64_t counter = take(place)) order.push_back(counter);
  EXPECT_EQ(order, (std::vector<uint64_t>{6, 7, 1, 3, 2, 5, 4}));
  EXPECT_EQ(take(other), 8u);
  EXPECT_EQ(destinations_.count(), 0u);
}

TEST_F(FlowsTest, RandomlyAgainstAModel) {
  Random random(5);
  std::map<uint32_t, std::set<uint64_t>> model;
  std::map<std::string, uint32_t> numbers;
  uint64_t next = 1;
  for (int step = 0; step < 50'000; ++step) {
    std::string domain = "d" + std::to_string(random.below(50)) + ".test";
    if (random.chance(1, 2)) {
      auto mail_class = static_cast<MailClass>(random.below(3));
      uint32_t number = ready(domain, static_cast<uint32_t>(random.below(5)), mail_class, next);
      numbers[domain] = number;
      model[number].insert(next++);
    } else if (numbers.contains(domain)) {
      uint32_t number = numbers[domain];
      uint64_t counter = take(number);
      ASSERT_EQ(model[number].erase(counter), 1u);
      if (model[number].empty()) numbers.erase(domain);
    }
  }
  for (auto& [domain, number] : numbers) {
    while (uint64_t counter = take(number)) ASSERT_EQ(model[number].erase(counter), 1u);
    ASSERT_TRUE(model[number].empty());
  }
  EXPECT_EQ(destinations_.count(), 0u);
}

TEST_F(FlowsTest, FlowsOfDestinationsThatWereMadeBefore) {
  uint32_t used = destinations_.use_destination("used.test", 0);
  uint32_t unused = destinations_.use_destination("unused.test", 0);
  EXPECT_EQ(destinations_.use_destination("used.test", 0), used);
  uint32_t other = destinations_.use_destination_like(used, 3);
  EXPECT_NE(other, used);
  EXPECT_EQ(destinations_.destination(other).domain, "used.test");
  EXPECT_NE(unused, used);
  constexpr uint32_t kCampaigns = 100'000;
  destinations_.reserve_flows(kCampaigns);
  std::vector<uint32_t> flows;
  for (uint32_t campaign = 0; campaign < kCampaigns; ++campaign) {
    destinations_.prefetch_index(used, campaign, MailClass::bulk);
    destinations_.prefetch_flow(used, campaign, MailClass::bulk);
    flows.push_back(destinations_.use_flow_in(used, campaign, MailClass::bulk));
  }
  destinations_.forget_unused();
  EXPECT_EQ(destinations_.count(), 1u);
  for (uint32_t campaign = 0; campaign < kCampaigns; ++campaign) {
    ASSERT_EQ(destinations_.use_flow("used.test", 0, campaign, MailClass::bulk), flows[campaign]);
    destinations_.release_flow(flows[campaign]);
    destinations_.release_flow(flows[campaign]);
  }
  EXPECT_EQ(destinations_.count(), 0u);
}

TEST(SourceSets, AreNumberedOnce) {
  SourceSets sets;
  EXPECT_EQ(sets.number_of({}), 0u);
  SourceSet two = sets.number_of({"a", "b"});
  EXPECT_NE(two, 0u);
  EXPECT_EQ(sets.number_of({"a", "b"}), two);
  EXPECT_EQ(sets.number_of_one("a"), sets.number_of({"a"}));
  EXPECT_EQ(sets.names(two), (std::vector<std::string>{"a", "b"}));
}

TEST(RetryPolicies, StepsRepeatTheLastAndTheMoreSpecialOneWins) {
  RetryPolicies policies;
  Random random(3);
  auto wait_s = [&](uint32_t attempt, std::string_view domain, const RetryOverride* campaign) {
    return policies.wait_after(attempt, domain, campaign, random).whole_seconds();
  };
  auto near = [](int64_t value, int64_t wanted) {
    return value >= wanted * 9 / 10 && value <= wanted * 11 / 10;
  };
  EXPECT_TRUE(near(wait_s(1, "x.test", nullptr), 300));
  EXPECT_TRUE(near(wait_s(4, "x.test", nullptr), 10'800));
  EXPECT_TRUE(near(wait_s(99, "x.test", nullptr), 10'800));
  RetryOverride campaign{{Duration::seconds(100)}, Duration::hours(1)};
  EXPECT_TRUE(near(wait_s(3, "x.test", &campaign), 100));
  policies.domains["x.test"] = {{Duration::seconds(1'000)}, {}};
  EXPECT_TRUE(near(wait_s(3, "x.test", &campaign), 1'000));
  EXPECT_EQ(policies.max_age_of("x.test", &campaign), Duration::hours(1));
  EXPECT_EQ(policies.max_age_of("x.test", nullptr), Duration::days(3));
}

}  // namespace
}  // namespace postring::queue
