// A home of many recipients comes back as it was.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/random.h"
#include "queue/destinations.h"
#include "rig.h"

namespace postring::queue {
namespace {

class HomeRecoveryTest : public testing::Test {
 protected:
  // Leases of all destinations that were offered, at most `each` of a destination.
  std::vector<Lease> pull_all(uint32_t each) {
    std::vector<Lease> leases;
    // What ended asks for the next offer.
    for (const DestinationOffer& offer : std::vector<DestinationOffer>(rig_.offers)) {
      Pulled pulled = rig_.pull(offer.id, each);
      for (Lease& lease : pulled.leases) leases.push_back(std::move(lease));
    }
    return leases;
  }

  // Until all that was settled is in the log, and told.
  void wait_for_outcomes() {
    rig_.turn_until([this] {
      HomeStats stats = rig_.home().stats();
      return stats.outcomes_waiting == 0 && stats.events_waiting == 0;
    });
  }

  TempFolder folder_;
  HomeRig rig_{folder_.path() + "/slice"};
};

TEST_F(HomeRecoveryTest, ManyOfManyFatesComeBackAsTheyWere) {
  constexpr int kDomains = 300;
  rig_.campaign(1, CampaignState::running, {"s1", "s2"});
  rig_.campaign(2, CampaignState::paused);
  rig_.campaign(3, CampaignState::running);
  rig_.start();
  Random random(11);
  std::map<RecipientId, std::string> alive;
  for (int n = 0, batch = 0; batch < 6; ++batch) {
    std::vector<To> to;
    for (int i = 0; i < 1'500; ++i, ++n) {
      To one;
      std::string domain = "d" + std::to_string(n % kDomains);
      if (n % kDomains % 7 == 0) domain += std::string(55, 'x');
      one.address = "u" + std::to_string(n) + "@" + domain + ".test";
      if (random.chance(1, 10)) one.mail_class = MailClass::standard;
      if (random.chance(1, 20)) one.source = "s3";
      to.push_back(one);
    }
    auto ids = rig_.submit(1 + static_cast<CampaignId>(batch) % 3, to);
    for (size_t i = 0; i < ids.size(); ++i) alive[ids[i]] = to[i].address;
  }
  // One that is never committed.
  rig_.append(rig_.begin(3), {.address = "nobody@nowhere.test"});
  rig_.turns(10);
  for (const Lease& lease : pull_all(12)) {
    if (random.chance(1, 5)) {
      rig_.settle(lease.id, Outcome::deferred, random.chance(1, 2) ? "s1" : "s4");
    } else {
      rig_.settle(lease.id, Outcome::delivered);
      alive.erase(lease.id);
    }
  }
  ASSERT_GT(alive.size(), 2'000u);
  ASSERT_LT(alive.size(), 7'000u);
  wait_for_outcomes();
  for (int life = 0; life < 2; ++life) {
    HomeStats before = rig_.home().stats();
    rig_.restart();
    HomeStats after = rig_.home().stats();
    EXPECT_EQ(after.recipients, alive.size());
    EXPECT_EQ(after.ready, before.ready);
    EXPECT_EQ(after.deferred, before.deferred);
    if (life > 0) {
      EXPECT_EQ(after.destinations, before.destinations);
    }
    rig_.turns(100);
    for (const auto& [id, address] : alive) {
      if (random.chance(19, 20)) continue;
      auto found = rig_.find(address);
      ASSERT_EQ(found.size(), 1u) << address;
      EXPECT_EQ(found[0].id, id);
    }
    EXPECT_TRUE(rig_.find("nobody@nowhere.test").empty());
  }
  // All that was left is sent, once.
  rig_.campaign(2, CampaignState::running);
  rig_.pass(Duration::hours(1));
  while (!alive.empty()) {
    auto leases = pull_all(1'000);
    ASSERT_FALSE(leases.empty());
    for (const Lease& lease : leases) {
      EXPECT_EQ(alive.at(lease.id), lease.address());
      alive.erase(lease.id);
      rig_.settle(lease.id, Outcome::delivered);
    }
    wait_for_outcomes();
  }
  EXPECT_EQ(rig_.home().stats().recipients, 0u);
  EXPECT_EQ(rig_.home().stats().destinations, 0u);
}

TEST_F(HomeRecoveryTest, VeryManyDestinationsAreOfferedSomeInEachTurn) {
  constexpr size_t kDomains = 2 * kOffersPerTurn + 1;
  rig_.campaign(1, CampaignState::running);
  rig_.start();
  std::vector<To> to;
  for (size_t n = 0; n < kDomains; ++n) {
    to.push_back({.address = "a@d" + std::to_string(n) + ".test"});
  }
  rig_.submit(1, to);
  rig_.restart();
  std::set<std::string> domains;
  for (int turn = 0; turn < 10 && domains.size() < kDomains; ++turn) {
    rig_.offers.clear();
    rig_.turn();
    EXPECT_LE(rig_.offers.size(), kOffersPerTurn);
    for (const DestinationOffer& offer : rig_.offers) {
      EXPECT_TRUE(domains.insert(offer.domain).second);
    }
  }
  EXPECT_EQ(domains.size(), kDomains);
}

}  // namespace
}  // namespace postring::queue
