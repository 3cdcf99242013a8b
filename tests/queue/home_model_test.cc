// A home against a model, at random: batches, pulls, outcomes, time, pauses, and the end of the
// process at any moment (a copy of the slice's files is opened in its place). What must hold:
//
//   - a committed recipient lives until it has exactly one last outcome, and is never leased twice
//     at a time; nothing of a batch that was not committed is ever seen;
//   - an event that was given away is never taken back, and no recipient has two last outcomes;
//   - for every campaign and batch the counts add up, at every step.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/random.h"
#include "rig.h"

namespace postring::queue {
namespace {

constexpr CampaignId kCampaigns = 3;

struct Known {
  CampaignId campaign = 0;
  BatchId batch = 0;
  std::string address;
};

// The helper thread makes and renames spare segments meanwhile; those hold nothing.
void copy_files(const std::string& from, const std::string& to) {
  std::filesystem::create_directories(to);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(from)) files.push_back(entry);
  for (const auto& file : files) {
    std::error_code gone;
    std::filesystem::copy_file(file, to + "/" + file.filename().string(), gone);
  }
}

class Model {
 public:
  // Every second seed reads all through the ring, while reclaim copies what it reads.
  Model(const std::string& root, uint64_t seed)
      : root_(root), random_(seed), is_cold_(seed % 2 == 0) {
    folder_ = root_ + "/0";
    for (CampaignId id = 1; id <= kCampaigns; ++id) states_[id] = CampaignState::running;
    boot();
  }

  void run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      uint64_t what = random_.below(100);
      if (what < 25) {
        submit();
      } else if (what < 50) {
        pull();
      } else if (what < 80) {
        for (uint64_t n = random_.below(20); n > 0; --n) end_lease();
      } else if (what < 90) {
        rig_->pass(Duration::milliseconds(static_cast<int64_t>(random_.below(400'000))));
      } else if (what < 95) {
        change_campaign();
      } else if (what < 97) {
        crash();
      } else {
        rig_->turns(static_cast<int>(random_.below(5)));
      }
      check();
    }
  }

  // Everything is sent at the end, and nothing was lost.
  void drain() {
    for (CampaignId id = 1; id <= kCampaigns; ++id) {
      if (states_[id] == CampaignState::paused) set_state(id, CampaignState::running);
    }
    for (auto& [id, lease] : std::map(leases_)) rig_->home().give_back(id);
    leases_.clear();
    for (int round = 0; round < 10'000 && rig_->home().stats().recipients > 0; ++round) {
      take_offers();
      if (offers_.empty()) rig_->pass(Duration::seconds(600));
      while (!offers_.empty()) {
        pull();
        while (!leases_.empty()) end(leases_.begin()->first, Outcome::delivered);
      }
    }
    ASSERT_EQ(rig_->home().stats().recipients, 0u);
    rig_->pass(Duration::seconds(1));
    check();
    for (const auto& [id, known] : committed_) {
      ASSERT_EQ(finals_.count(id), 1u) << "recipient " << known.address << " has no last outcome";
    }
  }

 private:
  void boot() {
    rig_ = std::make_unique<HomeRig>(folder_);
    rig_->policies.max_age = Duration::hours(2);
    rig_->options.exported = exported_;
    if (is_cold_) {
      rig_->options.tail_window_bytes = 0;
      rig_->options.record_age_max = Duration::minutes(2);
    }
    for (auto& [id, state] : states_) rig_->campaign(id, state);
    rig_->start();
    offers_.clear();
    rig_->turns(3);
  }

  void submit() {
    CampaignId campaign = 1 + random_.below(kCampaigns);
    if (states_[campaign] == CampaignState::cancelled) return;
    BatchHandle batch = rig_->begin(campaign);
    BatchId batch_id = rig_->home().batch_id(batch);
    uint64_t count = random_.below(30);
    std::map<RecipientId, Known> mine;
    std::vector<RecipientId> ids;
    Home::CommitInput input;
    for (uint32_t i = 0; i < count; ++i) {
      To to;
      to.address = "r" + std::to_string(next_address_++) + "@d" +
                   std::to_string(random_.below(6)) + ".test";
      to.values = std::string(random_.below(200), 'v');
      if (random_.chance(1, 10)) {
        to.not_before = rig_->loop().wall_now() +
                        Duration::seconds(static_cast<int64_t>(random_.below(1'000)));
      }
      if (random_.chance(1, 10)) to.mail_class = MailClass::transactional;
      RecipientId id = rig_->append(batch, to);
      ASSERT_FALSE(used_ids_.contains(id)) << "an id was used twice";
      ids.push_back(id);
      if (random_.chance(1, 10)) {
        input.dropped.push_back(i);
      } else {
        mine[id] = {campaign, batch_id, to.address};
      }
    }
    input.duplicates = input.dropped.size();
    if (random_.chance(1, 8)) return rig_->home().discard(batch);
    if (random_.chance(1, 20)) return crash();
    rig_->commit(batch, std::move(input));
    used_ids_.insert(ids.begin(), ids.end());
    accepted_[campaign] += mine.size();
    batches_[batch_id] += mine.size();
    committed_.merge(mine);
  }

  void take_offers() {
    for (DestinationOffer& offer : rig_->offers) offers_.push_back(offer.id);
    rig_->offers.clear();
  }

  void pull() {
    take_offers();
    if (offers_.empty()) return;
    size_t at = random_.below(offers_.size());
    Pulled pulled = rig_->pull(offers_[at], 1 + static_cast<uint32_t>(random_.below(20)));
    take_offers();
    if (!pulled.more) offers_.erase(offers_.begin() + static_cast<ptrdiff_t>(at));
    for (const Lease& lease : pulled.leases) {
      ASSERT_TRUE(committed_.contains(lease.id));
      ASSERT_EQ(committed_[lease.id].address, lease.address());
      ASSERT_FALSE(finals_.contains(lease.id)) << "leased after its last outcome";
      ASSERT_TRUE(leases_.emplace(lease.id, lease.attempt).second);
    }
  }

  void end_lease() {
    if (leases_.empty()) return;
    auto at = leases_.lower_bound(random_.next());
    if (at == leases_.end()) at = leases_.begin();
    uint64_t what = random_.below(10);
    if (what < 2) {
      rig_->home().give_back(at->first);
      leases_.erase(at);
      return;
    }
    end(at->first, what < 5   ? Outcome::deferred
                   : what < 9 ? Outcome::delivered
                              : Outcome::bounced);
  }

  void end(RecipientId id, Outcome outcome) {
    rig_->settle(id, outcome, random_.chance(1, 2) ? "s1" : "s2");
    leases_.erase(id);
  }

  void set_state(CampaignId id, CampaignState state) {
    states_[id] = state;
    rig_->campaign(id, state);
  }

  void change_campaign() {
    CampaignId id = 1 + random_.below(kCampaigns);
    if (states_[id] == CampaignState::cancelled) return;
    if (id == kCampaigns && random_.chance(1, 20)) return set_state(id, CampaignState::cancelled);
    set_state(id, states_[id] == CampaignState::running ? CampaignState::paused
                                                        : CampaignState::running);
  }

  // The process ends now: what it wrote is there, what it had in memory is not.
  void crash() {
    take_events();
    std::string copy = root_ + "/" + std::to_string(++boots_);
    copy_files(folder_, copy);
    for (auto& [id, attempt] : std::map(leases_)) rig_->home().give_back(id);
    leases_.clear();
    // The old one ends in its own folder; nothing of what it still says counts.
    rig_.reset();
    std::filesystem::remove_all(folder_);
    folder_ = copy;
    boot();
  }

  void take_events() {
    for (EventFacts& facts : rig_->events) {
      ASSERT_TRUE(committed_.contains(facts.recipient));
      ASSERT_EQ(committed_[facts.recipient].address, facts.address);
      ASSERT_EQ(committed_[facts.recipient].campaign, facts.campaign);
      if (*facts.outcome == Outcome::deferred) continue;
      auto key = std::pair{facts.attempt, *facts.outcome};
      auto at = finals_.try_emplace(facts.recipient, key).first;
      ASSERT_EQ(at->second, key) << "two last outcomes of one recipient";
    }
    if (!rig_->events.empty()) exported_ = rig_->last_event;
    rig_->events.clear();
  }

  void check() {
    // An outcome that waits for room is in flight until it is written.
    rig_->turn_until([&] { return rig_->home().stats().outcomes_waiting == 0; });
    take_events();
    std::map<CampaignId, uint64_t> leased;
    for (auto& [id, attempt] : leases_) ++leased[committed_[id].campaign];
    Counts total;
    for (CampaignId id = 1; id <= kCampaigns; ++id) {
      Counts counts = rig_->home().campaign_counts(id);
      ASSERT_TRUE(counts.adds_up());
      ASSERT_EQ(counts.accepted, accepted_[id]);
      ASSERT_EQ(counts.in_flight, leased[id]);
      total += counts;
    }
    ASSERT_EQ(total.waiting + total.in_flight, rig_->home().stats().recipients);
    Counts by_batch;
    for (auto& [id, accepted] : batches_) {
      auto status = rig_->home().batch(id);
      ASSERT_TRUE(status) << "batch " << id << " is not known any more";
      ASSERT_TRUE(status->counts.adds_up());
      ASSERT_EQ(status->counts.accepted, accepted);
      by_batch += status->counts;
    }
    ASSERT_EQ(by_batch.waiting, total.waiting);
    ASSERT_EQ(by_batch.finished(), total.finished());
    ASSERT_EQ(by_batch.deferrals, total.deferrals);
    ASSERT_LE(finals_.size(), total.finished());
  }

  std::string root_;
  std::string folder_;
  Random random_;
  bool is_cold_;
  std::unique_ptr<HomeRig> rig_;
  std::map<CampaignId, CampaignState> states_;
  std::map<RecipientId, Known> committed_;
  std::map<RecipientId, uint32_t> leases_;
  std::map<RecipientId, std::pair<uint32_t, Outcome>> finals_;
  std::map<CampaignId, uint64_t> accepted_;
  std::map<BatchId, uint64_t> batches_;
  std::set<RecipientId> used_ids_;  // of what was committed, or dropped from it
  std::vector<DestinationId> offers_;
  spool::Position exported_;
  uint64_t next_address_ = 1;
  int boots_ = 0;
};

class HomeModel : public testing::TestWithParam<uint64_t> {};

TEST_P(HomeModel, NothingIsLostOrDoubled) {
  TempFolder folder;
  Model model(folder.path(), GetParam());
  model.run(400);
  if (!HasFailure()) model.drain();
}

INSTANTIATE_TEST_SUITE_P(Seeds, HomeModel, testing::Range<uint64_t>(1, 13));

}  // namespace
}  // namespace postring::queue
