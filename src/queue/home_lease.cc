#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "base/mark.h"
#include "queue/home_state.h"

namespace postring::queue {

struct Home::State::PullOp {
  DestinationId destination;
  uint32_t messages = 0;
  uint64_t bytes = 0;
  std::move_only_function<void(Pulled)> callback;
  std::vector<Lease> leases;
  uint64_t bytes_taken = 0;
  uint32_t loading = 0;
  bool collected = false;
};

void Home::pull(DestinationId destination, uint32_t messages, uint64_t bytes,
                std::move_only_function<void(Pulled)> callback) {
  CHECK(destination.slice == state_->options_.slice);
  auto op = std::make_shared<State::PullOp>();
  op->destination = destination;
  op->messages = std::min(messages, kPullMessagesMax);
  op->bytes = bytes;
  op->callback = std::move(callback);
  state_->pull(std::move(op));
}

void Home::State::pull(std::shared_ptr<PullOp> op) {
  if (pulls_ended_ || failed_) {
    complete(op);
  } else if (can_pull()) {
    collect(op);
  } else {
    mark(Mark::pull_waited);
    waiting_pulls_.push_back(std::move(op));
    if (!may_end_more()) wait_for_room();
    say_hold();
  }
}

// While an outcome waits for room nothing more is sent: its own could wait, too.
bool Home::State::can_pull() const {
  return unsaved_.empty() && flights_.used() < kLeasesMax && may_end_more() && !closing_ &&
         !failed_;
}

// So many outcomes find room on what there is; a restart is all that takes from it.
uint64_t Home::State::endings_max() const {
  return log_->room_left(spool::Room::outcome) / kOutcomeBytesMax;
}

void Home::State::wait_for_room() {
  if (std::exchange(waits_for_room_, true)) return;
  log_->when_room([weak = std::weak_ptr<State*>(self_)] {
    auto self = weak.lock();
    if (!self) return;
    (*self)->waits_for_room_ = false;
    (*self)->retry_unsaved();
    (*self)->schedule_turn();
  });
}

// While it closes nothing is out that could be sent.
void Home::State::say_hold() {
  SpoolHold hold = SpoolHold::none;
  if (!unsaved_.empty()) {
    hold = SpoolHold::contents;
  } else if (!waiting_pulls_.empty() && !may_end_more()) {
    hold = SpoolHold::leases;
  }
  if (hold == hold_ || closing_) return;
  hold_ = hold;
  if (hold_sink_) hold_sink_(hold);
}

void Home::State::retry_pulls() {
  while (!waiting_pulls_.empty() && can_pull()) {
    std::shared_ptr<PullOp> op = std::move(waiting_pulls_.front());
    waiting_pulls_.pop_front();
    collect(op);
  }
  if (!waiting_pulls_.empty() && !may_end_more()) wait_for_room();
  say_hold();
}

// Who waits for a pull waits with its own end for it.
void Home::State::end_pulls() {
  pulls_ended_ = true;
  for (const auto& op : std::exchange(waiting_pulls_, {})) complete(op);
}

void Home::State::collect(const std::shared_ptr<PullOp>& op) {
  uint32_t number = op->destination.number;
  uint64_t most = endings_max();
  while (op->leases.size() < op->messages && flights_.used() < kLeasesMax &&
         flights_.used() + finishing_ < most) {
    if (!op->leases.empty() && op->bytes_taken >= op->bytes) break;
    if (number >= destinations_.end() ||
        destinations_.destination(number).generation != op->destination.generation) {
      break;
    }
    Slot flow_number = destinations_.next_flow(number);
    if (flow_number == kNoSlot) break;
    Flow& flow = destinations_.flow(flow_number);
    if (!campaigns_[flow.campaign].may_send) {
      destinations_.leave_ring(flow_number);
      park(flow_number);
      continue;
    }
    Slot slot = flow.entries.head;
    bool expired = recipients_[slot].expires_s <= now_s();
    if (expired && finishing_ >= kFinishingMax) break;
    destinations_.move_on(flow_number);
    take_out(slot);
    if (expired) {
      mark(Mark::expired_at_pull);
      finish(slot, Outcome::expired);
    } else {
      lease(op, slot);
    }
  }
  op->collected = true;
  if (op->loading == 0) complete(op);
}

void Home::State::lease(const std::shared_ptr<PullOp>& op, Slot slot) {
  Entry& entry = recipients_[slot];
  Batch& batch = batches_[entry.batch];
  entry.set_state(EntryState::leased);
  entry.next = flights_.take();
  ++batch.tally.in_flight;
  ++campaigns_[batch.campaign].tally.in_flight;
  op->bytes_taken += uint64_t{entry.size_units} * kSizeUnit;
  size_t index = op->leases.size();
  op->leases.emplace_back();
  ++op->loading;
  load(slot, [this, op, index, slot](const Loaded* loaded) { fill(op, index, slot, loaded); });
}

void Home::State::fill(const std::shared_ptr<PullOp>& op, size_t index, Slot slot,
                       const Loaded* loaded) {
  Entry& entry = recipients_[slot];
  Batch& batch = batches_[entry.batch];
  auto done = [this, op] {
    if (--op->loading == 0 && op->collected) complete(op);
  };
  if (loaded == nullptr) {
    settle_damaged(recipients_.id_of(slot));
    return done();
  }
  const spool::Recipient& record = loaded->recipient;
  Flight& flight = flights_[entry.next];
  flight.accepted_at = record.accepted_at;
  flight.base = loaded->base;
  flight.address_bytes = static_cast<uint32_t>(record.address.size());
  flight.ref_bytes = static_cast<uint32_t>(record.ref.size());
  flight.bytes.reserve(record.address.size() + record.ref.size() + record.meta.size());
  flight.bytes.append(record.address).append(record.ref).append(record.meta);

  Lease& lease = op->leases[index];
  lease.id = recipients_.id_of(slot);
  lease.campaign = record.campaign;
  lease.batch = record.batch;
  lease.tenant = record.tenant;
  lease.mail_class = record.mail_class;
  lease.attempt = entry.attempts + 1u;
  lease.accepted_at = record.accepted_at;
  lease.expires_at = record.expires_at;
  lease.address_bytes = static_cast<uint32_t>(record.address.size());
  lease.values_bytes = static_cast<uint32_t>(record.values.size());
  lease.bytes.reserve(record.address.size() + record.values.size());
  lease.bytes.append(record.address).append(record.values);
  if (batch.message == nullptr) {
    const CampaignInfo* info = campaign_states_.find(record.campaign);
    if (info != nullptr) lease.content = info->content;
    return done();
  }
  lease.content = batch.message->content;
  lease.shares_message = batch.tally.accepted > 1;
  if (!batch.message->has_inline_content) return done();
  load_commit(batch.id, [this, op, index, done](const spool::BatchCommit* commit) {
    Lease& waiting = op->leases[index];
    if (commit != nullptr && commit->inline_content != spool::kLostContent) {
      waiting.bytes.append(commit->inline_content);
    } else {
      settle_damaged(std::exchange(waiting.id, 0));
    }
    done();
  });
}

// Nobody can read to whom it goes, or what: said as a bounce, and the lease never leaves here.
void Home::State::settle_damaged(RecipientId id) {
  mark(Mark::damaged_ended);
  Report report;
  report.outcome = Outcome::bounced;
  report.reply.text = "the spool's record of this recipient is damaged";
  settle(id, std::move(report));
}

void Home::State::complete(const std::shared_ptr<PullOp>& op) {
  later([this, op] {
    Pulled pulled;
    pulled.leases = std::move(op->leases);
    std::erase_if(pulled.leases, [](const Lease& lease) { return lease.id == 0; });
    // Decided at the very moment it is said: an offer that comes later is a new one.
    uint32_t number = op->destination.number;
    if (number < destinations_.end()) {
      Destination& destination = destinations_.destination(number);
      if (destination.generation == op->destination.generation) {
        pulled.more = destinations_.has_ready(number);
        destination.offered = pulled.more;
        destination.hurried = destination.hurried && destination.rings[0] != kNoSlot;
      }
    }
    op->callback(std::move(pulled));
  });
}

Slot Home::State::leased_slot(RecipientId id) const {
  Slot slot = recipients_.find(id);
  CHECK(slot != kNoSlot, "a lease of a recipient that does not live here");
  CHECK(recipients_[slot].state() == EntryState::leased, "the recipient is not leased");
  CHECK(!recipients_[slot].has(kEntryUnsaved), "the lease was settled before");
  return slot;
}

EventFacts Home::State::facts_of_flight(Slot slot) const {
  const Entry& entry = recipients_[slot];
  const Batch& batch = batches_[entry.batch];
  const Flight& flight = flights_[entry.next];
  std::string_view bytes = flight.bytes;
  EventFacts facts;
  facts.queued = flight.accepted_at;
  facts.tenant = batch.tenant;
  facts.campaign = campaigns_[batch.campaign].id;
  facts.batch = batch.id;
  facts.recipient = recipients_.id_of(slot);
  facts.address = bytes.substr(0, flight.address_bytes);
  facts.ref = bytes.substr(flight.address_bytes, flight.ref_bytes);
  facts.meta = bytes.substr(flight.address_bytes + flight.ref_bytes);
  facts.mail_class = destinations_.flow(entry.flow).mail_class;
  return facts;
}

void Home::State::settle(RecipientId id, Report report) {
  if (closing_) return;  // the log takes nothing more: after the next start it waits again
  Slot slot = leased_slot(id);
  Entry& entry = recipients_[slot];
  CHECK(report.outcome != Outcome::cancelled, "what is cancelled is given back");
  if (report.outcome == Outcome::deferred && report.not_an_attempt) {
    if (report.possible_duplicate) entry.set(kEntryPossibleDuplicate);
    end_flight(slot);
    entry.due_s = seconds_up(steady_now() + report.retry_after);
    entry.set(kEntryTried);
    place(slot);
    retry_pulls();
    return;
  }
  if (report.possible_duplicate) entry.set(kEntryPossibleDuplicate);
  Ending ending;
  ending.slot = slot;
  ending.base = flights_[entry.next].base;
  ending.facts = facts_of_flight(slot);
  EventFacts& facts = ending.facts;
  facts.outcome = report.outcome;
  facts.attempt = entry.attempts + (report.outcome == Outcome::expired ? 0u : 1u);
  facts.stage = report.stage;
  facts.reply = std::move(report.reply);
  facts.source = std::move(report.source);
  facts.remote_host = std::move(report.remote_host);
  facts.remote_address = std::move(report.remote_address);
  facts.bytes = report.bytes;
  facts.duration = report.duration;
  facts.possible_duplicate = entry.has(kEntryPossibleDuplicate);
  if (report.outcome == Outcome::deferred) {
    const Batch& batch = batches_[entry.batch];
    ending.wait = policies_.wait_after(facts.attempt, destinations_.of_flow(entry.flow).domain,
                                       retry_of(batch), loop_.random());
    ending.wait = std::max(ending.wait, report.retry_after);
  }
  save(std::move(ending));
}

void Home::State::give_back(RecipientId id) {
  if (closing_ || canary(Canary::lease_not_returned)) return;
  mark(Mark::lease_given_back);
  Slot slot = leased_slot(id);
  end_flight(slot);
  const Entry& entry = recipients_[slot];
  bool cancelled = campaigns_[batches_[entry.batch].campaign].cancelled || entry.has(kEntryErased);
  if (cancelled || entry.expires_s <= now_s()) {
    place(slot);
  } else {
    // It was first before, and is again.
    make_ready(slot, true);
  }
  retry_pulls();
}

// The lease is over: the entry waits again, in no list.
void Home::State::end_flight(Slot slot) {
  Entry& entry = recipients_[slot];
  Batch& batch = batches_[entry.batch];
  flights_.give(entry.next);
  entry.next = kNoSlot;
  CHECK(batch.tally.in_flight > 0);
  --batch.tally.in_flight;
  --campaigns_[batch.campaign].tally.in_flight;
}

}  // namespace postring::queue
