// Campaigns as a worker knows them: what each is, and whether its mail may go now.
//
// The registry (control worker) decides about campaigns; every worker holds a copy of all that are
// kept, which changes only by put() and remove(). Homes look here for the content, the sources and
// the schedule of their recipients; who is about to send MAIL FROM asks may_send() right before.
//
//     loading ----start----> running <---resume---- paused        complete: closed, and nothing of
//        |                    |  ^  \----pause------->  |          it waits or is in flight
//        +--start_at--> scheduled                       |
//        any of these ------cancel------> cancelled     v          no way leads out of the last two
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/units.h"
#include "mail/ids.h"

namespace postring::queue {

enum class CampaignState : uint8_t { loading, scheduled, running, paused, cancelled, complete };

constexpr const char* name_of(CampaignState state) {
  constexpr const char* kNames[] = {"loading", "scheduled", "running",
                                    "paused",  "cancelled", "complete"};
  return kNames[static_cast<uint8_t>(state)];
}

// The SHA-256 of a compiled content; all zero: none.
using ContentId = Sha256;

// A retry schedule and a maximum age where the configuration's are not wanted.
struct RetryOverride {
  std::vector<Duration> retry;  // empty: the configuration's
  Duration max_age;             // 0: the configuration's
};

struct CampaignInfo {
  CampaignId id = 0;
  TenantId tenant = 0;
  std::string tenant_name;
  std::string name;
  CampaignState state = CampaignState::loading;
  bool closed = false;  // takes no more recipients
  MailClass mail_class = MailClass::bulk;
  ContentId content{};
  std::vector<std::string> sources;  // names; empty: the configuration's default
  RetryOverride retry;
  // Not set: it did not happen (yet).
  WallTime created_at, start_at, started_at, closed_at, ended_at;

  bool ended() const {
    return state == CampaignState::cancelled || state == CampaignState::complete;
  }
};

class CampaignStates {
 public:
  // Called after every put() of a campaign; `before` is null for a new one.
  using Listener = std::function<void(const CampaignInfo* before, const CampaignInfo& now)>;

  void put(CampaignInfo info);
  void remove(CampaignId id);

  // Null where it is not known. Valid until the next put() or remove() of the same id.
  const CampaignInfo* find(CampaignId id) const;
  // No campaign (0) may always send; an unknown one never.
  bool may_send(CampaignId id) const;
  // By id.
  const std::map<CampaignId, std::unique_ptr<CampaignInfo>>& all() const { return campaigns_; }

  void listen(Listener listener) { listeners_.push_back(std::move(listener)); }

 private:
  std::map<CampaignId, std::unique_ptr<CampaignInfo>> campaigns_;
  std::vector<Listener> listeners_;
};

}  // namespace postring::queue
