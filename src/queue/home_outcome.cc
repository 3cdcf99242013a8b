#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "base/mark.h"
#include "io/socket_address.h"
#include "queue/home_state.h"

namespace postring::queue {
namespace {

constexpr size_t kBacklogPerTurn = 256;

// The address in network order; empty where the text is none.
std::string_view remote_bytes(const std::string& text, IpAddress& storage) {
  auto parsed = IpAddress::parse(text);
  if (!parsed) return {};
  storage = *parsed;
  return {reinterpret_cast<const char*>(storage.bytes.data()),
          storage.family == IpAddress::Family::v4 ? size_t{4} : size_t{16}};
}

std::string remote_text(std::string_view bytes) {
  IpAddress address;
  if (bytes.size() != 4 && bytes.size() != 16) return {};
  address.family = bytes.size() == 4 ? IpAddress::Family::v4 : IpAddress::Family::v6;
  std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
  return address.text();
}

void facts_of_record(const spool::OutcomeRecord& record, EventFacts& facts) {
  facts.outcome = record.outcome;
  facts.logged = record.logged_at;
  facts.campaign = record.campaign;
  facts.batch = record.batch;
  facts.recipient = record.id;
  facts.attempt = record.attempt;
  facts.stage = record.stage;
  facts.reply.code = record.reply.code;
  std::copy(record.reply.enhanced.begin(), record.reply.enhanced.end(), facts.reply.enhanced);
  facts.reply.text = record.reply.text;
  facts.source = record.source;
  facts.remote_host = record.remote_host;
  facts.remote_address = remote_text(record.remote_ip);
  facts.bytes = record.bytes;
  facts.duration = Duration::microseconds(static_cast<int64_t>(record.duration_us));
  facts.next_attempt = record.next_attempt;
  facts.possible_duplicate = record.possible_duplicate;
}

std::string_view cut(std::string_view text, size_t max) { return text.substr(0, max); }

}  // namespace

Result<spool::Position, spool::AppendError> Home::State::write(const Ending& ending) {
  const EventFacts& facts = ending.facts;
  IpAddress remote;
  spool::OutcomeRecord record;
  record.id = facts.recipient;
  record.batch = facts.batch;
  record.campaign = facts.campaign;
  record.recipient = ending.base;
  record.attempt = facts.attempt;
  record.outcome = *facts.outcome;
  record.stage = facts.stage;
  record.possible_duplicate = facts.possible_duplicate;
  record.logged_at = facts.logged;
  record.next_attempt = facts.next_attempt;
  record.reply.code = facts.reply.code;
  std::copy(std::begin(facts.reply.enhanced), std::end(facts.reply.enhanced),
            record.reply.enhanced.begin());
  // Hosts like to repeat the address.
  if (!recipients_[ending.slot].has(kEntryErased)) {
    record.reply.text = cut(facts.reply.text, kReplyTextMax);
  }
  record.source = cut(facts.source, spool::kSourceNameMax);
  record.remote_host = cut(facts.remote_host, spool::kHostNameMax);
  record.remote_ip = remote_bytes(facts.remote_address, remote);
  record.bytes = facts.bytes;
  record.duration_us = static_cast<uint64_t>(std::max<int64_t>(facts.duration.us, 0));
  scratch_.clear();
  spool::encode(record, scratch_);
  return log_->append(spool::OutcomeRecord::kType, scratch_, spool::Room::outcome);
}

// Writes an outcome now, or when there is room for it; order is kept.
void Home::State::save(Ending ending) {
  recipients_[ending.slot].set(kEntryUnsaved);
  unsaved_.push_back(std::move(ending));
  if (unsaved_.size() == 1) retry_unsaved();
  if (!unsaved_.empty()) say_hold();
}

void Home::State::retry_unsaved() {
  while (!unsaved_.empty() && !failed_ && !log_closed_) {
    Ending& ending = unsaved_.front();
    ending.facts.logged = loop_.wall_now();
    if (*ending.facts.outcome == Outcome::deferred) {
      ending.facts.next_attempt = ending.facts.logged + ending.wait;
    }
    if (*ending.facts.outcome == Outcome::deferred && log_->disk_full()) {
      // What is left of the disk is for the last outcome of each recipient. A deferral can be
      // forgotten: after a crash this recipient is only tried earlier.
      Ending unwritten = std::move(ending);
      unsaved_.pop_front();
      defer_unwritten(unwritten);
      continue;
    }
    auto place = write(ending);
    if (!place) {
      if (place.error() == spool::AppendError::poisoned) return fail();
      CHECK(place.error() != spool::AppendError::too_large);
      mark(Mark::outcome_waited);
      return wait_for_room();
    }
    Ending saved = std::move(ending);
    unsaved_.pop_front();
    apply(saved, *place);
  }
  if (unsaved_.empty() && !waiting_pulls_.empty()) schedule_turn();
  if (hold_ == SpoolHold::contents) say_hold();
  if (unsaved_.empty() && closing_ && !log_closed_) close_log();
}

// Counts what ended an attempt or the recipient.
void Home::State::end_work(const Ending& ending) {
  Entry& entry = recipients_[ending.slot];
  Batch& batch = batches_[entry.batch];
  entry.clear(kEntryUnsaved);
  if (entry.state() == EntryState::leased) {
    end_flight(ending.slot);
  } else {
    CHECK(entry.state() == EntryState::finishing);
    CHECK(finishing_ > 0);
    if (finishing_-- == kFinishingMax) schedule_turn();
  }
  Outcome counts_as = *ending.facts.outcome;
  if (canary(Canary::bounce_counted_delivered) && counts_as == Outcome::bounced) {
    counts_as = Outcome::delivered;
  }
  batch.tally.count(counts_as);
  campaigns_[batch.campaign].tally.count(counts_as);
}

// Neither record nor event: both would take the room that outcomes need.
void Home::State::defer_unwritten(const Ending& ending) {
  end_work(ending);
  ++deferrals_unwritten_;
  mark(Mark::deferral_unwritten);
  apply_deferred(ending.slot, {ending.facts.attempt, ending.wait, ending.facts.source});
}

void Home::State::apply(Ending& ending, spool::Position place) {
  end_work(ending);
  Slot slot = ending.slot;
  Batch& batch = batches_[recipients_[slot].batch];
  uint32_t campaign = batch.campaign;
  Outcome outcome = *ending.facts.outcome;
  last_outcome_ = campaigns_[campaign].last_outcome = place;
  ++unsynced_;
  if (event_sink_) {
    const CampaignInfo* info = campaign_states_.find(campaigns_[campaign].id);
    if (info != nullptr) ending.facts.tenant_name = info->tenant_name;
    if (batch.message != nullptr) ending.facts.tenant_name = batch.message->tenant_name;
  }
  // The event first: what follows may end the recipient at once, and say so.
  Deferral deferral{ending.facts.attempt, ending.wait, ending.facts.source};
  if (event_sink_) keep_event(std::move(ending.facts), place);
  if (outcome == Outcome::deferred) {
    recipients_[slot].position = place.packed();
    recipients_[slot].set(kEntryHasOutcome);
    apply_deferred(slot, deferral);
  } else {
    remove(slot);
    if (campaigns_[campaign].id == 0 && batch.tally.live() == 0) {
      ended_messages_.emplace_back(loop_.wall_now(), batch.id);
    }
    check_idle(campaign);
  }
  outcome_written();
  if (!waiting_pulls_.empty()) schedule_turn();
}

void Home::State::apply_deferred(Slot slot, const Deferral& facts) {
  Entry& entry = recipients_[slot];
  if (!canary(Canary::attempt_not_counted)) {
    entry.attempts = static_cast<uint16_t>(std::min<uint32_t>(facts.attempt, kAttemptsMax));
  }
  entry.set(kEntryTried);
  entry.due_s = seconds_up(steady_now() + facts.wait);
  if (!facts.source.empty()) {
    // Kept over retries: from now on it leaves by this source only.
    SourceSet sources = source_sets_.number_of_one(facts.source);
    uint32_t flow = destinations_.use_flow_like(entry.flow, sources);
    destinations_.release_flow(entry.flow);
    entry.flow = flow;
  }
  place(slot);
}

void Home::State::check_idle(uint32_t number) {
  const CampaignAtHome& campaign = campaigns_[number];
  if (campaign.id == 0 || !idle_sink_) return;
  if (campaign.tally.live() > 0 || campaign.open_batches > 0) return;
  idle_untold_.insert(campaign.id);
  tell_idle();
}

bool Home::State::is_idle(CampaignId id) {
  auto known = campaign_numbers_.find({id, 0});
  if (known == campaign_numbers_.end()) return true;
  const CampaignAtHome& campaign = campaigns_[known->second];
  if (campaign.tally.live() > 0 || campaign.open_batches > 0) return false;
  if (is_told(campaign)) return true;
  idle_untold_.insert(id);
  return false;
}

// Whether the events of all its outcomes were exported.
bool Home::State::is_told(const CampaignAtHome& campaign) const {
  return is_told_up_to(campaign.last_outcome);
}

bool Home::State::is_told_up_to(spool::Position place) const {
  if (!event_sink_) return true;
  bool old_left = backlog_is_old_ && (!backlog_.empty() || backlog_busy_);
  return !old_left && exported_ >= std::max(backlog_end_, place);
}

void Home::State::when_told(std::move_only_function<void(bool)> callback) {
  told_waits_.push_back({last_outcome_, loop_.now() + kToldWait, std::move(callback)});
  end_told_waits();
}

// In their order: places and times only grow.
void Home::State::end_told_waits() {
  while (!told_waits_.empty()) {
    ToldWait& wait = told_waits_.front();
    bool ends = closing_ || failed_;
    if (!ends && loop_.now() < wait.until && !is_told_up_to(wait.place)) return;
    later([callback = std::move(wait.callback), ends]() mutable { callback(!ends); });
    told_waits_.pop_front();
  }
}

void Home::State::tell_idle() {
  if (!idle_sink_) return;
  for (auto id = idle_untold_.begin(); id != idle_untold_.end();) {
    auto known = campaign_numbers_.find({*id, 0});
    if (known != campaign_numbers_.end() && !is_told(campaigns_[known->second])) {
      ++id;
      continue;
    }
    later([this, idle = *id] { idle_sink_(idle); });
    id = idle_untold_.erase(id);
  }
}

// ---- durable, then exported --------------------------------------------------------------------

void Home::State::outcome_written() {
  if (sync_running_ || sync_timer_.armed()) return;
  loop_.timers().arm(sync_timer_, loop_.now() + options_.outcome_sync);
}

void Home::State::sync_outcomes() {
  if (sync_running_ || failed_ || log_closed_ || unsynced_ == 0) return;
  sync_running_ = true;
  uint64_t covered = std::exchange(unsynced_, 0);
  log_->sync_soon([weak = std::weak_ptr<State*>(self_), covered](bool ok) {
    auto self = weak.lock();
    if (!self) return;
    State& state = **self;
    state.sync_running_ = false;
    if (!ok) {
      state.unsynced_ += covered;
      state.fail();
      return;
    }
    state.emit_durable();
    if (state.unsynced_ > 0) state.outcome_written();
  });
}

// In memory while there are few; of more, the record in the log is enough to make it from.
void Home::State::keep_event(EventFacts facts, spool::Position place) {
  if (events_.size() == kEventsHeldMax || !overflow_.empty()) {
    overflow_.push_back(place);
  } else {
    events_.push_back({std::move(facts), place});
  }
}

// Where not, exported() makes things go on, or housekeeping where another home took the room.
bool Home::State::has_event_room() {
  events_blocked_ = event_room_ && !event_room_();
  return !events_blocked_;
}

void Home::State::emit_durable() {
  // What was not exported before the start goes first.
  if (!backlog_.empty() || backlog_busy_) return;
  backlog_is_old_ = false;
  while (!events_.empty() && log_->is_durable(events_.front().place)) {
    if (!has_event_room()) return;
    Event event = std::move(events_.front());
    events_.pop_front();
    if (event_sink_) event_sink_(event.facts, event.place);
  }
  if (!events_.empty() || overflow_.empty()) return;
  while (!overflow_.empty() && log_->is_durable(overflow_.front())) {
    backlog_.push_back(overflow_.front());
    overflow_.pop_front();
  }
  if (!backlog_.empty()) schedule_turn();
}

// Makes events of outcomes that the last process wrote and nobody exported. True: more next turn.
bool Home::State::export_backlog() {
  if (!event_sink_) return false;
  if (backlog_.empty()) {
    if (!events_.empty() || !overflow_.empty()) emit_durable();
    return false;
  }
  if (backlog_busy_ || !has_event_room()) return false;
  backlog_busy_ = true;
  struct Batched {
    std::vector<std::pair<EventFacts, spool::Position>> events;
    size_t loading = 0;
  };
  auto work = std::make_shared<Batched>();
  size_t count = std::min(backlog_.size(), kBacklogPerTurn);
  work->events.resize(count);
  work->loading = count + 1;
  auto done = [this, work] {
    if (--work->loading > 0) return;
    later([this, work] {
      for (auto& [facts, place] : work->events) {
        if (facts.outcome) {
          if (backlog_is_old_) {
            mark(Mark::backlog_told);
            backlog_end_ = place;
          }
          event_sink_(facts, place);
        }
        backlog_.pop_front();
      }
      backlog_busy_ = false;
      if (backlog_.empty() && std::exchange(backlog_is_old_, false)) tell_idle();
      schedule_turn();
    });
  };
  for (size_t i = 0; i < count; ++i) {
    spool::Position place = backlog_[i];
    work->events[i].second = place;
    log_->read_async(place, [this, work, i, done](std::optional<spool::RecordView> view) {
      spool::OutcomeRecord record;
      if (!view || view->type != spool::OutcomeRecord::kType || !decode(view->payload, record)) {
        return done();
      }
      facts_of_record(record, work->events[i].first);
      load_base(record.recipient, {}, [this, work, i, done](const Loaded* loaded) {
        EventFacts& about = work->events[i].first;
        if (loaded == nullptr || loaded->recipient.id != about.recipient) {
          // Reclaimed, so it was exported: who keeps the place lags behind.
          mark(Mark::backlog_told_before);
          about.outcome.reset();
        } else {
          about.queued = loaded->recipient.accepted_at;
          about.tenant = loaded->recipient.tenant;
          about.address = loaded->recipient.address;
          about.ref = loaded->recipient.ref;
          about.meta = loaded->recipient.meta;
          about.mail_class = loaded->recipient.mail_class;
          const CampaignInfo* info = campaign_states_.find(about.campaign);
          if (info != nullptr) about.tenant_name = info->tenant_name;
          auto known = batch_slots_.find(about.batch);
          if (known != batch_slots_.end() && batches_[known->second].message != nullptr) {
            about.tenant_name = batches_[known->second].message->tenant_name;
          }
        }
        done();
      });
    });
  }
  done();
  return false;
}

void Home::State::exported(spool::Position place) {
  exported_ = std::max(exported_, place);
  if (std::exchange(events_blocked_, false)) schedule_turn();
  if (!idle_untold_.empty()) tell_idle();
  end_told_waits();
}

}  // namespace postring::queue
