#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/canary.h"
#include "base/mark.h"
#include "mail/address.h"
#include "queue/aims.h"
#include "queue/home_state.h"

namespace postring::queue {
namespace {


std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    size_t comma = std::min(text.find(','), text.size());
    names.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return names;
}

}  // namespace

// Replays a slice's records in order. A recipient is staged until its batch's commit comes; copies
// (folded) are live at once and replace what was known of their id. Entries are found by id only,
// and name a destination for their flow, until finish() makes of those that are left what else a
// home knows of its recipients.
class Home::Replay {
 public:
  Replay(State& home, const RecoverySink& sink)
      : home_(home), sink_(sink), aims_(home.recipients_, home.destinations_) {
    home_.recovering_ = true;
    home_.recipients_.begin_bulk();
  }

  void visit(const spool::RecordView& view) {
    if (view.type != spool::RecordType::recipient) aims_.settle();
    switch (view.type) {
      case spool::RecordType::recipient: return visit_recipient(view);
      case spool::RecordType::batch_commit: return visit_commit(view);
      case spool::RecordType::batch_discard: return visit_discard(view);
      case spool::RecordType::outcome: return visit_outcome(view);
      case spool::RecordType::folded: return visit_folded(view);
      case spool::RecordType::sums: return visit_sums(view);
      case spool::RecordType::seen: return visit_seen(view);
      case spool::RecordType::entry: return visit_entry(view);
      default: return;
    }
  }
  // What was never committed goes, the rest enters its queue. Says what does not add up.
  Result<void> finish();

  std::string wrong;

 private:
  void visit_recipient(const spool::RecordView& view);
  void visit_commit(const spool::RecordView& view);
  void visit_discard(const spool::RecordView& view);
  void visit_outcome(const spool::RecordView& view);
  void visit_folded(const spool::RecordView& view);
  void visit_sums(const spool::RecordView& view);
  void visit_seen(const spool::RecordView& view);
  void visit_entry(const spool::RecordView& view);
  Slot add(const spool::Recipient& record, const spool::RecordView& view, SourceSet sources,
           Slot batch_slot);
  Slot batch_of(BatchId id, CampaignId campaign, TenantId tenant);
  void leave_from(Entry& entry, SourceSet sources);
  uint32_t due_again_s(WallTime since, WallTime until) const;
  void count(const spool::OutcomeRecord& record);
  void end_batches();
  // A flow that an entry needs.
  struct Needed {
    Slot slot = 0;
    Toward toward;
    uint32_t campaign = 0;
  };
  void collect(Slot begin, std::vector<Needed>& needed);
  void enter_flows(const std::vector<Needed>& needed);
  SourceSet sources_of(const spool::Recipient& record, const Batch& batch);
  bool drop_duplicates(Batch& batch, const spool::BatchCommit& record);
  void describe(Batch& batch, const spool::BatchCommit& record);
  void unreadable(const spool::RecordView& view) {
    if (!wrong.empty()) return;
    wrong = "segment " + std::to_string(view.position.segment) + ", byte " +
            std::to_string(view.position.offset) + ": a " + spool::name_of(view.type) +
            " record that says nothing this version understands";
  }
  bool takes_duplicates(CampaignId id) const {
    const CampaignInfo* info = home_.campaign_states_.find(id);
    return sink_.seen && info != nullptr && !info->closed && !info->ended();
  }
  void tell_seen(CampaignId campaign, std::string_view ref, std::string_view address) {
    if (!takes_duplicates(campaign)) return;
    sink_.seen(campaign, fingerprint_of(home_.options_.fingerprint_key, ref, address));
  }
  void saw_counter(RecipientId id) {
    home_.next_counter_ = std::max(home_.next_counter_, (id & kCounterMask) + 1);
  }
  void saw_batch(BatchId id) {
    home_.next_batch_ = std::max(home_.next_batch_, (id & kCounterMask) + 1);
  }

  State& home_;
  const RecoverySink& sink_;
  Aims aims_;
  // Of the record before: mostly those of the next one too.
  CampaignId last_campaign_ = 0;
  SourceSet last_sources_ = 0;
  BatchId last_batch_ = 0;
  Slot last_batch_slot_ = kNoSlot;
  CampaignId counted_campaign_ = 0;
  uint32_t counted_number_ = kNoSlot;
  uint32_t live_segment_ = 0;
  uint64_t* live_in_segment_ = nullptr;
};

Slot Home::Replay::batch_of(BatchId id, CampaignId campaign, TenantId tenant) {
  if (id != last_batch_ || last_batch_slot_ == kNoSlot) {
    last_batch_slot_ = home_.make_batch(id, campaign, tenant);
    last_batch_ = id;
  }
  return last_batch_slot_;
}

void Home::Replay::leave_from(Entry& entry, SourceSet sources) {
  Toward toward = Toward::of(entry);
  if (home_.destinations_.destination(toward.destination).sources == sources) return;
  toward.destination = home_.destinations_.use_destination_like(toward.destination, sources);
  toward.keep(entry);
}

// When a wait ends that was written in wall time. The clock may have gone back since: a wait that
// began later than now begins now.
uint32_t Home::Replay::due_again_s(WallTime since, WallTime until) const {
  WallTime now = home_.loop_.wall_now();
  return State::seconds_up(since > now ? now + (until - since) : until);
}

SourceSet Home::Replay::sources_of(const spool::Recipient& record, const Batch& batch) {
  if (!record.source.empty()) return home_.source_sets_.number_of_one(record.source);
  if (batch.message != nullptr) return batch.message->sources;
  if (record.campaign == 0) return 0;
  if (record.campaign == last_campaign_) return last_sources_;
  const CampaignInfo* info = home_.campaign_states_.find(record.campaign);
  last_campaign_ = record.campaign;
  last_sources_ = info == nullptr ? 0 : home_.source_sets_.number_of(info->sources);
  return last_sources_;
}

Slot Home::Replay::add(const spool::Recipient& record, const spool::RecordView& view,
                       SourceSet sources, Slot batch_slot) {
  Slot slot = home_.recipients_.add(record.id & kCounterMask, record.address);
  Entry& entry = home_.recipients_[slot];
  entry.set_state(EntryState::staged);
  entry.position = view.position.packed();
  entry.base_segment = view.position.segment;
  entry.batch = batch_slot;
  entry.size_units = static_cast<uint16_t>(
      std::min<size_t>(view.payload.size() / kSizeUnit + 1, UINT16_MAX));
  entry.due_s = State::seconds_up(record.not_before);
  home_.recipients_.set_expiry(slot, record.expires_at.is_set()
                                         ? State::seconds_up(record.expires_at)
                                         : kNeverSeconds - 1);
  aims_.add(slot, mail::domain_of(record.address), sources, record.mail_class);
  return slot;
}

void Home::Replay::visit_recipient(const spool::RecordView& view) {
  spool::Recipient record;
  if (!decode(view.payload, record)) return unreadable(view);
  saw_counter(record.id);
  saw_batch(record.batch);
  Slot batch_slot = batch_of(record.batch, record.campaign, record.tenant);
  Batch& batch = home_.batches_[batch_slot];
  if (batch.open == nullptr) {
    // The first record of its batch: a commit comes after all of them.
    if (batch.committed_at.is_set()) return unreadable(view);
    batch.open = std::make_unique<OpenBatch>();
    ++home_.campaigns_[batch.campaign].open_batches;
  }
  Slot slot = add(record, view, sources_of(record, batch), batch_slot);
  OpenBatch& open = *batch.open;
  home_.recipients_.push_back(open.entries, slot);
  ++open.appended;
  if (takes_duplicates(record.campaign)) {
    open.fingerprints.push_back(
        fingerprint_of(home_.options_.fingerprint_key, record.ref, record.address));
  }
}

// What the batch is, as far as its campaign does not say it.
void Home::Replay::describe(Batch& batch, const spool::BatchCommit& record) {
  batch.mail_class = record.mail_class;
  batch.committed_at = record.committed_at;
  bool has_content = record.content != decltype(record.content){};
  if (record.campaign != 0 && !has_content && record.inline_content.empty()) return;
  auto described = std::make_unique<MessageInfo>();
  MessageInfo& message = *described;
  message.tenant_name = record.tenant_name;
  std::memcpy(message.content.data(), record.content.data(), record.content.size());
  message.has_inline_content = !record.inline_content.empty();
  message.sources = home_.source_sets_.number_of(split(record.sources));
  for (ByteReader steps(record.retry); steps.ok() && !steps.done();) {
    message.retry.retry.push_back(Duration::seconds(static_cast<int64_t>(steps.varint())));
  }
  message.retry.max_age = Duration::seconds(static_cast<int64_t>(record.max_age_s));
  home_.set_message(batch, std::move(described));
}

// Takes out what the commit dropped. Where the batch began in a segment that is gone, the first of
// its recipients are not here (they were copied, or are over), and only the later places count.
bool Home::Replay::drop_duplicates(Batch& batch, const spool::BatchCommit& record) {
  std::vector<uint32_t> places;
  uint32_t place = 0;
  for (ByteReader reader(record.dropped); reader.ok() && !reader.done();) {
    place += static_cast<uint32_t>(reader.varint());
    places.push_back(place);
  }
  uint64_t total = record.accepted + places.size();
  uint64_t here = batch.open->appended;
  if (here > total || (!places.empty() && places.back() >= total)) return false;
  auto gone = static_cast<uint32_t>(total - here);
  std::erase_if(places, [gone](uint32_t at) { return at < gone; });
  for (uint32_t& at : places) at -= gone;
  home_.drop_entries(batch, places);
  return true;
}

void Home::Replay::visit_commit(const spool::RecordView& view) {
  spool::BatchCommit record;
  if (!decode(view.payload, record)) return unreadable(view);
  saw_batch(record.batch);
  Slot slot = home_.make_batch(record.batch, record.campaign, record.tenant);
  Batch& batch = home_.batches_[slot];
  batch.commit = view.position;
  describe(batch, record);
  if (!record.idempotency_key.empty() && sink_.answer) {
    KeptAnswer answer{record.tenant,   record.idempotency_key, {}, record.answer, record.batch,
                      record.campaign, record.committed_at};
    std::memcpy(answer.digest.data(), record.digest.data(), answer.digest.size());
    sink_.answer(answer);
  }
  if (record.copied) return;
  CampaignAtHome& campaign = home_.campaigns_[batch.campaign];
  batch.tally.accepted += record.accepted;
  batch.tally.duplicates += record.duplicates;
  batch.tally.rejected += record.rejected;
  campaign.tally.accepted += record.accepted;
  campaign.tally.duplicates += record.duplicates;
  campaign.tally.rejected += record.rejected;
  if (batch.open == nullptr) return;
  if (!drop_duplicates(batch, record)) return unreadable(view);
  if (batch.message != nullptr) {
    // Only now is it known where they may leave from.
    SourceSet wanted = batch.message->sources;
    for (Slot at = batch.open->entries.head; at != kNoSlot; at = home_.recipients_[at].next) {
      if (wanted != 0) leave_from(home_.recipients_[at], wanted);
    }
  }
  for (const Fingerprint& fingerprint : batch.open->fingerprints) {
    sink_.seen(record.campaign, fingerprint);
  }
  --campaign.open_batches;
  batch.open.reset();
}

void Home::Replay::visit_discard(const spool::RecordView& view) {
  spool::BatchDiscard record;
  if (!decode(view.payload, record)) return unreadable(view);
  saw_batch(record.batch);
  auto known = home_.batch_slots_.find(record.batch);
  if (known == home_.batch_slots_.end() || home_.batches_[known->second].open == nullptr) return;
  ++home_.open_batches_;
  home_.drop_batch(known->second);
  last_batch_slot_ = counted_number_ = kNoSlot;
}

void Home::Replay::count(const spool::OutcomeRecord& record) {
  if (record.batch != last_batch_ || last_batch_slot_ == kNoSlot) {
    auto batch = home_.batch_slots_.find(record.batch);
    last_batch_ = record.batch;
    last_batch_slot_ = batch == home_.batch_slots_.end() ? kNoSlot : batch->second;
  }
  if (last_batch_slot_ != kNoSlot) home_.batches_[last_batch_slot_].tally.count(record.outcome);
  if (record.campaign == 0) return;
  if (record.campaign != counted_campaign_ || counted_number_ == kNoSlot) {
    auto campaign = home_.campaign_numbers_.find({record.campaign, 0});
    counted_campaign_ = record.campaign;
    counted_number_ = campaign == home_.campaign_numbers_.end() ? kNoSlot : campaign->second;
  }
  if (counted_number_ != kNoSlot) home_.campaigns_[counted_number_].tally.count(record.outcome);
}

void Home::Replay::visit_outcome(const spool::RecordView& view) {
  spool::OutcomeRecord record;
  if (!decode(view.payload, record)) return unreadable(view);
  saw_counter(record.id);
  home_.last_outcome_ = view.position;
  if (view.position > home_.exported_) home_.backlog_.push_back(view.position);
  count(record);
  Slot slot = home_.recipients_.find(record.id);
  if (slot == kNoSlot) return;
  if (record.outcome != Outcome::deferred) {
    bool lies_behind = record.recipient.segment < view.position.segment;
    if (canary(Canary::outcome_dropped) && lies_behind) return;
    home_.remove(slot);
    return;
  }
  Entry& entry = home_.recipients_[slot];
  entry.attempts = static_cast<uint16_t>(std::min<uint32_t>(record.attempt, kAttemptsMax));
  entry.position = view.position.packed();
  entry.set(kEntryHasOutcome | kEntryTried);
  if (record.possible_duplicate) entry.set(kEntryPossibleDuplicate);
  entry.due_s = due_again_s(record.logged_at, record.next_attempt);
  if (!record.source.empty()) leave_from(entry, home_.source_sets_.number_of_one(record.source));
}

void Home::Replay::visit_folded(const spool::RecordView& view) {
  spool::Folded record;
  if (!decode(view.payload, record)) return unreadable(view);
  saw_counter(record.recipient.id);
  Slot old = home_.recipients_.find(record.recipient.id);
  if (old != kNoSlot) {
    // An open batch would lose its place in the list; copies come after the commit only.
    if (home_.batches_[home_.recipients_[old].batch].open != nullptr) return unreadable(view);
    mark(Mark::copy_counts);
    home_.remove(old);
  }
  Slot batch_slot =
      batch_of(record.recipient.batch, record.recipient.campaign, record.recipient.tenant);
  SourceSet sources = record.last_source.empty()
                          ? sources_of(record.recipient, home_.batches_[batch_slot])
                          : home_.source_sets_.number_of_one(record.last_source);
  Slot slot = add(record.recipient, view, sources, batch_slot);
  Entry& entry = home_.recipients_[slot];
  entry.attempts = static_cast<uint16_t>(std::min<uint32_t>(record.attempts, kAttemptsMax));
  if (record.possible_duplicate) entry.set(kEntryPossibleDuplicate);
  if (record.attempts > 0) entry.set(kEntryTried);
  if (record.next_attempt.is_set()) {
    entry.due_s = due_again_s(record.last_attempt, record.next_attempt);
  }
  tell_seen(record.recipient.campaign, record.recipient.ref, record.recipient.address);
}

void Home::Replay::visit_sums(const spool::RecordView& view) {
  spool::Sums record;
  if (!decode(view.payload, record)) return unreadable(view);
  if (record.batch == 0) {
    home_.campaigns_[home_.use_campaign(record.campaign, record.tenant)].tally.set(record);
    return;
  }
  saw_batch(record.batch);
  Slot slot = home_.make_batch(record.batch, record.campaign, record.tenant);
  home_.batches_[slot].tally.set(record);
}

void Home::Replay::visit_seen(const spool::RecordView& view) {
  spool::Seen record;
  if (!decode(view.payload, record)) return unreadable(view);
  if (!takes_duplicates(record.campaign)) return;
  for (size_t i = 0; i < record.count(); ++i) {
    auto words = record.fingerprint(i);
    sink_.seen(record.campaign, {words[0], words[1]});
  }
}

void Home::Replay::visit_entry(const spool::RecordView& view) {
  spool::Entry record;
  if (!decode(view.payload, record)) return unreadable(view);
  if (record.key != kNextIdsKey) return;
  ByteReader reader(record.value);
  home_.next_counter_ = std::max(home_.next_counter_, reader.varint());
  home_.next_batch_ = std::max(home_.next_batch_, reader.varint());
}

// What was not committed is nothing.
void Home::Replay::end_batches() {
  for (auto at = home_.batch_slots_.begin(); at != home_.batch_slots_.end();) {
    Slot slot = (at++)->second;
    const Batch& batch = home_.batches_[slot];
    if (batch.open != nullptr) {
      mark(Mark::batch_discarded);
      ++home_.open_batches_;
      home_.drop_batch(slot);
    } else if (home_.campaigns_[batch.campaign].id == 0 && batch.tally.live() == 0) {
      home_.ended_messages_.emplace_back(home_.loop_.wall_now(), batch.id);
    }
  }
}

// Counts a page's entries that are left, and says which flow each of them needs.
void Home::Replay::collect(Slot begin, std::vector<Needed>& needed) {
  Recipients& recipients = home_.recipients_;
  needed.clear();
  for (Slot slot = begin; slot < std::min(begin + kEntriesPerPage, recipients.end()); ++slot) {
    Entry& entry = recipients[slot];
    if (entry.state() == EntryState::free) continue;
    const Batch& batch = home_.batches_[entry.batch];
    if (live_in_segment_ == nullptr || live_segment_ != entry.base_segment) {
      live_segment_ = entry.base_segment;
      live_in_segment_ = &home_.live_in_segment_[live_segment_];
    }
    ++*live_in_segment_;
    home_.live_units_ += entry.size_units;
    // A message's copy was read before its batch's: now it is known where it may leave from.
    if (batch.message != nullptr && batch.message->sources != 0 && !entry.has(kEntryTried) &&
        home_.destinations_.destination(Toward::of(entry).destination).sources == 0) {
      leave_from(entry, batch.message->sources);
    }
    needed.push_back({slot, Toward::of(entry), batch.campaign});
  }
}

// Each of them gets its flow and its place in it. What that touches is all over the memory: it is
// asked for a few entries before, in the order in which one thing leads to another.
void Home::Replay::enter_flows(const std::vector<Needed>& needed) {
  constexpr size_t kAhead = 8;
  Destinations& destinations = home_.destinations_;
  for (size_t at = 0; at < needed.size() + 3 * kAhead; ++at) {
    if (at < needed.size()) {
      const Needed& one = needed[at];
      destinations.prefetch_index(one.toward.destination, one.campaign, one.toward.mail_class);
    }
    // Before the first of them these wrap around, far behind the last.
    if (size_t near = at - kAhead; near < needed.size()) {
      const Needed& one = needed[near];
      destinations.prefetch_flow(one.toward.destination, one.campaign, one.toward.mail_class);
    }
    if (size_t nearer = at - 2 * kAhead; nearer < needed.size()) {
      const Needed& one = needed[nearer];
      uint32_t flow = destinations.use_flow_in(one.toward.destination, one.campaign,
                                               one.toward.mail_class);
      home_.recipients_[one.slot].flow = flow;
      Slot tail = destinations.flow(flow).entries.tail;
      if (tail != kNoSlot) home_.recipients_.prefetch(tail);
    }
    if (size_t here = at - 3 * kAhead; here < needed.size()) home_.enqueue(needed[here].slot);
  }
}

Result<void> Home::Replay::finish() {
  if (!wrong.empty()) return postring::fail(wrong);
  aims_.settle();
  end_batches();
  home_.recipients_.end_bulk();
  home_.destinations_.reserve_flows(std::min<uint64_t>(
      home_.recipients_.used(), home_.campaign_numbers_.size() * home_.destinations_.count()));
  std::vector<Needed> needed;
  for (Slot page = 0; page < home_.recipients_.end(); page += kEntriesPerPage) {
    collect(page, needed);
    enter_flows(needed);
  }
  home_.destinations_.forget_unused();
  home_.recovering_ = false;
  return {};
}

Result<void> Home::State::recover(std::string folder, const RecoverySink& sink) {
  Replay replay(*this, sink);
  spool::LogOptions log_options;
  log_options.slice = options_.slice;
  log_options.spool_id = options_.spool_id;
  if (options_.segment_bytes != 0) log_options.segment_bytes = options_.segment_bytes;
  log_options.reserve_segments = options_.reserve_segments;
  log_options.tail_window_bytes = options_.tail_window_bytes;
  auto log = spool::Log::open(loop_, folder, log_options,
                              [&replay](const spool::RecordView& view) { replay.visit(view); });
  if (!log) return std::unexpected(log.error());
  log_ = std::move(*log);
  const auto& damage = log_->recovery().damage;
  if (!damage.empty()) return postring::fail(damage.front().file + ": " + damage.front().what);
  if (auto finished = replay.finish(); !finished) {
    return postring::fail(folder + ": " + finished.error().message);
  }
  return {};
}

}  // namespace postring::queue
