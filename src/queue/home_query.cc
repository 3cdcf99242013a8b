#include <algorithm>

#include "queue/home_state.h"

namespace postring::queue {

// ---- records -----------------------------------------------------------------------------------

bool Home::State::decode_loaded(const spool::RecordView& base, std::string_view outcome,
                                Loaded& loaded) {
  loaded = {};
  loaded.base = base.position;
  if (base.type == spool::Recipient::kType) {
    if (!decode(base.payload, loaded.recipient)) return false;
  } else {
    spool::Folded folded;
    if (base.type != spool::Folded::kType || !decode(base.payload, folded)) return false;
    loaded.recipient = folded.recipient;
    loaded.stage = folded.stage;
    loaded.reply = folded.reply;
    loaded.last_source = folded.last_source;
    loaded.last_attempt = folded.last_attempt;
    loaded.next_attempt = folded.next_attempt;
  }
  if (outcome.empty()) return true;
  spool::OutcomeRecord record;
  if (!decode(outcome, record)) return false;
  loaded.stage = record.stage;
  loaded.reply = record.reply;
  if (!record.source.empty()) loaded.last_source = record.source;
  loaded.last_attempt = record.logged_at;
  loaded.next_attempt = record.next_attempt;
  return true;
}

// `outcome` is the payload of the outcome that counts, empty for none.
void Home::State::load_base(spool::Position base, std::string outcome, LoadCallback callback) {
  auto use = [outcome = std::move(outcome), callback = std::move(callback)](
                 std::optional<spool::RecordView> view) mutable {
    Loaded loaded;
    bool good = view && decode_loaded(*view, outcome, loaded);
    callback(good ? &loaded : nullptr);
  };
  if (log_->is_warm(base)) {
    use(log_->read(base));
  } else {
    log_->read_async(base, std::move(use));
  }
}

// Reclaim may copy the recipient forward while it is read: then it is read again from where it lies
// now, since what was read, or its place, is about to go.
void Home::State::load(Slot slot, LoadCallback callback) {
  RecipientId id = recipients_.id_of(slot);
  spool::Position place = recipients_[slot].place();
  load_once(slot, [this, slot, id, place, callback = std::move(callback)](
                      const Loaded* loaded) mutable {
    bool moved = recipients_.find(id) == slot && recipients_[slot].place() != place;
    if (moved) return load(slot, std::move(callback));
    callback(loaded);
  });
}

void Home::State::load_once(Slot slot, LoadCallback callback) {
  const Entry& entry = recipients_[slot];
  spool::Position place = entry.place();
  if (!entry.has(kEntryHasOutcome)) return load_base(place, {}, std::move(callback));
  auto use = [this, callback = std::move(callback)](
                 std::optional<spool::RecordView> view) mutable {
    spool::OutcomeRecord record;
    if (!view || view->type != spool::OutcomeRecord::kType || !decode(view->payload, record)) {
      return callback(nullptr);
    }
    load_base(record.recipient, std::string(view->payload), std::move(callback));
  };
  if (log_->is_warm(place)) {
    use(log_->read(place));
  } else {
    log_->read_async(place, std::move(use));
  }
}

// ---- what is asked about recipients ------------------------------------------------------------

// As the wall clock will show it, if it does not jump any more.
WallTime Home::State::next_attempt_of(const Entry& entry) const {
  WallTime due = WallTime::from_seconds(entry.due_s);
  if (!entry.has(kEntryTried)) return due;
  // In whole seconds: the two clocks are not read at the same moment.
  Duration jumped = loop_.wall_now() - steady_now();
  Duration half = Duration::milliseconds(jumped < Duration{} ? -500 : 500);
  return due + Duration::seconds((jumped + half).whole_seconds());
}

RecipientStatus Home::State::status_of(Slot slot, const Loaded& loaded) const {
  const Entry& entry = recipients_[slot];
  const Batch& batch = batches_[entry.batch];
  const CampaignAtHome& campaign = campaigns_[batch.campaign];
  const Flow& flow = destinations_.flow(entry.flow);
  RecipientStatus status;
  status.id = recipients_.id_of(slot);
  status.campaign = campaign.id;
  status.batch = batch.id;
  status.tenant = batch.tenant;
  bool erased = entry.has(kEntryErased);
  if (!erased) {
    status.address = loaded.recipient.address;
    status.ref = loaded.recipient.ref;
    status.meta = loaded.recipient.meta;
    status.reply.text = loaded.reply.text;
  }
  status.mail_class = loaded.recipient.mail_class;
  status.in_flight = entry.state() == EntryState::leased;
  status.destination = {options_.slice, flow.destination,
                        destinations_.destination(flow.destination).generation};
  status.attempts = entry.attempts;
  status.accepted_at = loaded.recipient.accepted_at;
  status.expires_at = loaded.recipient.expires_at;
  if (entry.state() == EntryState::due) {
    status.next_attempt_at = next_attempt_of(entry);
  }
  status.stage = loaded.stage;
  status.reply.code = loaded.reply.code;
  std::copy(loaded.reply.enhanced.begin(), loaded.reply.enhanced.end(), status.reply.enhanced);
  status.source = loaded.last_source.empty() ? loaded.recipient.source : loaded.last_source;
  const CampaignInfo* info = campaign_states_.find(campaign.id);
  if (status.in_flight) {
    status.hold = Hold::none;
  } else if (entry.state() == EntryState::finishing || campaign.cancelled || erased) {
    status.hold = Hold::ending;
  } else if (info != nullptr && info->state == CampaignState::loading) {
    status.hold = Hold::not_started;
  } else if (info != nullptr && info->state == CampaignState::scheduled) {
    status.hold = Hold::scheduled;
  } else if (!campaign.may_send) {
    status.hold = Hold::paused;
  } else if (entry.state() == EntryState::due) {
    status.hold = entry.has(kEntryTried) ? Hold::retry : Hold::not_before;
  } else if (hold_ != SpoolHold::none) {
    status.hold = Hold::disk_full;
  } else {
    status.hold = Hold::ready;
  }
  return status;
}

// The statuses of those that still live when their records are there, in the order of `slots`.
void Home::State::load_statuses(
    std::vector<Slot> slots,
    std::move_only_function<void(std::vector<RecipientStatus>)> callback) {
  struct Op {
    std::vector<std::optional<RecipientStatus>> statuses;
    std::move_only_function<void(std::vector<RecipientStatus>)> callback;
    size_t loading = 0;
  };
  auto op = std::make_shared<Op>();
  op->statuses.resize(slots.size());
  op->callback = std::move(callback);
  op->loading = slots.size() + 1;
  auto done = [this, op] {
    if (--op->loading > 0) return;
    later([op] {
      std::vector<RecipientStatus> found;
      for (auto& status : op->statuses) {
        if (status) found.push_back(std::move(*status));
      }
      op->callback(std::move(found));
    });
  };
  for (size_t i = 0; i < slots.size(); ++i) {
    Slot slot = slots[i];
    RecipientId id = recipients_.id_of(slot);
    load(slot, [this, op, done, i, slot, id](const Loaded* loaded) {
      if (loaded != nullptr && loaded->recipient.id == id && recipients_.find(id) == slot) {
        op->statuses[i] = status_of(slot, *loaded);
      }
      done();
    });
  }
  done();
}

void Home::State::find(std::string address, uint32_t limit,
                       std::move_only_function<void(std::vector<RecipientStatus>)> callback) {
  std::vector<Slot> slots = recipients_.find_address(address, limit);
  std::erase_if(slots, [this](Slot slot) { return !is_live(recipients_[slot]); });
  load_statuses(std::move(slots), [address = std::move(address), callback = std::move(callback)](
                                      std::vector<RecipientStatus> found) mutable {
    std::erase_if(found, [&](const RecipientStatus& status) { return status.address != address; });
    callback(std::move(found));
  });
}

struct Home::State::ListOp {
  CampaignId campaign = 0;
  std::optional<bool> in_flight;
  Slot at = 0;
  uint32_t limit = 0;
  std::vector<Slot> slots;
  std::move_only_function<void(StatusPage)> callback;
};

void Home::list(CampaignId campaign, std::optional<bool> in_flight, uint64_t after, uint32_t limit,
                std::move_only_function<void(StatusPage)> callback) {
  auto op = std::make_shared<State::ListOp>();
  op->campaign = campaign;
  op->in_flight = in_flight;
  op->at = static_cast<Slot>(std::min<uint64_t>(after, kNoSlot));
  op->limit = std::max(limit, 1u);
  op->callback = std::move(callback);
  state_->lists_.push_back(std::move(op));
  state_->schedule_turn();
}

// As load(): where reclaim copies it forward meanwhile, it is read again.
void Home::State::load_commit(BatchId id, CommitCallback callback) {
  auto known = batch_slots_.find(id);
  if (known == batch_slots_.end()) return callback(nullptr);
  spool::Position place = batches_[known->second].commit;
  auto use = [this, id, place, callback = std::move(callback)](
                 std::optional<spool::RecordView> view) mutable {
    auto still = batch_slots_.find(id);
    bool moved = still != batch_slots_.end() && batches_[still->second].commit != place;
    if (moved) return load_commit(id, std::move(callback));
    spool::BatchCommit commit;
    bool good = view && view->type == spool::BatchCommit::kType && decode(view->payload, commit);
    callback(good ? &commit : nullptr);
  };
  if (log_->is_warm(place)) {
    use(log_->read(place));
  } else {
    log_->read_async(place, std::move(use));
  }
}

void Home::answer(BatchId id,
                  std::move_only_function<void(std::optional<std::string>)> callback) {
  // The callback is called in a later turn.
  state_->later([state = state_.get(), id, callback = std::move(callback)]() mutable {
    auto known = state->batch_slots_.find(id);
    if (known == state->batch_slots_.end() || state->batches_[known->second].open != nullptr) {
      return callback(std::nullopt);
    }
    state->load_commit(id, [callback = std::move(callback)](
                               const spool::BatchCommit* commit) mutable {
      if (commit == nullptr) return callback(std::nullopt);
      callback(std::string(commit->answer));
    });
  });
}

bool Home::State::run_lists() {
  uint32_t left = kListedPerTurn;
  while (!lists_.empty()) {
    ListOp& op = *lists_.front();
    while (op.at < recipients_.end() && op.slots.size() < op.limit) {
      if (left == 0) return true;
      --left;
      Slot slot = op.at++;
      const Entry& entry = recipients_[slot];
      if (!is_live(entry)) continue;
      if (campaigns_[batches_[entry.batch].campaign].id != op.campaign) continue;
      if (op.in_flight && *op.in_flight != (entry.state() == EntryState::leased)) continue;
      op.slots.push_back(slot);
    }
    std::shared_ptr<ListOp> done = std::move(lists_.front());
    lists_.pop_front();
    uint64_t next = done->at < recipients_.end() ? done->at : 0;
    load_statuses(std::move(done->slots),
                  [next, done](std::vector<RecipientStatus> found) mutable {
                    done->callback({std::move(found), next});
                  });
  }
  return false;
}

bool Home::State::run_retries() {
  uint32_t left = kListedPerTurn;
  while (!retry_asks_.empty()) {
    RetryOp& op = retry_asks_.front();
    for (; op.at < recipients_.end(); ++op.at) {
      if (left == 0) return true;
      --left;
      Entry& entry = recipients_[op.at];
      if (entry.state() != EntryState::due || !entry.has(kEntryTried)) continue;
      if (destinations_.of_flow(entry.flow).domain != op.domain) continue;
      retries_.remove(op.at);
      entry.due_s = 0;
      place(op.at);
      ++op.count;
    }
    RetryOp done = std::move(retry_asks_.front());
    retry_asks_.pop_front();
    done.callback(done.count);
  }
  return false;
}

}  // namespace postring::queue
