#include <algorithm>

#include "base/bytes.h"
#include "queue/home_state.h"

// Erasing an address:
//
//   1. its live recipients are found by the index and their records; what waits is cancelled, what
//      is leased is marked and cancelled when it would wait again;
//   2. when those outcomes are durable, it is answered;
//   3. the tail segment is closed and everything up to it reclaimed, so that no record is left that
//      names the address. What was in flight is copied forward meanwhile: when it has ended, this
//      is done again.

namespace postring::queue {
namespace {

constexpr size_t kErasuresReadAtOnce = 64;
// Reclaiming everything copies all that lives: where that is much, not more often than this.
constexpr uint64_t kCheapPassBytes = 64u << 20;
constexpr Duration kErasePassEvery = Duration::hours(1);

}  // namespace

struct Home::State::EraseOp {
  std::string address;
  TenantId tenant = 0;
  RecipientId end = 0;
  std::vector<RecipientId> found;  // may be of the address: its hash is
  size_t at = 0;
  size_t loading = 0;
  std::vector<RecipientId> ending;  // whose outcome is being written
  Erased erased;
  bool syncing = false;
  std::move_only_function<void(std::optional<Erased>)> callback;
};

RecipientId Home::next_id() const {
  return make_recipient_id(state_->options_.slice, state_->next_counter_);
}

void Home::erase(std::string address, TenantId tenant, RecipientId end,
                 std::move_only_function<void(std::optional<Erased>)> callback) {
  auto op = std::make_shared<State::EraseOp>();
  for (Slot slot : state_->recipients_.find_address(address, UINT32_MAX)) {
    op->found.push_back(state_->recipients_.id_of(slot));
  }
  state_->next_counter_ = std::max(state_->next_counter_, end & kCounterMask);
  op->address = std::move(address);
  op->tenant = tenant;
  op->end = end;
  op->callback = std::move(callback);
  state_->erasures_.push_back(std::move(op));
  state_->schedule_turn();
}

bool Home::is_erasing() const { return state_->is_erasing(); }

bool Home::State::is_erasing() const {
  if (!erasures_.empty() || erased_live_ > 0 || erase_pass_wanted_) return true;
  auto oldest = log_->oldest();
  return oldest && oldest->sequence <= erase_through_;
}

// One after the other. True: more next turn.
bool Home::State::run_erasures() {
  if (!started_) return false;
  while (!erasures_.empty()) {
    std::shared_ptr<EraseOp> op = erasures_.front();
    if (closing_ || failed_) {
      end_erasure(std::nullopt);
      continue;
    }
    while (op->at < op->found.size() && op->loading < kErasuresReadAtOnce) {
      if (finishing_ >= kFinishingMax || !unsaved_.empty()) return false;
      judge_erased(op, op->found[op->at++]);
    }
    if (op->at < op->found.size() || op->loading > 0) return false;
    std::erase_if(op->ending,
                  [this](RecipientId id) { return recipients_.find(id) == kNoSlot; });
    if (!op->ending.empty()) return false;
    if (op->syncing) return false;
    op->syncing = true;
    log_->sync_soon([weak = std::weak_ptr<State*>(self_), op](bool ok) {
      auto self = weak.lock();
      if (!self || op->callback == nullptr) return;
      if (!ok) return (*self)->fail();
      (*self)->erase_pass_wanted_ = true;
      (*self)->end_erasure(op->erased);
    });
    return false;
  }
  return false;
}

void Home::State::end_erasure(std::optional<Erased> erased) {
  std::shared_ptr<EraseOp> op = std::move(erasures_.front());
  erasures_.pop_front();
  later([callback = std::exchange(op->callback, nullptr), erased]() mutable { callback(erased); });
}

void Home::State::judge_erased(const std::shared_ptr<EraseOp>& op, RecipientId id) {
  Slot slot = recipients_.find(id);
  if (slot == kNoSlot) return;
  ++op->loading;
  load(slot, [this, op, id](const Loaded* loaded) {
    --op->loading;
    schedule_turn();
    Slot at = recipients_.find(id);
    if (at == kNoSlot || loaded == nullptr) return;
    const spool::Recipient& recipient = loaded->recipient;
    bool meant = recipient.address == op->address && recipient.id < op->end &&
                 (op->tenant == 0 || recipient.tenant == op->tenant);
    if (meant && !closing_ && !failed_) mark_erased(*op, at);
  });
}

void Home::State::mark_erased(EraseOp& op, Slot slot) {
  Entry& entry = recipients_[slot];
  if (!entry.has(kEntryErased)) ++erased_live_;
  entry.set(kEntryErased);
  switch (entry.state()) {
    case EntryState::free: break;
    case EntryState::staged:
      // Of a batch that is still coming in: place() ends it where it is committed.
      if (batches_[entry.batch].open != nullptr) break;
      [[fallthrough]];
    case EntryState::finishing:
      ++op.erased.cancelled;
      op.ending.push_back(recipients_.id_of(slot));
      break;
    case EntryState::leased: ++op.erased.in_flight; break;
    case EntryState::ready:
    case EntryState::due:
      ++op.erased.cancelled;
      op.ending.push_back(recipients_.id_of(slot));
      take_out(slot);
      finish(slot, Outcome::cancelled);
      break;
  }
}

std::string Home::State::next_ids() const {
  std::string next;
  ByteWriter(next).varint(next_counter_);
  ByteWriter(next).varint(next_batch_);
  std::string payload;
  spool::encode(spool::Entry{kNextIdsKey, next}, payload);
  return payload;
}

// Closes the tail segment: from here on everything up to it is reclaimed.
void Home::State::begin_erase_pass() {
  if (!erase_pass_wanted_ || !erasures_.empty() || reclaiming_ || log_->disk_full()) return;
  auto oldest = log_->oldest();
  if (oldest && oldest->sequence <= erase_through_) return;
  bool cheap = live_units_ * kSizeUnit <= kCheapPassBytes;
  if (!cheap && loop_.now() < next_erase_pass_) return;
  if (!log_->roll()) return;
  // The segment behind must have a record, or the one before it counts as the tail.
  auto place = log_->append(spool::Entry::kType, next_ids(), spool::Room::reclaim);
  if (!place) return;
  erase_pass_wanted_ = false;
  erase_through_ = place->segment - 1;
  next_erase_pass_ = loop_.now() + kErasePassEvery;
}

}  // namespace postring::queue
