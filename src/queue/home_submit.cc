#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/canary.h"
#include "mail/address.h"
#include "queue/home_state.h"

namespace postring::queue {
namespace {

SubmitError submit_error(spool::AppendError error) {
  switch (error) {
    case spool::AppendError::no_room_yet: return SubmitError::busy;
    case spool::AppendError::disk_full: return SubmitError::disk_full;
    case spool::AppendError::poisoned: return SubmitError::failed;
    case spool::AppendError::too_large: return SubmitError::too_large;
  }
  return SubmitError::failed;
}

}  // namespace

std::string Home::State::packed(const std::vector<Duration>& waits) {
  std::string bytes;
  for (Duration wait : waits) ByteWriter(bytes).varint(static_cast<uint64_t>(wait.whole_seconds()));
  return bytes;
}

Result<BatchHandle, SubmitError> Home::State::begin(const NewBatch& in) {
  if (!options_.takes_mail) return std::unexpected(SubmitError::no_mail);
  if (failed_ || closing_) return std::unexpected(SubmitError::failed);
  if (open_batches_ >= kOpenBatchesMax) return std::unexpected(SubmitError::busy);
  if (auto room = log_->check_room(0, spool::Room::submission); !room) {
    return std::unexpected(submit_error(room.error()));
  }
  CHECK(in.inline_content.size() <= kInlineContentMax);
  Slot slot = make_batch(make_recipient_id(options_.slice, next_batch_++), in.campaign, in.tenant);
  Batch& batch = batches_[slot];
  batch.mail_class = in.mail_class;
  batch.open = std::make_unique<OpenBatch>();
  OpenBatch& open = *batch.open;
  open.idempotency_key = in.idempotency_key;
  const CampaignInfo* info = campaign_states_.find(in.campaign);
  CHECK(in.campaign == 0 || info != nullptr, "a batch of a campaign that is not known here");
  if (info != nullptr) {
    batch.mail_class = info->mail_class;
    open.sources = info->sources;
    open.retry = info->retry;
    open.age_base = info->start_at;
  }
  if (in.campaign == 0 || !in.inline_content.empty() || in.content != ContentId{}) {
    // It brings what it needs; what it does not say, its campaign says.
    open.inline_content = in.inline_content;
    if (info == nullptr || !in.sources.empty()) open.sources = in.sources;
    if (info == nullptr || !in.retry.retry.empty()) open.retry.retry = in.retry.retry;
    if (info == nullptr || in.retry.max_age.us > 0) open.retry.max_age = in.retry.max_age;
    auto message = std::make_unique<MessageInfo>();
    message->tenant_name = in.tenant_name;
    message->content = in.content;
    message->has_inline_content = !in.inline_content.empty();
    message->sources = source_sets_.number_of(open.sources);
    message->retry = open.retry;
    set_message(batch, std::move(message));
  }
  open.source_set = source_sets_.number_of(open.sources);
  ++campaigns_[batch.campaign].open_batches;
  ++open_batches_;
  return slot + 1;
}

Batch& Home::State::open_batch(BatchHandle handle) {
  CHECK(handle != 0 && handle - 1 < batches_.end());
  Batch& batch = batches_[handle - 1];
  CHECK(batch.open != nullptr);
  CHECK(!batch.open->committing, "a batch is committed or discarded once");
  return batch;
}

Result<RecipientId, SubmitError> Home::State::append(BatchHandle handle, const NewRecipient& in) {
  Batch& batch = open_batch(handle);
  OpenBatch& open = *batch.open;
  CHECK(open.appended < kBatchRecipientsMax);
  if (closing_ || failed_) return std::unexpected(SubmitError::failed);
  if (recipients_.used() >= kRecipientsMax) return std::unexpected(SubmitError::busy);
  if (recipients_.used() % kReserveEvery == 0) reserve_for_outcomes();
  std::string_view domain = mail::domain_of(in.address);
  WallTime now = loop_.wall_now();
  spool::Recipient record;
  record.id = make_recipient_id(options_.slice, next_counter_);
  record.batch = batch.id;
  record.campaign = campaigns_[batch.campaign].id;
  record.tenant = batch.tenant;
  record.mail_class = in.mail_class.value_or(batch.mail_class);
  record.accepted_at = now;
  record.not_before = in.not_before;
  record.expires_at = in.expires_at;
  if (!record.expires_at.is_set()) {
    WallTime base = std::max({now, in.not_before, open.age_base});
    record.expires_at = base + policies_.max_age_of(domain, &open.retry);
  }
  record.source = in.source;
  record.ref = in.ref;
  record.meta = in.meta;
  record.time_zone = in.time_zone;
  record.address = in.address;
  record.values = in.values;
  scratch_.clear();
  spool::encode(record, scratch_);
  auto place = log_->append(spool::Recipient::kType, scratch_, spool::Room::submission);
  if (!place) {
    if (place.error() == spool::AppendError::poisoned) fail();
    return std::unexpected(submit_error(place.error()));
  }
  Slot slot = recipients_.add(next_counter_++, in.address);
  Entry& entry = recipients_[slot];
  entry.set_state(EntryState::staged);
  entry.position = place->packed();
  entry.base_segment = place->segment;
  entry.batch = handle - 1;
  entry.size_units = static_cast<uint16_t>(
      std::min<size_t>(scratch_.size() / kSizeUnit + 1, UINT16_MAX));
  entry.due_s = seconds_up(in.not_before);
  recipients_.set_expiry(slot, seconds_up(record.expires_at));
  SourceSet sources = in.source.empty() ? open.source_set : source_sets_.number_of_one(in.source);
  entry.flow = destinations_.use_flow(domain, sources, batch.campaign, record.mail_class);
  ++live_in_segment_[place->segment];
  live_units_ += entry.size_units;
  recipients_.push_back(open.entries, slot);
  open.fingerprints.push_back(fingerprint_of(options_.fingerprint_key, in.ref, in.address));
  ++open.appended;
  if (open.first_segment == 0) open.first_segment = place->segment;
  return record.id;
}

// Takes the dropped recipients out of a batch that is not committed yet.
void Home::State::drop_entries(Batch& batch, const std::vector<uint32_t>& dropped) {
  OpenBatch& open = *batch.open;
  Slot at = open.entries.head;
  uint32_t place = 0;
  for (uint32_t drop : dropped) {
    CHECK(drop >= place && drop < open.appended);
    while (place < drop) {
      at = recipients_[at].next;
      ++place;
    }
    Slot next = recipients_[at].next;
    recipients_.unlink(open.entries, at);
    remove(at);
    at = next;
    ++place;
  }
}

// Ends a batch that came to nothing.
void Home::State::drop_batch(Slot slot) {
  Batch& batch = batches_[slot];
  for (Slot at = batch.open->entries.head; at != kNoSlot;) {
    Slot next = recipients_[at].next;
    remove(at);
    at = next;
  }
  --campaigns_[batch.campaign].open_batches;
  --open_batches_;
  batch.open.reset();
  CampaignId campaign = campaigns_[batch.campaign].id;
  forget_batch(slot);
  if (campaign != 0 && idle_sink_) {
    later([this, campaign] { idle_sink_(campaign); });
  }
}

void Home::State::discard(BatchHandle handle) {
  Batch& batch = open_batch(handle);
  if (closing_) return;
  if (batch.open->appended > 0) {
    // Where it cannot be written, recovery finds no commit: that says the same.
    scratch_.clear();
    spool::encode(spool::BatchDiscard{batch.id}, scratch_);
    (void)log_->append(spool::BatchDiscard::kType, scratch_, spool::Room::submission);
  }
  drop_batch(handle - 1);
}

spool::BatchCommit Home::State::describe(const Batch& batch, std::string_view sources,
                                         std::string_view retry) const {
  spool::BatchCommit record;
  record.batch = batch.id;
  record.campaign = campaigns_[batch.campaign].id;
  record.tenant = batch.tenant;
  record.mail_class = batch.mail_class;
  if (batch.message == nullptr) return record;
  const MessageInfo& message = *batch.message;
  record.tenant_name = message.tenant_name;
  std::memcpy(record.content.data(), message.content.data(), record.content.size());
  record.sources = sources;
  record.retry = retry;
  record.max_age_s = static_cast<uint64_t>(message.retry.max_age.whole_seconds());
  return record;
}

std::string Home::State::encode_commit(const Batch& batch, const CommitInput& input,
                                       WallTime now) const {
  const OpenBatch& open = *batch.open;
  std::string sources = SourceSets::joined(open.sources), retry = packed(open.retry.retry);
  spool::BatchCommit record = describe(batch, sources, retry);
  record.committed_at = now;
  record.accepted = open.appended - input.dropped.size();
  record.duplicates = input.duplicates;
  record.rejected = input.rejected;
  record.idempotency_key = open.idempotency_key;
  record.answer = input.answer;
  std::memcpy(record.digest.data(), input.digest.data(), record.digest.size());
  std::string dropped;
  uint32_t before = 0;
  for (uint32_t place : input.dropped) {
    ByteWriter(dropped).varint(place - before);
    before = place;
  }
  record.dropped = dropped;
  if (batch.message != nullptr) record.inline_content = open.inline_content;
  std::string bytes;
  spool::encode(record, bytes);
  return bytes;
}

void Home::State::commit(BatchHandle handle, CommitInput input,
                         std::move_only_function<void(Result<Committed, SubmitError>)> callback) {
  Batch& batch = open_batch(handle);
  OpenBatch& open = *batch.open;
  CHECK(input.dropped.size() <= open.appended);
  open.committing = true;
  try_commit(handle - 1, std::move(input), std::move(callback));
}

// Writes the commit, as soon as there is room for it: what a client sent for minutes is not thrown
// away because the disk is behind for a moment.
void Home::State::try_commit(
    Slot slot, CommitInput input,
    std::move_only_function<void(Result<Committed, SubmitError>)> callback) {
  Batch& batch = batches_[slot];
  if (closing_ || failed_) {
    // Also where it waited for room until the stop. After the next start it is nothing.
    later([callback = std::move(callback)]() mutable {
      callback(std::unexpected(SubmitError::failed));
    });
    return;
  }
  WallTime now = loop_.wall_now();
  uint64_t accepted = batch.open->appended - input.dropped.size();
  auto place = log_->append(spool::BatchCommit::kType, encode_commit(batch, input, now),
                            spool::Room::submission);
  if (!place && place.error() == spool::AppendError::no_room_yet) {
    log_->when_room([weak = std::weak_ptr<State*>(self_), slot,
                     input = std::make_shared<CommitInput>(std::move(input)),
                     callback = std::make_shared<decltype(callback)>(std::move(callback))] {
      auto self = weak.lock();
      if (self) (*self)->try_commit(slot, std::move(*input), std::move(*callback));
    });
    return;
  }
  if (!place) {
    SubmitError error = submit_error(place.error());
    if (place.error() == spool::AppendError::poisoned) fail();
    drop_batch(slot);
    later([error, callback = std::move(callback)]() mutable { callback(std::unexpected(error)); });
    return;
  }
  drop_entries(batch, input.dropped);
  batch.open->commit_written = true;
  batch.commit = *place;
  batch.committed_at = now;
  // Counted where the record is in the log: a snapshot behind it must say the same.
  Tally& campaign = campaigns_[batch.campaign].tally;
  batch.tally.accepted = accepted;
  batch.tally.duplicates = input.duplicates;
  batch.tally.rejected = input.rejected;
  campaign.accepted += accepted;
  campaign.duplicates += input.duplicates;
  campaign.rejected += input.rejected;
  std::weak_ptr<State*> weak = self_;
  auto synced = [weak, slot, accepted, callback = std::move(callback)](bool ok) mutable {
    if (auto self = weak.lock()) (*self)->on_committed(slot, ok, accepted, callback);
  };
  if (canary(Canary::success_before_fsync)) {
    return later([synced = std::move(synced)]() mutable { synced(true); });
  }
  log_->sync_soon(std::move(synced));
}

void Home::State::on_committed(
    Slot slot, bool ok, uint64_t accepted,
    std::move_only_function<void(Result<Committed, SubmitError>)>& callback) {
  Batch& batch = batches_[slot];
  CampaignAtHome& campaign = campaigns_[batch.campaign];
  if (!ok) {
    // Whether it is durable only the next start can tell; until then nothing of it is sent.
    fail();
    callback(std::unexpected(SubmitError::failed));
    return;
  }
  --open_batches_;
  --campaign.open_batches;
  EntryList entries = batch.open->entries;
  batch.open.reset();
  Committed committed{batch.id, batch.committed_at, accepted};
  if (!entries.empty()) {
    activations_[static_cast<size_t>(batch.mail_class)].push_back(entries);
    schedule_turn();
  } else {
    check_idle(batch.campaign);
    if (campaign.id == 0) ended_messages_.emplace_back(loop_.wall_now(), batch.id);
  }
  callback(committed);
}

}  // namespace postring::queue
