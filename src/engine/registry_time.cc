#include <algorithm>

#include "base/bytes.h"
#include "base/mark.h"
#include "engine/registry_state.h"
#include "mail/id_text.h"

namespace postring::engine {
namespace {

using queue::CampaignInfo;
using queue::CampaignState;

constexpr size_t kAnswersForgottenPerLook = 20'000;

std::string event_key(CampaignId id) { return "event/" + mail::id_text(id); }

}  // namespace

// ---- completion --------------------------------------------------------------------------------

void Registry::State::consider_complete(CampaignId id) {
  auto known = campaigns_.find(id);
  if (!started_ || closing_ || known == campaigns_.end() || !ask_idle_) return;
  const CampaignInfo& info = known->second;
  if (!info.closed || info.ended()) return;
  CampaignWork& work = work_of(id);
  if (!work.admissions.empty()) return;  // the last one's end comes back here
  if (work.asking) {
    work.ask_again = true;
    return;
  }
  work.asking = true;
  work.ask_again = false;
  ask_idle_(id, [this, weak = std::weak_ptr<State*>(self_), id](bool idle) {
    if (!weak.expired()) asked(id, idle);
  });
}

void Registry::State::asked(CampaignId id, bool idle) {
  CampaignWork& work = work_of(id);
  work.asking = false;
  auto known = campaigns_.find(id);
  if (known == campaigns_.end() || known->second.ended()) return;
  if (!idle) {
    if (std::exchange(work.ask_again, false)) consider_complete(id);
    return;
  }
  // It is closed and no batch is at work: nothing can come any more.
  if (work.commanding) {
    work.commands.push_back([this, id] { complete(id); });
  } else {
    work.commanding = true;
    complete(id);
  }
}

void Registry::State::complete(CampaignId id) {
  CampaignInfo after = campaigns_.at(id);
  if (after.ended()) return end_command(id);
  after.state = CampaignState::complete;
  after.ended_at = loop_.wall_now();
  std::string value;
  ByteWriter(value).varint(id);
  if (!log_->put(event_key(id), value)) {
    mark(Mark::completed_again);
    complete_again_.insert(id);
    return end_command(id);
  }
  change(std::move(after), [this, id](bool ok) {
    if (ok) {
      send_event(campaigns_.at(id));
    } else {
      mark(Mark::completed_again);
      complete_again_.insert(id);
    }
    end_command(id);
  });
}

void Registry::State::send_event(const CampaignInfo& info) {
  if (!event_sink_) return;
  queue::EventFacts facts;
  facts.logged = info.ended_at;
  facts.tenant = info.tenant;
  facts.tenant_name = info.tenant_name;
  facts.campaign = info.id;
  event_sink_(std::move(facts), [this, weak = std::weak_ptr<State*>(self_), id = info.id] {
    // Not synced by itself: at worst it is given again, which its id makes harmless.
    if (!weak.expired()) (void)log_->erase(event_key(id));
  });
}

// ---- by time -----------------------------------------------------------------------------------

void Registry::State::on_timer() {
  if (closing_) return;
  loop_.timers().arm(timer_, loop_.now() + kRegistryLook);
  forget_old();
  arm_schedule();
  for (CampaignId id : std::exchange(complete_again_, {})) consider_complete(id);
}

void Registry::State::arm_schedule() {
  if (!started_ || closing_) return;
  WallTime first{INT64_MAX};
  for (const auto& [id, info] : campaigns_) {
    if (info.state == CampaignState::scheduled) first = std::min(first, info.start_at);
  }
  if (first.us == INT64_MAX) return;
  Duration wait = std::clamp(first - loop_.wall_now(), Duration{}, kRegistryLook);
  loop_.timers().arm(schedule_timer_, loop_.now() + wait);
}

void Registry::State::start_scheduled() {
  std::vector<CampaignId> due;
  for (const auto& [id, info] : campaigns_) {
    if (info.state == CampaignState::scheduled && info.start_at <= loop_.wall_now()) {
      due.push_back(id);
    }
  }
  for (CampaignId id : due) command(0, id, CampaignCommand::start, [](auto&&) {});
  // Those just begun are scheduled until they are written: looked at again in a while.
  if (due.empty()) arm_schedule();
}

void Registry::State::forget_old() {
  WallTime before = loop_.wall_now() - options_.kept;
  std::vector<CampaignId> old;
  for (const auto& [id, info] : campaigns_) {
    if (info.ended() && info.ended_at < before) old.push_back(id);
  }
  for (CampaignId id : old) forget(id);
  answers_.forget(
      before, [this](CampaignId id) { return id != 0 && campaigns_.contains(id); },
      kAnswersForgottenPerLook);
}

void Registry::State::forget(CampaignId id) {
  auto work = work_.find(id);
  if (work != work_.end()) {
    if (work->second.commanding || !work->second.admissions.empty()) return;
    work_.erase(work);
  }
  if (!log_->erase(campaign_log_name(id))) return;
  for (const std::string& name : created_names_[id]) (void)log_->erase(name);
  created_names_.erase(id);
  campaigns_.erase(id);
  if (remove_sink_) remove_sink_(id);
}

}  // namespace postring::engine
