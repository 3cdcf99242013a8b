// The registry: campaigns, keys, idempotency and duplicates, through restarts.
#include "engine/registry.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>

#include "base/random.h"
#include "engine/answers.h"
#include "engine/campaign_rules.h"
#include "engine/duplicates.h"
#include "io/ring.h"

namespace postring::engine {
namespace {

using queue::CampaignInfo;
using queue::CampaignState;
using queue::Fingerprint;

TEST(CampaignRules, FollowTheTable) {
  constexpr int kRefused = -1;
  constexpr int kLoading = 0, kScheduled = 1, kRunning = 2, kPaused = 3, kCancelled = 4;
  constexpr int kComplete = 5;
  struct Row {
    CampaignCommand command;
    int after[6];  // by the state before
  };
  const Row rows[] = {
      {CampaignCommand::start, {kRunning, kRunning, kRunning, kRefused, kRefused, kRefused}},
      {CampaignCommand::pause, {kRefused, kRefused, kPaused, kPaused, kRefused, kRefused}},
      {CampaignCommand::resume, {kRefused, kRefused, kRunning, kRunning, kRefused, kRefused}},
      {CampaignCommand::close, {kLoading, kScheduled, kRunning, kPaused, kRefused, kComplete}},
      {CampaignCommand::cancel, {kCancelled, kCancelled, kCancelled, kCancelled, kCancelled,
                                 kRefused}},
  };
  for (const Row& row : rows) {
    for (int state = 0; state < 6; ++state) {
      CampaignInfo before;
      before.id = 1;
      before.state = static_cast<CampaignState>(state);
      auto after = after_command(before, row.command, WallTime::from_seconds(50));
      EXPECT_EQ(after ? static_cast<int>(after->state) : kRefused, row.after[state]);
      if (!after) continue;
      EXPECT_EQ(after->closed, row.command == CampaignCommand::close);
      EXPECT_EQ(after->started_at.is_set(), after->state == CampaignState::running);
    }
  }
}

TEST(CampaignRules, BytesSayTheSame) {
  CampaignInfo info;
  info.id = 77;
  info.tenant = 5;
  info.name = "spring";
  info.state = CampaignState::paused;
  info.closed = true;
  info.mail_class = MailClass::standard;
  info.content[31] = std::byte{9};
  info.sources = {"a", "b"};
  info.retry = {{Duration::minutes(5), Duration::hours(1)}, Duration::days(2)};
  info.created_at = WallTime::from_seconds(1'000);
  info.closed_at = WallTime::from_seconds(2'000);
  CampaignInfo again;
  std::string bytes = encode_campaign(info);
  ASSERT_TRUE(decode_campaign(bytes, again));
  EXPECT_EQ(encode_campaign(again), bytes);
  EXPECT_EQ(again.name, "spring");
  EXPECT_EQ(again.sources, info.sources);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_campaign(std::string_view(bytes).substr(0, size), again));
  }
}

TEST(Duplicates, AreASet) {
  Duplicates duplicates;
  std::set<Fingerprint> model;
  Random random(4);
  for (int step = 0; step < 200'000; ++step) {
    Fingerprint fingerprint{random.below(300), random.next() >> 50 << 50};
    if (random.chance(2, 3)) {
      ASSERT_EQ(duplicates.insert(fingerprint), model.insert(fingerprint).second);
    } else {
      duplicates.erase(fingerprint);
      model.erase(fingerprint);
    }
    ASSERT_EQ(duplicates.count(), model.size());
  }
  for (const Fingerprint& fingerprint : model) ASSERT_TRUE(duplicates.contains(fingerprint));
  ASSERT_FALSE(duplicates.contains({1'000, 1}));
}

TEST(Duplicates, OneOfZerosIsOneToo) {
  Duplicates duplicates;
  EXPECT_FALSE(duplicates.contains({}));
  EXPECT_TRUE(duplicates.insert({}));
  EXPECT_FALSE(duplicates.insert({}));
  duplicates.erase({});
  EXPECT_FALSE(duplicates.contains({}));
}

TEST(Duplicates, TakeLittleMemoryWhateverTheirNumber) {
  Duplicates duplicates;
  Random random(8);
  for (uint64_t n = 1; n <= 600'000; ++n) {
    duplicates.insert({random.next(), random.next()});
    if (n < 50'000 || n % 1'000 != 0) continue;
    ASSERT_LT(duplicates.bytes(), n * 19) << n;
  }
}

TEST(Answers, AreGivenOnceAndForgottenWithTheirCampaign) {
  Answers answers;
  EXPECT_TRUE(answers.begin(1, "k"));
  EXPECT_FALSE(answers.begin(1, "k"));
  EXPECT_TRUE(answers.begin(2, "k"));
  EXPECT_TRUE(answers.is_busy(1, "k"));
  EXPECT_EQ(answers.find(1, "k"), nullptr);
  answers.abandon(1, "k");
  EXPECT_TRUE(answers.begin(1, "k"));
  answers.put(1, "k", {{}, "answer", false, 5, 9, WallTime::from_seconds(100)});
  answers.put(2, "k", {{}, std::string(kAnswerHeldMax + 1, 'x'), false, 6, 0,
                       WallTime::from_seconds(100)});
  EXPECT_FALSE(answers.begin(1, "k"));
  EXPECT_EQ(answers.find(1, "k")->answer, "answer");
  EXPECT_TRUE(answers.find(2, "k")->is_long);
  answers.abandon(1, "k");
  auto kept = [](CampaignId id) { return id == 9; };
  answers.forget(WallTime::from_seconds(100), kept, 10);
  EXPECT_EQ(answers.count(), 2u);
  answers.forget(WallTime::from_seconds(101), kept, 10);
  EXPECT_EQ(answers.count(), 1u);
  answers.forget(WallTime::from_seconds(102), [](CampaignId) { return false; }, 10);
  EXPECT_EQ(answers.count(), 0u);
}

class RegistryTest : public testing::Test {
 protected:
  RegistryTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "postring-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    folder_ = pattern;
    auto ring = Ring::create();
    if (!ring) std::abort();
    loop_ = std::make_unique<Loop>(std::move(*ring), 3);
    open();
    tenant_ = ask<TenantId>([&](auto answer) {
                registry_->ensure_tenant("acme", std::move(answer));
              }).value();
  }
  ~RegistryTest() override {
    close();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  void open() {
    auto registry = Registry::open(*loop_, folder_ + "/control", {.segment_bytes = 64 * 1'024});
    ASSERT_TRUE(registry.has_value()) << registry.error().message;
    registry_ = std::move(*registry);
    registry_->set_publish([this](const CampaignInfo& info, Job done) {
      published_.push_back(info.state);
      done();
    });
    registry_->set_ask_idle([this](CampaignId, std::move_only_function<void(bool)> answer) {
      ++asked_;
      answer(idle_);
    });
    registry_->set_event_sink([this](queue::EventFacts facts, Job done) {
      events_.push_back(facts.campaign);
      if (take_events_) done();
    });
  }
  void close() {
    if (registry_ == nullptr) return;
    bool closed = false;
    registry_->close([&](bool) { closed = true; });
    turn_until([&] { return closed; });
    registry_.reset();
  }
  void restart() {
    close();
    open();
    registry_->start();
  }
  void turn_until(const std::function<bool()>& condition) {
    Instant give_up = loop_->now() + Duration::seconds(20);
    while (!condition()) {
      ASSERT_LT(loop_->now(), give_up) << "the condition was never met";
      loop_->turn(loop_->now() + Duration::milliseconds(2));
    }
  }
  template <typename T, typename Ask>
  Result<T, RegistryError> ask(Ask question) {
    std::optional<Result<T, RegistryError>> result;
    question([&](Result<T, RegistryError> r) { result = std::move(r); });
    turn_until([&] { return result.has_value(); });
    return std::move(*result);
  }
  Result<CampaignInfo, RegistryError> create(std::string key = "", uint8_t digest = 0,
                                             WallTime start_at = {}) {
    NewCampaign in;
    in.tenant = tenant_;
    in.name = "spring";
    in.start_at = start_at;
    in.idempotency_key = std::move(key);
    in.digest[0] = std::byte{digest};
    return ask<CampaignInfo>(
        [&](auto answer) { registry_->create(std::move(in), std::move(answer)); });
  }
  Result<CampaignInfo, RegistryError> command(CampaignId id, CampaignCommand command) {
    return ask<CampaignInfo>(
        [&](auto answer) { registry_->command(tenant_, id, command, std::move(answer)); });
  }
  Result<BatchBegun, RegistryError> begin(CampaignId id, const std::string& key) {
    return ask<BatchBegun>(
        [&](auto answer) { registry_->begin_batch(tenant_, id, key, std::move(answer)); });
  }
  Result<Admitted, RegistryError> admit(CampaignId id, std::vector<Fingerprint> fingerprints) {
    return ask<Admitted>([&](auto answer) {
      registry_->admit(id, std::move(fingerprints), std::move(answer));
    });
  }
  void finish(CampaignId id, const std::string& key, Admission admission, bool committed) {
    registry_->finish_batch(tenant_, id, key, admission, {committed, {}, "answer", 5});
  }

  std::string folder_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Registry> registry_;
  TenantId tenant_ = 0;
  std::vector<CampaignState> published_;
  std::vector<CampaignId> events_;
  bool idle_ = true;
  bool take_events_ = true;
  int asked_ = 0;
};

TEST_F(RegistryTest, CampaignsLiveThroughRestarts) {
  CampaignInfo info = create("key", 1).value();
  EXPECT_EQ(info.state, CampaignState::loading);
  EXPECT_EQ(info.tenant_name, "acme");
  EXPECT_EQ(command(info.id, CampaignCommand::start)->state, CampaignState::running);
  EXPECT_EQ(command(info.id, CampaignCommand::pause)->state, CampaignState::paused);
  for (int round = 0; round < 2; ++round) {
    ASSERT_NE(registry_->find(info.id), nullptr);
    EXPECT_EQ(registry_->find(info.id)->state, CampaignState::paused);
    EXPECT_EQ(registry_->find(info.id)->tenant_name, "acme");
    // The same again under its key: what the first was answered.
    auto again = create("key", 1);
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->id, info.id);
    EXPECT_EQ(again->state, CampaignState::loading);
    EXPECT_EQ(create("key", 2).error(), RegistryError::key_reused);
    restart();
  }
  EXPECT_EQ(published_, (std::vector<CampaignState>{CampaignState::loading,
                                                    CampaignState::running,
                                                    CampaignState::paused}));
  EXPECT_GT(create()->id, info.id);
  EXPECT_EQ(command(99, CampaignCommand::start).error(), RegistryError::not_found);
  EXPECT_EQ(command(info.id, CampaignCommand::start).error(), RegistryError::wrong_state);
}

TEST_F(RegistryTest, AScheduledCampaignStartsByItself) {
  registry_->start();
  CampaignInfo info =
      create("", 0, loop_->wall_now() + Duration::milliseconds(30)).value();
  EXPECT_EQ(info.state, CampaignState::scheduled);
  turn_until([&] { return published_.back() == CampaignState::running; });
  EXPECT_EQ(registry_->find(info.id)->state, CampaignState::running);
}

TEST_F(RegistryTest, DuplicatesAreFoundOneBatchAtATime) {
  CampaignId id = create()->id;
  ASSERT_TRUE(begin(id, "").has_value());
  auto first = admit(id, {{1, 1}, {2, 2}, {1, 1}, {3, 3}});
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->duplicates, std::vector<uint32_t>{2});
  // The second waits for the end of the first, which comes to nothing.
  std::optional<Admitted> second;
  registry_->admit(id, {{3, 3}, {4, 4}}, [&](auto result) { second = std::move(*result); });
  for (int i = 0; i < 10; ++i) loop_->turn(loop_->now());
  EXPECT_FALSE(second.has_value());
  finish(id, "", first->admission, false);
  turn_until([&] { return second.has_value(); });
  EXPECT_TRUE(second->duplicates.empty());
  finish(id, "", second->admission, true);
  auto third = admit(id, {{4, 4}, {1, 1}, {3, 3}});
  EXPECT_EQ(third->duplicates, (std::vector<uint32_t>{0, 2}));
  finish(id, "", third->admission, true);
  EXPECT_EQ(registry_->fingerprint_count(), 3u);
  // Closed while one waits: refused.
  auto fourth = admit(id, {{9, 9}});
  std::optional<RegistryError> refused;
  registry_->admit(id, {{10, 10}}, [&](auto result) { refused = result.error(); });
  idle_ = false;
  ASSERT_TRUE(command(id, CampaignCommand::close).has_value());
  finish(id, "", fourth->admission, true);
  turn_until([&] { return refused.has_value(); });
  EXPECT_EQ(*refused, RegistryError::wrong_state);
  EXPECT_EQ(registry_->fingerprint_count(), 0u);
  EXPECT_EQ(begin(id, "").error(), RegistryError::wrong_state);
}

TEST_F(RegistryTest, ABatchKeyIsAnsweredOnce) {
  CampaignId id = create()->id;
  EXPECT_FALSE(begin(id, "k")->answered);
  EXPECT_EQ(begin(id, "k").error(), RegistryError::key_busy);
  finish(id, "k", 0, false);
  EXPECT_FALSE(begin(id, "k")->answered);
  auto admitted = admit(id, {{1, 1}});
  finish(id, "k", admitted->admission, true);
  auto again = begin(id, "k");
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(again->answered);
  EXPECT_EQ(again->answer, "answer");
  EXPECT_EQ(again->batch, 5u);
  // After a restart it is the homes that tell.
  close();
  open();
  queue::RecoverySink sink = registry_->recovery_sink();
  sink.answer({tenant_, "k", {}, "answer", 5, id, loop_->wall_now()});
  sink.seen(id, {1, 1});
  EXPECT_TRUE(begin(id, "k")->answered);
  auto repeated = admit(id, {{1, 1}});
  EXPECT_EQ(repeated->duplicates, std::vector<uint32_t>{0});
  finish(id, "", repeated->admission, false);
  EXPECT_EQ(registry_->fingerprint_count(), 1u);
}

TEST_F(RegistryTest, ABatchIsAdmittedWhenAllOfEarlierLivesIsKnown) {
  CampaignId id = create()->id;
  CampaignId other = create()->id;
  close();
  open();
  constexpr uint64_t kCount = 3 * kAdmittedPerTurn;
  std::deque<std::pair<CampaignId, queue::Fingerprint>> seen;
  for (uint64_t n = 1; n < kCount; ++n) seen.emplace_back(id, queue::Fingerprint{n, n});
  registry_->learn(std::move(seen));
  seen.clear();
  seen.emplace_back(other, queue::Fingerprint{1, 1});
  seen.emplace_back(id, queue::Fingerprint{kCount, kCount});
  registry_->learn(std::move(seen));
  registry_->start();
  auto admitted = admit(id, {{kCount, kCount}, {kCount + 1, 1}, {1, 1}});
  EXPECT_EQ(admitted->duplicates, (std::vector<uint32_t>{0, 2}));
  finish(id, "", admitted->admission, false);
  EXPECT_EQ(registry_->fingerprint_count(), kCount + 1);
  EXPECT_EQ(admit(other, {{1, 1}})->duplicates, std::vector<uint32_t>{0});
}

TEST_F(RegistryTest, CompletionIsWrittenOnceAndItsEventComesUntilItIsTaken) {
  registry_->start();
  take_events_ = false;
  CampaignId id = create()->id;
  ASSERT_TRUE(command(id, CampaignCommand::start).has_value());
  registry_->note_idle(id);
  EXPECT_EQ(asked_, 0);  // it is open
  idle_ = false;
  ASSERT_TRUE(command(id, CampaignCommand::close).has_value());
  EXPECT_EQ(registry_->find(id)->state, CampaignState::running);
  idle_ = true;
  registry_->note_idle(id);
  registry_->note_idle(id);
  turn_until([&] { return !events_.empty(); });
  EXPECT_EQ(registry_->find(id)->state, CampaignState::complete);
  EXPECT_EQ(command(id, CampaignCommand::cancel).error(), RegistryError::wrong_state);
  restart();
  EXPECT_EQ(events_, (std::vector<CampaignId>{id, id}));
  take_events_ = true;
  restart();
  restart();
  EXPECT_EQ(events_, (std::vector<CampaignId>{id, id, id}));
  EXPECT_EQ(registry_->find(id)->state, CampaignState::complete);
}

TEST_F(RegistryTest, KeysAndTenantsLiveThroughRestarts) {
  EXPECT_EQ(registry_->find_tenant("acme"), tenant_);
  EXPECT_FALSE(registry_->find_tenant("other").has_value());
  Sha256 hash = sha256("secret");
  auto made = ask<KeyInfo>([&](auto answer) {
    registry_->create_key(tenant_, kScopeRead, hash, "secr", std::move(answer));
  });
  auto gone = ask<KeyInfo>([&](auto answer) {
    registry_->create_key(tenant_, kScopeAdmin, hash, "more", std::move(answer));
  });
  auto revoked = ask<KeyInfo>(
      [&](auto answer) { registry_->revoke_key(gone->id, std::move(answer)); });
  EXPECT_EQ(revoked->scopes, 0);
  restart();
  ASSERT_EQ(registry_->keys().size(), 1u);
  EXPECT_EQ(registry_->keys()[0].id, made->id);
  EXPECT_EQ(registry_->keys()[0].hash, hash);
  EXPECT_EQ(registry_->keys()[0].tenant_name, "acme");
  EXPECT_EQ(registry_->tenants().size(), 1u);
  auto fresh = ask<KeyInfo>([&](auto answer) {
    registry_->create_key(tenant_, kScopeRead, hash, "new", std::move(answer));
  });
  EXPECT_GT(fresh->id, gone->id);
}

TEST_F(RegistryTest, ManyChangesAreReclaimed) {
  registry_->start();
  CampaignId id = create()->id;
  ASSERT_TRUE(command(id, CampaignCommand::start).has_value());
  for (int i = 0; i < 600; ++i) {
    auto which = i % 2 == 0 ? CampaignCommand::pause : CampaignCommand::resume;
    ASSERT_TRUE(command(id, which).has_value());
  }
  restart();
  EXPECT_EQ(registry_->find(id)->state, CampaignState::running);
}

}  // namespace
}  // namespace postring::engine
