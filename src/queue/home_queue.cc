#include <algorithm>

#include "base/canary.h"
#include "queue/home_state.h"

namespace postring::queue {

// Decides where an entry that is in no list goes.
void Home::State::place(Slot slot) {
  const Entry& entry = recipients_[slot];
  bool cancelled = campaigns_[batches_[entry.batch].campaign].cancelled || entry.has(kEntryErased);
  if (cancelled) return finish(slot, Outcome::cancelled);
  if (entry.expires_s <= now_s()) return finish(slot, Outcome::expired);
  enqueue(slot);
}

void Home::State::enqueue(Slot slot) {
  Entry& entry = recipients_[slot];
  uint32_t now = entry.has(kEntryTried) ? steady_s() : now_s();
  if (entry.due_s <= now) return make_ready(slot, false);
  entry.set_state(EntryState::due);
  due_of(entry).add(slot);
  arm_due();
}

void Home::State::make_ready(Slot slot, bool front) {
  Entry& entry = recipients_[slot];
  entry.set_state(EntryState::ready);
  ++ready_;
  Flow& flow = destinations_.flow(entry.flow);
  if (front) {
    recipients_.push_front(flow.entries, slot);
  } else {
    recipients_.push_back(flow.entries, slot);
  }
  if (flow.place == FlowPlace::aside) {
    if (!campaigns_[flow.campaign].may_send) return park(entry.flow);
    destinations_.enter_ring(entry.flow);
  }
  if (flow.place == FlowPlace::ring) announce(flow.destination);
}

void Home::State::park(uint32_t number) {
  Flow& flow = destinations_.flow(number);
  CampaignAtHome& campaign = campaigns_[flow.campaign];
  CHECK(flow.place == FlowPlace::aside);
  flow.place = FlowPlace::parked;
  flow.ring_prev = kNoSlot;
  flow.ring_next = campaign.parked;
  if (campaign.parked != kNoSlot) destinations_.flow(campaign.parked).ring_prev = number;
  campaign.parked = number;
}

void Home::State::leave_parked(uint32_t number) {
  Flow& flow = destinations_.flow(number);
  CHECK(flow.place == FlowPlace::parked);
  flow.place = FlowPlace::aside;
  Slot& head = campaigns_[flow.campaign].parked;
  (flow.ring_prev == kNoSlot ? head : destinations_.flow(flow.ring_prev).ring_next) =
      flow.ring_next;
  if (flow.ring_next != kNoSlot) destinations_.flow(flow.ring_next).ring_prev = flow.ring_prev;
  flow.ring_next = flow.ring_prev = kNoSlot;
}

void Home::State::take_out(Slot slot) {
  Entry& entry = recipients_[slot];
  if (entry.state() == EntryState::due) {
    due_of(entry).remove(slot);
    return;
  }
  CHECK(entry.state() == EntryState::ready);
  --ready_;
  Flow& flow = destinations_.flow(entry.flow);
  recipients_.unlink(flow.entries, slot);
  if (!flow.entries.empty()) return;
  if (flow.place == FlowPlace::ring) destinations_.leave_ring(entry.flow);
  if (flow.place == FlowPlace::parked) leave_parked(entry.flow);
}

void Home::State::remove(Slot slot) {
  const Entry& entry = recipients_[slot];
  // What follows from the entries is made of those that are left, when all is read.
  if (recovering_) return recipients_.remove(slot);
  auto segment = live_in_segment_.find(entry.base_segment);
  CHECK(segment != live_in_segment_.end() && segment->second > 0);
  if (--segment->second == 0) live_in_segment_.erase(segment);
  live_units_ -= entry.size_units;
  if (entry.has(kEntryErased)) {
    CHECK(erased_live_ > 0);
    --erased_live_;
    erase_pass_wanted_ = true;
    schedule_turn();
  }
  destinations_.release_flow(entry.flow);
  recipients_.remove(slot);
}

// ---- offers ------------------------------------------------------------------------------------

void Home::State::announce(uint32_t number) {
  Destination& destination = destinations_.destination(number);
  if (destination.announced) return;
  bool transactional = destination.rings[0] != kNoSlot;
  if (destination.offered && (!transactional || destination.hurried)) return;
  destination.announced = true;
  announced_.push_back(number);
  schedule_turn();
}

void Home::State::send_offers() {
  if (!started_ || !offer_sink_ || closing_ || failed_) return;
  // What these bring about waits for the next turn.
  for (size_t left = std::min<size_t>(announced_.size(), kOffersPerTurn); left > 0; --left) {
    uint32_t number = announced_.front();
    announced_.pop_front();
    if (!destinations_.end_announcement(number)) continue;
    if (!destinations_.has_ready(number)) continue;
    Destination& destination = destinations_.destination(number);
    bool transactional = destination.rings[0] != kNoSlot;
    if (destination.offered && (!transactional || destination.hurried)) continue;
    destination.offered = true;
    destination.hurried = transactional;
    offer_sink_({{options_.slice, number, destination.generation},
                 destination.domain,
                 source_sets_.names(destination.sources),
                 transactional});
  }
  if (!announced_.empty()) schedule_turn();
}

// ---- what comes into the queues each turn ------------------------------------------------------

void Home::State::arm_due() {
  if (!started_) return;
  auto arm = [this](const DueTimes& due, WallTime now) {
    if (due.next_s() == kNeverSeconds) return;
    Duration wait = WallTime::from_seconds(due.next_s()) - now;
    Instant when = loop_.now() + std::max(wait, Duration{});
    if (due_timer_.armed() && due_timer_.when() <= when) return;
    loop_.timers().arm(due_timer_, when);
  };
  arm(not_before_, loop_.wall_now());
  arm(retries_, steady_now());
}

// Those of which the first one's time has come; null: of neither.
DueTimes* Home::State::next_due() {
  if (retries_.next_s() <= steady_s()) return &retries_;
  return not_before_.next_s() <= now_s() ? &not_before_ : nullptr;
}

bool Home::State::fire_due() {
  for (uint32_t n = 0; n < kDuePerTurn; ++n) {
    DueTimes* due = next_due();
    if (due == nullptr) {
      arm_due();
      return false;
    }
    // It may be over; housekeeping comes back to it.
    if (!may_end_more()) return false;
    Slot slot = due->first();
    due->remove(slot);
    place(slot);
  }
  return true;
}

bool Home::State::activate() {
  uint32_t left = kActivationsPerTurn;
  for (auto& queue : activations_) {
    while (!queue.empty()) {
      if (left == 0) return true;
      --left;
      EntryList& list = queue.front();
      Slot slot = list.head;
      list.head = recipients_[slot].next;
      if (list.head == kNoSlot) queue.pop_front();
      place(slot);
    }
  }
  return false;
}

bool Home::State::unpark() {
  uint32_t left = kActivationsPerTurn;
  while (!unparking_.empty()) {
    CampaignAtHome& campaign = campaigns_[unparking_.front()];
    if (!campaign.may_send || campaign.parked == kNoSlot) {
      campaign.unparking = false;
      unparking_.pop_front();
      continue;
    }
    if (left == 0) return true;
    --left;
    uint32_t flow = campaign.parked;
    leave_parked(flow);
    destinations_.enter_ring(flow);
    announce(destinations_.flow(flow).destination);
  }
  return false;
}

// ---- deadlines and cancelled campaigns ---------------------------------------------------------

void Home::State::begin_sweep(bool whole) {
  schedule_turn();
  if (sweeping_) {
    sweep_again_ = sweep_again_ || whole;
    return;
  }
  sweeping_ = true;
  sweep_whole_ = whole;
  sweep_at_ = 0;
}

bool Home::State::sweep() {
  uint32_t left = kPagesPerTurn;
  while (sweeping_) {
    if (sweep_at_ >= recipients_.page_count()) {
      sweeping_ = false;
      if (std::exchange(sweep_again_, false)) begin_sweep(true);
      continue;
    }
    if (!sweep_whole_ && recipients_.page_expiry(sweep_at_) > now_s()) {
      ++sweep_at_;
      continue;
    }
    if (left == 0) return true;
    --left;
    // Full of unfinished endings: one of them, when it is written, comes back here.
    if (!sweep_page(sweep_at_)) return false;
    ++sweep_at_;
  }
  return false;
}

bool Home::State::sweep_page(uint32_t page) {
  uint32_t earliest = kNeverSeconds;
  Slot end = std::min<Slot>((page + 1) * kEntriesPerPage, recipients_.end());
  for (Slot slot = page * kEntriesPerPage; slot < end; ++slot) {
    const Entry& entry = recipients_[slot];
    if (entry.state() == EntryState::free) continue;
    earliest = std::min(earliest, entry.expires_s);
    if (entry.state() != EntryState::ready && entry.state() != EntryState::due) continue;
    const CampaignAtHome& campaign = campaigns_[batches_[entry.batch].campaign];
    bool cancelled = campaign.cancelled;
    if (!cancelled && entry.expires_s > now_s()) continue;
    if (canary(Canary::expiry_skipped_while_paused) && !campaign.may_send && !cancelled) continue;
    if (finishing_ >= kFinishingMax || !unsaved_.empty()) return false;
    if (!may_end_more()) {
      wait_for_room();
      return false;
    }
    take_out(slot);
    finish(slot, cancelled ? Outcome::cancelled : Outcome::expired);
  }
  recipients_.set_page_expiry(page, earliest);
  return true;
}

// Ends an entry that is in no list without an attempt.
void Home::State::finish(Slot slot, Outcome outcome) {
  recipients_[slot].set_state(EntryState::finishing);
  ++finishing_;
  load(slot, [this, slot, outcome](const Loaded* loaded) {
    const Entry& entry = recipients_[slot];
    const Batch& batch = batches_[entry.batch];
    Ending ending;
    ending.slot = slot;
    EventFacts& facts = ending.facts;
    facts.outcome = outcome;
    facts.recipient = recipients_.id_of(slot);
    facts.batch = batch.id;
    facts.campaign = campaigns_[batch.campaign].id;
    facts.tenant = batch.tenant;
    facts.mail_class = destinations_.flow(entry.flow).mail_class;
    facts.attempt = entry.attempts;
    facts.possible_duplicate = entry.has(kEntryPossibleDuplicate);
    if (loaded != nullptr) {
      ending.base = loaded->base;
      facts.queued = loaded->recipient.accepted_at;
      facts.address = loaded->recipient.address;
      facts.ref = loaded->recipient.ref;
      facts.meta = loaded->recipient.meta;
      facts.reply.code = loaded->reply.code;
      std::copy(loaded->reply.enhanced.begin(), loaded->reply.enhanced.end(),
                facts.reply.enhanced);
      facts.reply.text = loaded->reply.text;
      facts.source = loaded->last_source;
    }
    save(std::move(ending));
  });
}

// ---- once a second -----------------------------------------------------------------------------

void Home::State::housekeeping() {
  if (closing_ || failed_) return;
  loop_.timers().arm(housekeeping_timer_, loop_.now() + kHousekeeping);
  arm_due();
  if (loop_.now() >= next_sweep_) {
    next_sweep_ = loop_.now() + kExpirySweep;
    begin_sweep(false);
  }
  if (loop_.now() >= next_forget_) {
    next_forget_ = loop_.now() + kForgetting;
    forget_old();
  }
  if (events_blocked_ || !erasures_.empty()) schedule_turn();
  end_told_waits();
  begin_erase_pass();
  reclaim();
}

// Batches go when their campaign ended long ago (or is not known any more), and those of messages
// without a campaign soon after they are done.
void Home::State::forget_old() {
  WallTime now = loop_.wall_now();
  while (!ended_messages_.empty() &&
         (ended_messages_.size() > kMessageBatchesKeptMax ||
          now - ended_messages_.front().first > kMessageBatchKept)) {
    auto known = batch_slots_.find(ended_messages_.front().second);
    if (known != batch_slots_.end()) forget_batch(known->second);
    ended_messages_.pop_front();
  }
  for (auto at = batch_slots_.begin(); at != batch_slots_.end();) {
    Slot slot = (at++)->second;
    const Batch& batch = batches_[slot];
    CampaignId id = campaigns_[batch.campaign].id;
    if (id == 0 || batch.open != nullptr || batch.tally.live() > 0) continue;
    const CampaignInfo* info = campaign_states_.find(id);
    bool old = info == nullptr || (info->ended() && now - info->ended_at > options_.kept);
    if (old) forget_batch(slot);
  }
  for (auto at = campaign_numbers_.begin(); at != campaign_numbers_.end();) {
    uint32_t number = (at++)->second;
    const CampaignAtHome& campaign = campaigns_[number];
    if (campaign.batches > 0 || campaign.tally.live() > 0) continue;
    if (campaign_states_.find(campaign.id) == nullptr) release_campaign(number);
  }
}

}  // namespace postring::queue
