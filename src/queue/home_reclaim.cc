#include <algorithm>

#include "base/mark.h"
#include "queue/home_state.h"

// Reclaim, oldest segment first:
//
//   1. wait until no open batch has records in it and every event so far is exported;
//   2. read it: live recipients whose record lies there are copied forward (folded with their last
//      outcome), so are commits of batches that are kept; finished recipients of open campaigns
//      leave their fingerprint; outcomes and old sums are dropped;
//   3. write the sums of everything and the next ids: what is replayed from then on starts there;
//   4. sync, unlink.
//
// A crash anywhere leaves the segment, the copies, or both; of an id the newest record counts.

namespace postring::queue {
namespace {

// Kept at least; a log of so few is not worth the copying.
constexpr size_t kSegmentsKept = 4;
// Records' bytes on disk for each byte that still lives, before the oldest segment is copied.
constexpr uint64_t kDiskPerLiveByte = 3;
constexpr size_t kFoldsAtOnce = 64;
// On a full disk: so much at least is over, in segments, that the oldest is copied.
constexpr uint64_t kSegmentsToGain = 2;
// About what a record of sums takes.
constexpr uint64_t kSumsBytes = 128;

}  // namespace

bool Home::State::reclaim_wanted() const {
  auto oldest = log_->oldest();
  if (!oldest || !oldest->sealed || log_->segment_count() < 2) return false;
  // Everything in it is over: nothing but its finished ones' fingerprints has to be written.
  if (oldest->sequence <= erase_through_) return true;
  if (live_in_segment_.empty() || live_in_segment_.begin()->first > oldest->sequence) return true;
  if (loop_.wall_now() - oldest->opened > options_.record_age_max) return true;
  // Not where no more comes of it than is copied.
  uint64_t live = live_units_ * kSizeUnit;
  if (log_->disk_full()) {
    return log_->bytes_of_segments() > live + live / 4 + kSegmentsToGain * log_->segment_bytes();
  }
  if (log_->segment_count() <= kSegmentsKept) return false;
  return log_->bytes_on_disk() > live * kDiskPerLiveByte;
}

// What is on its way to an outcome keeps its room.
bool Home::State::may_copy(uint64_t bytes) const {
  return log_->room_left(spool::Room::reclaim) >= bytes_of_endings() + bytes;
}

bool Home::State::reclaim_allowed(uint32_t segment) const {
  // Every outcome so far, of recipients whose records may lie there, must have its event. Those
  // still to come are of recipients that live, and are copied.
  if (event_sink_ && exported_ < last_outcome_) return false;
  if (!event_sink_ && !events_.empty()) return false;
  for (const auto& [id, slot] : batch_slots_) {
    const Batch& batch = batches_[slot];
    if (batch.open == nullptr) continue;
    uint32_t first = batch.open->first_segment;
    if (first != 0 && first <= segment) return false;
  }
  return true;
}

void Home::State::reclaim() {
  if (reclaiming_) {
    pump_copies();
    unlink_copied();
    return;
  }
  if (!started_ || closing_ || failed_ || loop_.now() < reclaim_after_) return;
  if (!reclaim_wanted()) return;
  uint32_t segment = log_->oldest()->sequence;
  if (!reclaim_allowed(segment) || !may_copy(log_->segment_bytes() / 2)) return;
  reclaiming_ = true;
  scan_done_ = false;
  reclaim_segment_ = segment;
  copies_end_ = {};
  std::weak_ptr<State*> weak = self_;
  log_->for_each_record(
      segment, [this](const spool::RecordView& record) { copy_record(record); },
      [weak](bool ok) {
        if (auto self = weak.lock()) (*self)->scanned(ok);
      });
}

void Home::State::copy_record(const spool::RecordView& record) {
  switch (record.type) {
    case spool::RecordType::recipient: {
      spool::Recipient recipient;
      if (decode(record.payload, recipient)) copy_recipient(record, recipient);
      return;
    }
    case spool::RecordType::folded: {
      spool::Folded folded;
      if (decode(record.payload, folded)) copy_recipient(record, folded.recipient);
      return;
    }
    case spool::RecordType::batch_commit: return copy_commit(record);
    case spool::RecordType::seen: {
      spool::Seen seen;
      if (!decode(record.payload, seen)) return;
      for (size_t i = 0; i < seen.count(); ++i) {
        auto words = seen.fingerprint(i);
        note_seen(seen.campaign, {words[0], words[1]});
      }
      return;
    }
    default: return;
  }
}

void Home::State::copy_recipient(const spool::RecordView& record,
                                 const spool::Recipient& recipient) {
  Slot slot = recipients_.find(recipient.id);
  if (slot == kNoSlot) {
    // Of a batch that was never committed: nobody was told of it, and it may come again.
    if (!batch_slots_.contains(recipient.batch)) return;
    // Finished, or dropped as a duplicate of one that left the same fingerprint.
    note_seen(recipient.campaign, fingerprint_of(options_.fingerprint_key, recipient.ref,
                                                 recipient.address));
    return;
  }
  Entry& entry = recipients_[slot];
  if (entry.base_segment != record.position.segment) return;
  to_fold_.push_back(recipient.id);
}

void Home::State::note_seen(CampaignId campaign, const Fingerprint& fingerprint) {
  const CampaignInfo* info = campaign_states_.find(campaign);
  if (info == nullptr || info->closed || info->ended()) return;
  std::string& fingerprints = seen_[campaign];
  spool::add_fingerprint(fingerprints, fingerprint.high, fingerprint.low);
  if (fingerprints.size() >= spool::kFingerprintsMax * spool::kFingerprintBytes) {
    flush_seen(campaign);
  }
}

void Home::State::flush_seen(CampaignId campaign) {
  std::string fingerprints = std::move(seen_[campaign]);
  seen_.erase(campaign);
  if (fingerprints.empty()) return;
  mark(Mark::fingerprints_copied);
  spool::Seen record;
  record.campaign = campaign;
  record.fingerprints = fingerprints;
  std::string payload;
  spool::encode(record, payload);
  append_copy(spool::Seen::kType, std::move(payload));
}

// Commits are kept with their batch, and where they hold an answer as long as that is kept.
void Home::State::copy_commit(const spool::RecordView& record) {
  spool::BatchCommit commit;
  if (!decode(record.payload, commit)) return;
  auto known = batch_slots_.find(commit.batch);
  bool is_kept = known != batch_slots_.end() && batches_[known->second].commit == record.position;
  bool answers = !commit.idempotency_key.empty() && known == batch_slots_.end() &&
                 loop_.wall_now() - commit.committed_at <= options_.kept;
  if (!is_kept && !answers) return;
  if (is_kept) commits_copied_.insert(commit.batch);
  commit.copied = true;
  commit.dropped = {};
  std::string payload;
  spool::encode(commit, payload);
  append_copy(spool::BatchCommit::kType, std::move(payload));
}

// A commit that is damaged would be gone with its segment, and at the next start everyone who lives
// of its batch: another says what is known of it.
void Home::State::replace_lost_commits() {
  std::set<BatchId> copied = std::exchange(commits_copied_, {});
  for (const auto& [id, slot] : batch_slots_) {
    const Batch& batch = batches_[slot];
    bool committed = batch.open == nullptr || batch.open->commit_written;
    if (!committed || batch.commit.segment != reclaim_segment_ || copied.contains(id)) continue;
    append_copy(spool::BatchCommit::kType, stand_in(batch));
  }
}

// Without its idempotency key, and with a content of its own only where that is stored.
std::string Home::State::stand_in(const Batch& batch) const {
  std::string sources, retry;
  bool inline_lost = false;
  if (batch.message != nullptr) {
    sources = SourceSets::joined(source_sets_.names(batch.message->sources));
    retry = packed(batch.message->retry.retry);
    inline_lost = batch.message->has_inline_content;
  }
  spool::BatchCommit record = describe(batch, sources, retry);
  record.copied = true;
  record.committed_at = batch.committed_at;
  record.accepted = batch.tally.accepted;
  record.duplicates = batch.tally.duplicates;
  record.rejected = batch.tally.rejected;
  if (inline_lost) record.inline_content = spool::kLostContent;
  std::string payload;
  spool::encode(record, payload);
  return payload;
}

void Home::State::append_copy(spool::RecordType type, std::string payload) {
  copies_.emplace_back(type, std::move(payload));
  pump_copies();
}

void Home::State::scanned(bool ok) {
  if (!ok) {
    to_fold_.clear();
    copies_.clear();
    seen_.clear();
    commits_copied_.clear();
    return reclaim_failed();
  }
  scan_done_ = true;
  replace_lost_commits();
  while (!seen_.empty()) flush_seen(seen_.begin()->first);
  pump_copies();
}

// It is tried again, later each time; nothing was unlinked.
void Home::State::reclaim_failed() {
  mark(Mark::reclaim_failed);
  reclaiming_ = false;
  Duration wait = kReclaimRetry;
  for (uint32_t i = 0; i < reclaim_failures_ && wait < kReclaimRetryMax; ++i) wait = wait + wait;
  reclaim_after_ = loop_.now() + std::min(wait, kReclaimRetryMax);
  ++reclaim_failures_;
}

// Writes copies while there is room, then folds the next recipients, and at the end finishes.
void Home::State::pump_copies() {
  if (failed_ || closing_) return;
  while (!copies_.empty()) {
    if (!may_copy(spool::record_size(copies_.front().second.size()))) return wait_for_copy_room();
    auto place = log_->append(copies_.front().first, copies_.front().second, spool::Room::reclaim);
    if (!place) {
      if (place.error() == spool::AppendError::poisoned) return fail();
      return wait_for_copy_room();
    }
    if (copies_.front().first == spool::BatchCommit::kType) {
      spool::BatchCommit commit;
      CHECK(decode(copies_.front().second, commit));
      auto known = batch_slots_.find(commit.batch);
      if (known != batch_slots_.end()) batches_[known->second].commit = *place;
    }
    copies_end_ = *place;
    copies_.pop_front();
  }
  if (!to_fold_.empty()) return copy_next();
  if (!scan_done_ || folding_) return;
  scan_done_ = false;
  write_snapshot();
}

void Home::State::wait_for_copy_room() {
  if (std::exchange(copies_wait_, true)) return;
  mark(Mark::copies_waited);
  log_->when_room([weak = std::weak_ptr<State*>(self_)] {
    auto self = weak.lock();
    if (!self) return;
    (*self)->copies_wait_ = false;
    (*self)->pump_copies();
  });
}

void Home::State::copy_next() {
  if (folding_) return;
  folding_ = true;
  auto left = std::make_shared<size_t>(1);
  auto done = [this, left] {
    if (--*left > 0) return;
    later([this] {
      folding_ = false;
      if (!copies_wait_) pump_copies();
    });
  };
  for (size_t n = 0; n < kFoldsAtOnce && !to_fold_.empty(); ++n) {
    RecipientId id = to_fold_.front();
    to_fold_.pop_front();
    Slot slot = recipients_.find(id);
    if (slot == kNoSlot || recipients_[slot].base_segment != reclaim_segment_) continue;
    ++*left;
    load(slot, [this, id, done](const Loaded* loaded) {
      Slot at = closing_ ? kNoSlot : recipients_.find(id);
      if (at != kNoSlot && recipients_[at].base_segment == reclaim_segment_) {
        if (loaded != nullptr) {
          copy_folded(at, *loaded);
        } else {
          end_damaged(at);
        }
      }
      done();
    });
  }
  done();
}

// Nobody can read to whom it goes: said as a bounce.
void Home::State::end_damaged(Slot slot) {
  mark(Mark::damaged_ended);
  EntryState state = recipients_[slot].state();
  if (state != EntryState::ready && state != EntryState::due) return;
  take_out(slot);
  finish(slot, Outcome::bounced);
}

// One live recipient forward. Written at once: what it says must not be older than a record that
// comes in between.
void Home::State::copy_folded(Slot slot, const Loaded& loaded) {
  Entry& entry = recipients_[slot];
  spool::Folded record;
  record.recipient = loaded.recipient;
  record.attempts = entry.attempts;
  record.stage = loaded.stage;
  record.possible_duplicate = entry.has(kEntryPossibleDuplicate);
  record.last_attempt = loaded.last_attempt;
  record.next_attempt = loaded.next_attempt;
  record.reply = loaded.reply;
  if (entry.has(kEntryErased)) record.reply.text = {};
  record.last_source = loaded.last_source;
  std::string payload;
  spool::encode(record, payload);
  Result<spool::Position, spool::AppendError> place =
      std::unexpected(spool::AppendError::no_room_yet);
  if (may_copy(spool::record_size(payload.size()))) {
    place = log_->append(spool::Folded::kType, payload, spool::Room::reclaim);
  }
  if (!place) {
    if (place.error() == spool::AppendError::poisoned) return fail();
    to_fold_.push_back(recipients_.id_of(slot));
    wait_for_copy_room();
    return;
  }
  copies_end_ = *place;
  auto old = live_in_segment_.find(entry.base_segment);
  CHECK(old != live_in_segment_.end());
  if (--old->second == 0) live_in_segment_.erase(old);
  ++live_in_segment_[place->segment];
  entry.base_segment = place->segment;
  entry.position = place->packed();
  entry.clear(kEntryHasOutcome);
  live_units_ -= entry.size_units;
  entry.size_units = static_cast<uint16_t>(
      std::min<size_t>(payload.size() / kSizeUnit + 1, UINT16_MAX));
  live_units_ += entry.size_units;
  if (entry.state() == EntryState::leased) {
    mark(Mark::copied_while_leased);
    flights_[entry.next].base = *place;
  }
  if (!entry.has(kEntryUnsaved)) return;
  mark(Mark::copied_while_unsaved);
  for (Ending& ending : unsaved_) {
    if (ending.slot == slot) ending.base = *place;
  }
}

void Home::State::write_snapshot() {
  // Half of it would be written again.
  bool good = may_copy((campaign_numbers_.size() + batch_slots_.size() + 1) * kSumsBytes);
  auto write = [&](spool::RecordType type, const std::string& payload) {
    if (!good) return;
    auto place = log_->append(type, payload, spool::Room::reclaim);
    if (place) {
      copies_end_ = *place;
    } else {
      good = false;
    }
  };
  std::string payload;
  for (const auto& [key, number] : campaign_numbers_) {
    if (key.first == 0) continue;
    spool::Sums sums;
    sums.campaign = key.first;
    sums.tenant = campaigns_[number].tenant;
    campaigns_[number].tally.write(sums);
    payload.clear();
    spool::encode(sums, payload);
    write(spool::Sums::kType, payload);
  }
  for (const auto& [id, slot] : batch_slots_) {
    const Batch& batch = batches_[slot];
    if (batch.open != nullptr && !batch.open->commit_written) continue;
    spool::Sums sums;
    sums.campaign = campaigns_[batch.campaign].id;
    sums.batch = id;
    sums.tenant = batch.tenant;
    batch.tally.write(sums);
    payload.clear();
    spool::encode(sums, payload);
    write(spool::Sums::kType, payload);
  }
  write(spool::Entry::kType, next_ids());
  if (!good) {
    scan_done_ = true;  // again from here
    return;
  }
  std::weak_ptr<State*> weak = self_;
  log_->sync_soon([weak](bool ok) {
    auto self = weak.lock();
    if (!self) return;
    State& state = **self;
    if (!ok) return state.fail();
    state.unlink_waits_ = true;
    state.unlink_copied();
  });
}

// Recipients that ended while the copying went on may have their events still to come, and those
// are made from the segment if the process ends before.
void Home::State::unlink_copied() {
  if (!unlink_waits_ || closing_ || failed_ || !reclaim_allowed(reclaim_segment_)) return;
  unlink_waits_ = false;
  auto live = live_in_segment_.begin();
  if (live != live_in_segment_.end() && live->first <= reclaim_segment_) {
    return reclaim_failed();  // one could not be copied
  }
  log_->unlink_oldest(copies_end_, [weak = std::weak_ptr<State*>(self_)](bool ok) {
    auto self = weak.lock();
    if (!self) return;
    if (!ok) return (*self)->reclaim_failed();
    (*self)->reclaiming_ = false;
    (*self)->reclaim_failures_ = 0;
  });
}

}  // namespace postring::queue
