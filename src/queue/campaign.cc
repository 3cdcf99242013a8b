#include "queue/campaign.h"

#include <utility>

#include "base/canary.h"
#include "base/check.h"

namespace postring::queue {

void CampaignStates::put(CampaignInfo info) {
  CHECK(info.id != 0);
  auto& place = campaigns_[info.id];
  std::unique_ptr<CampaignInfo> before = std::move(place);
  place = std::make_unique<CampaignInfo>(std::move(info));
  for (const Listener& listener : listeners_) listener(before.get(), *place);
}

void CampaignStates::remove(CampaignId id) { campaigns_.erase(id); }

const CampaignInfo* CampaignStates::find(CampaignId id) const {
  auto found = campaigns_.find(id);
  return found == campaigns_.end() ? nullptr : found->second.get();
}

bool CampaignStates::may_send(CampaignId id) const {
  if (id == 0 || canary(Canary::pause_forgotten)) return true;
  const CampaignInfo* info = find(id);
  return info != nullptr && info->state == CampaignState::running;
}

}  // namespace postring::queue
