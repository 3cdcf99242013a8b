// What the tests of homes share: a folder, a loop, campaigns, a home, and what it said.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "io/clock.h"
#include "queue/home.h"
#include "rig_base.h"
#include "test_clock.h"

namespace postring::queue {

constexpr SliceNumber kTestSlice = 5;

struct To {
  std::string address;
  std::string values = "";
  std::string ref = "";
  std::string source = "";
  WallTime not_before = {};
  WallTime expires_at = {};
  std::optional<MailClass> mail_class = std::nullopt;
};

class HomeRig {
 public:
  explicit HomeRig(std::string folder) : folder_(std::move(folder)) {
    loop_ = make_loop(7);
    options.slice = kTestSlice;
    options.segment_bytes = 64 * 1'024;
    options.reserve_segments = 1;
    options.outcome_sync = Duration::milliseconds(1);
    options.fingerprint_key.words = {1, 2};
  }
  ~HomeRig() { close(); }

  // Empty where it worked.
  std::string open() {
    seen.clear();
    answers.clear();
    offers.clear();
    RecoverySink sink;
    sink.seen = [this](CampaignId campaign, const Fingerprint& fingerprint) {
      seen.insert({campaign, fingerprint});
    };
    sink.answer = [this](const KeptAnswer& answer) {
      answers[std::string(answer.key)] = std::string(answer.answer);
    };
    auto home = Home::open(*loop_, folder_, options, campaigns, policies, sink);
    if (!home) return home.error().message;
    home_ = std::move(*home);
    home_->set_offer_sink([this](const DestinationOffer& offer) { offers.push_back(offer); });
    home_->set_event_sink([this](EventFacts& facts, spool::Position place) {
      events.push_back(facts);
      last_event = place;
      if (exports) home_->exported(place);
    });
    home_->set_idle_sink([this](CampaignId campaign) { idle.push_back(campaign); });
    home_->set_failure_sink([this] { failed = true; });
    return "";
  }
  void start() {
    ASSERT_EQ(open(), "");
    home_->start();
  }
  void close() {
    if (home_ == nullptr) return;
    bool closed = false;
    home_->close([&](bool) { closed = true; });
    turn_until([&] { return closed; });
    home_.reset();
  }
  // The home goes without a close.
  void drop() { home_.reset(); }
  // As after the end of the process: what was written stays, nothing is said to anybody.
  void restart() {
    close();
    options.exported = last_event;
    start();
  }

  // A bit of the text flips wherever a file of the slice has it.
  void spoil(const std::string& text) {
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      std::string bytes(std::istreambuf_iterator<char>(file), {});
      for (size_t at = 0; (at = bytes.find(text, at)) != std::string::npos; ++at) {
        file.seekp(static_cast<std::streamoff>(at));
        file.put(static_cast<char>(text[0] ^ 1));
      }
    }
  }

  void turn() { loop_->turn(Instant{}); }
  void turns(int count) {
    for (int i = 0; i < count; ++i) turn();
  }
  void turn_until(const std::function<bool()>& condition) {
    // By a clock that no test moves: how many turns a disk takes that others use too, nobody knows.
    auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << "the condition was never met";
      loop_->turn(clock_now() + Duration::milliseconds(2));
    }
  }
  // Time passes, and what was due then happens.
  void pass(Duration time) {
    advance_clock(time);
    turns(3);
    turn_until([&] { return home_->stats().events_waiting == 0; });
    turns(20);
  }

  void campaign(CampaignId id, CampaignState state, std::vector<std::string> sources = {}) {
    CampaignInfo info;
    info.id = id;
    info.tenant = 3;
    info.tenant_name = "acme";
    info.state = state;
    info.content[0] = static_cast<std::byte>(id);
    info.sources = std::move(sources);
    if (info.ended()) info.ended_at = loop_->wall_now();
    campaigns.put(std::move(info));
  }

  BatchHandle begin(CampaignId campaign, std::string key = "") {
    NewBatch batch;
    batch.campaign = campaign;
    batch.tenant = 3;
    batch.tenant_name = "acme";
    batch.idempotency_key = std::move(key);
    auto begun = home_->begin(batch);
    // Right after a start the first spare segment is still being made.
    turn_until([&] {
      if (!begun) begun = home_->begin(batch);
      return begun.has_value();
    });
    return begun.value_or(0);
  }
  RecipientId append(BatchHandle batch, const To& to) {
    NewRecipient recipient;
    recipient.address = to.address;
    recipient.values = to.values;
    recipient.ref = to.ref;
    recipient.source = to.source;
    recipient.not_before = to.not_before;
    recipient.expires_at = to.expires_at;
    recipient.mail_class = to.mail_class;
    auto id = home_->append(batch, recipient);
    if (!id && id.error() == SubmitError::busy) {
      turn_until([&] {
        id = home_->append(batch, recipient);
        return id.has_value();
      });
    }
    EXPECT_TRUE(id.has_value());
    return id.value_or(0);
  }
  Committed commit(BatchHandle batch, Home::CommitInput input = {}) {
    std::optional<Result<Committed, SubmitError>> result;
    home_->commit(batch, std::move(input), [&](Result<Committed, SubmitError> r) { result = r; });
    turn_until([&] { return result.has_value(); });
    EXPECT_TRUE(result->has_value());
    turns(4);
    return result->value_or(Committed{});
  }
  // A batch of its own; the recipients' ids.
  std::vector<RecipientId> submit(CampaignId campaign, const std::vector<To>& to) {
    BatchHandle batch = begin(campaign);
    std::vector<RecipientId> ids;
    for (const To& one : to) ids.push_back(append(batch, one));
    commit(batch);
    return ids;
  }

  // The offer's destination for a domain, the newest.
  std::optional<DestinationOffer> offer_of(std::string_view domain) {
    for (size_t i = offers.size(); i-- > 0;) {
      if (offers[i].domain == domain) return offers[i];
    }
    return std::nullopt;
  }
  Pulled pull(DestinationId destination, uint32_t messages = 100) {
    std::optional<Pulled> pulled;
    home_->pull(destination, messages, 1 << 20, [&](Pulled p) { pulled = std::move(p); });
    turn_until([&] { return pulled.has_value(); });
    return pulled ? std::move(*pulled) : Pulled{};
  }
  std::vector<RecipientStatus> find(const std::string& address) {
    std::optional<std::vector<RecipientStatus>> found;
    home_->find(address, 100, [&](std::vector<RecipientStatus> f) { found = std::move(f); });
    turn_until([&] { return found.has_value(); });
    return found ? std::move(*found) : std::vector<RecipientStatus>{};
  }
  void settle(RecipientId id, Outcome outcome, std::string source = "") {
    Report report;
    report.outcome = outcome;
    report.stage = Stage::rcpt;
    report.reply.code = outcome == Outcome::delivered ? 250 : 450;
    report.reply.text = "said the peer";
    report.source = std::move(source);
    report.remote_host = "mx.test";
    report.remote_address = "192.0.2.7";
    report.bytes = 1'000;
    home_->settle(id, std::move(report));
  }
  void wait_for_events(size_t count) {
    turn_until([&] { return events.size() >= count; });
  }

  Home& home() { return *home_; }
  Loop& loop() { return *loop_; }
  const std::string& folder() const { return folder_; }

  HomeOptions options;
  CampaignStates campaigns;
  RetryPolicies policies;
  std::vector<DestinationOffer> offers;
  std::vector<EventFacts> events;
  spool::Position last_event;
  bool exports = true;
  std::vector<CampaignId> idle;
  bool failed = false;
  std::set<std::pair<CampaignId, Fingerprint>> seen;
  std::map<std::string, std::string> answers;

 private:
  std::string folder_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Home> home_;
};

}  // namespace postring::queue
