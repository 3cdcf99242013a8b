#include "queue/home.h"

#include <algorithm>

#include "queue/home_state.h"

namespace postring::queue {

const char* name_of(SubmitError error) {
  switch (error) {
    case SubmitError::disk_full: return "the disk is filling";
    case SubmitError::busy: return "busy";
    case SubmitError::too_large: return "the record is too large";
    case SubmitError::failed: return "the spool failed";
    case SubmitError::no_mail: return "the slice takes no new mail";
  }
  return "?";
}

const char* name_of(Hold hold) {
  constexpr const char* kNames[] = {"none",       "ready", "not_started", "scheduled", "paused",
                                    "not_before", "retry", "ending",      "disk_full"};
  return kNames[static_cast<uint8_t>(hold)];
}

void Tally::count(Outcome outcome) {
  switch (outcome) {
    case Outcome::delivered: ++delivered; break;
    case Outcome::deferred: ++deferrals; break;
    case Outcome::bounced: ++bounced; break;
    case Outcome::expired: ++expired; break;
    case Outcome::cancelled: ++cancelled; break;
  }
}

Counts Tally::counts() const {
  Counts counts;
  counts.accepted = accepted;
  counts.delivered = delivered;
  counts.bounced = bounced;
  counts.expired = expired;
  counts.cancelled = cancelled;
  counts.waiting = live() - in_flight;
  counts.in_flight = in_flight;
  counts.deferrals = deferrals;
  counts.duplicate = duplicates;
  counts.rejected = rejected;
  return counts;
}

void Tally::set(const spool::Sums& sums) {
  accepted = sums.accepted;
  delivered = sums.delivered;
  bounced = sums.bounced;
  expired = sums.expired;
  cancelled = sums.cancelled;
  deferrals = sums.deferrals;
  duplicates = sums.duplicates;
  rejected = sums.rejected;
}

void Tally::write(spool::Sums& sums) const {
  sums.accepted = accepted;
  sums.delivered = delivered;
  sums.bounced = bounced;
  sums.expired = expired;
  sums.cancelled = cancelled;
  sums.deferrals = deferrals;
  sums.duplicates = duplicates;
  sums.rejected = rejected;
}

Home::State::State(Loop& loop, HomeOptions options, CampaignStates& campaigns,
                   const RetryPolicies& policies) :
      loop_(loop),
      options_(std::move(options)),
      campaign_states_(campaigns),
      policies_(policies),
      steady_base_(loop.wall_now() - (loop.now() - Instant{})),
      self_(std::make_shared<State*>(this)),
      recipients_(options_.slice, loop.random().next()),
      destinations_(loop.random().next()),
      not_before_(recipients_),
      retries_(recipients_),
      exported_(options_.exported) {
  due_timer_.bind<&State::schedule_turn>(this);
  sync_timer_.bind<&State::sync_outcomes>(this);
  housekeeping_timer_.bind<&State::housekeeping>(this);
  close_timer_.bind<&State::close_log>(this);
  std::weak_ptr<State*> weak = self_;
  campaigns.listen([weak](const CampaignInfo* before, const CampaignInfo& now) {
    if (auto self = weak.lock()) (*self)->on_campaign(before, now);
  });
}

Home::State::~State() = default;

void Home::State::start() {
  CHECK(!started_);
  started_ = true;
  begin_sweep(true);
  loop_.timers().arm(housekeeping_timer_, loop_.now() + kHousekeeping);
  arm_due();
  schedule_turn();
}

// One job per turn does all the work that waits.
void Home::State::schedule_turn() {
  if (turn_scheduled_) return;
  turn_scheduled_ = true;
  loop_.defer([weak = std::weak_ptr<State*>(self_)] {
    if (auto self = weak.lock()) (*self)->turn();
  });
}

void Home::State::turn() {
  turn_scheduled_ = false;
  bool more = false;
  reserve_for_outcomes();
  if (started_ && !closing_ && !failed_) {
    // Deadlines before sending: what expired while nobody looked is found first.
    more |= sweep();
    more |= fire_due();
    more |= activate();
    more |= unpark();
    retry_pulls();
    more |= export_backlog();
  }
  more |= run_erasures();
  more |= run_lists();
  more |= run_retries();
  send_offers();
  for (size_t left = callbacks_.size(); left > 0; --left) {
    Job job = std::move(callbacks_.front());
    callbacks_.pop_front();
    job();
  }
  if (more) schedule_turn();
}

void Home::State::reserve_for_outcomes() {
  uint64_t live = recipients_.used();
  log_->reserve_for_outcomes(live * kOutcomeReserveBytes +
                             std::min(live, kPaddedOutcomesMax) * kOutcomePaddingBytes);
}

void Home::State::fail() {
  if (failed_) return;
  failed_ = true;
  end_pulls();
  schedule_turn();
  if (failure_sink_) failure_sink_();
}

uint32_t Home::State::seconds_up(WallTime time) {
  int64_t seconds = (time.us + 999'999) / 1'000'000;
  return static_cast<uint32_t>(std::clamp<int64_t>(seconds, 0, kNeverSeconds - 1));
}

uint32_t Home::State::use_campaign(CampaignId id, TenantId tenant) {
  auto [at, fresh] = campaign_numbers_.try_emplace({id, id != 0 ? 0 : tenant}, 0);
  if (fresh) {
    if (free_campaigns_.empty()) {
      at->second = static_cast<uint32_t>(campaigns_.size());
      campaigns_.emplace_back();
    } else {
      at->second = free_campaigns_.back();
      free_campaigns_.pop_back();
    }
    CampaignAtHome& campaign = campaigns_[at->second];
    campaign = {};
    campaign.id = id;
    campaign.tenant = tenant;
    campaign.may_send = campaign_states_.may_send(id);
    const CampaignInfo* info = campaign_states_.find(id);
    campaign.cancelled = info != nullptr && info->state == CampaignState::cancelled;
  }
  return at->second;
}

// Forgets a campaign that nothing here names any more.
void Home::State::release_campaign(uint32_t number) {
  CampaignAtHome& campaign = campaigns_[number];
  CHECK(campaign.parked == kNoSlot);
  campaign_numbers_.erase({campaign.id, campaign.id != 0 ? 0 : campaign.tenant});
  campaign = {};
  free_campaigns_.push_back(number);
}

Slot Home::State::make_batch(BatchId id, CampaignId campaign, TenantId tenant) {
  auto [at, fresh] = batch_slots_.try_emplace(id, kNoSlot);
  if (!fresh) return at->second;
  at->second = batches_.take();
  Batch& batch = batches_[at->second];
  batch.id = id;
  batch.campaign = use_campaign(campaign, tenant);
  batch.tenant = tenant;
  ++campaigns_[batch.campaign].batches;
  return at->second;
}

void Home::State::set_message(Batch& batch, std::unique_ptr<MessageInfo> message) {
  std::swap(batch.message, message);
  if (batch.message != nullptr && !batch.message->has_inline_content) {
    ++message_contents_[batch.message->content];
  }
  if (message == nullptr || message->has_inline_content) return;
  auto counted = message_contents_.find(message->content);
  if (--counted->second == 0) message_contents_.erase(counted);
}

void Home::State::forget_batch(Slot slot) {
  Batch& batch = batches_[slot];
  CHECK(batch.open == nullptr);
  set_message(batch, nullptr);
  uint32_t campaign = batch.campaign;
  batch_slots_.erase(batch.id);
  batches_.give(slot);
  CampaignAtHome& at_home = campaigns_[campaign];
  if (--at_home.batches == 0 && (at_home.id == 0 || at_home.tally.accepted == 0)) {
    release_campaign(campaign);
  }
}

void Home::State::on_campaign(const CampaignInfo*, const CampaignInfo& now) {
  auto known = campaign_numbers_.find({now.id, 0});
  if (known == campaign_numbers_.end()) return;
  CampaignAtHome& campaign = campaigns_[known->second];
  bool could_send = campaign.may_send;
  campaign.may_send = now.state == CampaignState::running;
  if (campaign.may_send && !could_send && !campaign.unparking) {
    campaign.unparking = true;
    unparking_.push_back(known->second);
    schedule_turn();
  }
  if (now.state == CampaignState::cancelled && !campaign.cancelled) {
    campaign.cancelled = true;
    begin_sweep(true);
  }
}

const RetryOverride* Home::State::retry_of(const Batch& batch) const {
  if (batch.message != nullptr) return &batch.message->retry;
  const CampaignInfo* info = campaign_states_.find(campaigns_[batch.campaign].id);
  return info == nullptr ? nullptr : &info->retry;
}

HomeStats Home::State::stats() const {
  HomeStats stats;
  stats.recipients = recipients_.used();
  stats.ready = ready_;
  stats.deferred = not_before_.count() + retries_.count();
  stats.leased = flights_.used();
  stats.destinations = destinations_.count();
  stats.campaigns = campaign_numbers_.size();
  stats.batches = batch_slots_.size();
  stats.segments = log_->segment_count();
  stats.bytes_on_disk = log_->bytes_on_disk();
  stats.outcomes_unsynced = unsynced_;
  stats.outcomes_waiting = unsaved_.size();
  stats.events_waiting = events_.size() + overflow_.size() + backlog_.size();
  stats.deferrals_unwritten = deferrals_unwritten_;
  stats.disk_full = log_->disk_full();
  stats.table_bytes = recipients_.bytes() + destinations_.bytes();
  const spool::LogCounters& log = log_->counters();
  stats.bytes_appended = log.bytes_appended;
  stats.syncs = log.syncs;
  stats.segments_reclaimed = log.segments_deleted;
  stats.reclaim_failures = reclaim_failures_;
  stats.failed = failed_;
  return stats;
}

void Home::State::close(std::move_only_function<void(bool)> callback) {
  CHECK(!closing_);
  closing_ = true;
  close_callback_ = std::move(callback);
  if (!erasures_.empty()) schedule_turn();
  end_told_waits();
  if (unsaved_.empty() || failed_) return close_log();
  loop_.timers().arm(close_timer_, loop_.now() + kCloseWait);
}

// When every outcome that was settled is in the log, or none of the room they need comes.
void Home::State::close_log() {
  loop_.timers().disarm(close_timer_);
  log_closed_ = true;
  log_->close([weak = std::weak_ptr<State*>(self_)](bool ok) {
    auto self = weak.lock();
    if (!self) return;
    if (ok) (*self)->emit_durable();
    (*self)->close_callback_(ok && (*self)->unsaved_.empty());
  });
}

// ---- the outside -------------------------------------------------------------------------------

Home::Home(std::unique_ptr<State> state) : state_(std::move(state)) {}
Home::~Home() = default;

Result<std::unique_ptr<Home>> Home::open(Loop& loop, std::string folder, HomeOptions options,
                                         CampaignStates& campaigns, const RetryPolicies& policies,
                                         const RecoverySink& recovery) {
  auto state = std::make_unique<State>(loop, std::move(options), campaigns, policies);
  if (auto recovered = state->recover(std::move(folder), recovery); !recovered) {
    return std::unexpected(recovered.error());
  }
  return std::unique_ptr<Home>(new Home(std::move(state)));
}

void Home::set_offer_sink(std::function<void(const DestinationOffer&)> sink) {
  state_->offer_sink_ = std::move(sink);
}
void Home::set_event_sink(std::function<void(EventFacts&, spool::Position)> sink) {
  state_->event_sink_ = std::move(sink);
}
void Home::set_event_room(std::function<bool()> room) { state_->event_room_ = std::move(room); }
void Home::set_idle_sink(std::function<void(CampaignId)> sink) {
  state_->idle_sink_ = std::move(sink);
}
void Home::set_hold_sink(std::function<void(SpoolHold)> sink) {
  state_->hold_sink_ = std::move(sink);
}
void Home::set_failure_sink(std::function<void()> sink) {
  state_->failure_sink_ = std::move(sink);
}
void Home::start() { state_->start(); }

Result<BatchHandle, SubmitError> Home::begin(const NewBatch& batch) {
  return state_->begin(batch);
}
BatchId Home::batch_id(BatchHandle batch) const { return state_->open_batch(batch).id; }
Result<RecipientId, SubmitError> Home::append(BatchHandle batch, const NewRecipient& recipient) {
  return state_->append(batch, recipient);
}
uint32_t Home::appended(BatchHandle batch) const {
  return state_->open_batch(batch).open->appended;
}
const std::vector<Fingerprint>& Home::fingerprints(BatchHandle batch) const {
  return state_->open_batch(batch).open->fingerprints;
}
void Home::commit(BatchHandle batch, CommitInput input,
                  std::move_only_function<void(Result<Committed, SubmitError>)> callback) {
  state_->commit(batch, std::move(input), std::move(callback));
}
void Home::discard(BatchHandle batch) { state_->discard(batch); }
void Home::when_room(std::function<void()> callback) {
  state_->log_->when_room(std::move(callback));
}

void Home::settle(RecipientId id, Report report) { state_->settle(id, std::move(report)); }
void Home::give_back(RecipientId id) { state_->give_back(id); }

Counts Home::campaign_counts(CampaignId campaign) const {
  auto known = state_->campaign_numbers_.find({campaign, 0});
  if (campaign == 0 || known == state_->campaign_numbers_.end()) return {};
  return state_->campaigns_[known->second].tally.counts();
}

Counts Home::all_counts() const {
  Counts counts;
  for (const auto& [key, number] : state_->campaign_numbers_) {
    counts += state_->campaigns_[number].tally.counts();
  }
  return counts;
}

bool Home::is_idle(CampaignId campaign) const {
  return state_->is_idle(campaign);
}

bool Home::needs_content(const ContentId& content) const {
  return state_->message_contents_.contains(content);
}

std::optional<BatchStatus> Home::batch(BatchId id) const {
  auto known = state_->batch_slots_.find(id);
  if (known == state_->batch_slots_.end()) return std::nullopt;
  const Batch& batch = state_->batches_[known->second];
  if (batch.open != nullptr) return std::nullopt;
  return BatchStatus{batch.id, state_->campaigns_[batch.campaign].id, batch.tenant,
                     batch.committed_at, batch.tally.counts()};
}

std::vector<CampaignId> Home::campaigns() const {
  std::vector<CampaignId> ids;
  for (const auto& [key, number] : state_->campaign_numbers_) {
    if (key.first != 0) ids.push_back(key.first);
  }
  return ids;
}

void Home::find(std::string address, uint32_t limit,
                std::move_only_function<void(std::vector<RecipientStatus>)> callback) {
  state_->find(std::move(address), limit, std::move(callback));
}

void Home::when_told(std::move_only_function<void(bool)> callback) {
  state_->when_told(std::move(callback));
}

HomeStats Home::stats() const { return state_->stats(); }
SliceNumber Home::slice() const { return state_->options_.slice; }
bool Home::takes_mail() const { return state_->options_.takes_mail; }
bool Home::is_empty() const {
  return state_->recipients_.used() == 0 && state_->batches_.used() == 0 &&
         state_->events_.empty() && state_->backlog_.empty() && state_->overflow_.empty();
}

void Home::retry_now(std::string domain, std::move_only_function<void(uint64_t)> callback) {
  state_->retry_asks_.push_back({std::move(domain), 0, 0, std::move(callback)});
  state_->schedule_turn();
}
void Home::exported(spool::Position place) { state_->exported(place); }
void Home::end_pulls() { state_->end_pulls(); }
void Home::close(std::move_only_function<void(bool)> callback) {
  state_->close(std::move(callback));
}

}  // namespace postring::queue
