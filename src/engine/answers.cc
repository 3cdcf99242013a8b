#include "engine/answers.h"

#include "base/bytes.h"
#include "base/check.h"

namespace postring::engine {

std::string Answers::name(TenantId tenant, std::string_view key) {
  std::string name;
  ByteWriter(name).fixed(tenant);
  name += key;
  return name;
}

bool Answers::begin(TenantId tenant, std::string_view key) {
  return answers_.try_emplace(name(tenant, key)).second;
}

const HeldAnswer* Answers::find(TenantId tenant, std::string_view key) const {
  auto known = answers_.find(name(tenant, key));
  return known == answers_.end() || known->second.busy ? nullptr : &known->second.held;
}

bool Answers::is_busy(TenantId tenant, std::string_view key) const {
  auto known = answers_.find(name(tenant, key));
  return known != answers_.end() && known->second.busy;
}

void Answers::abandon(TenantId tenant, std::string_view key) {
  auto known = answers_.find(name(tenant, key));
  if (known != answers_.end() && known->second.busy) answers_.erase(known);
}

void Answers::put(TenantId tenant, std::string_view key, HeldAnswer answer) {
  if (answer.answer.size() > kAnswerHeldMax) {
    answer.answer.clear();
    answer.is_long = true;
  }
  std::string full = name(tenant, key);
  auto [at, fresh] = answers_.try_emplace(full);
  // Told twice (a commit and its copy): it is in the order of age already.
  if (at->second.busy) by_age_.emplace_back(answer.at, std::move(full));
  at->second = {false, std::move(answer)};
}

void Answers::forget(WallTime before, const std::function<bool(CampaignId)>& is_kept,
                     size_t looks) {
  while (looks-- > 0 && !by_age_.empty() && by_age_.front().first < before) {
    std::string full = std::move(by_age_.front().second);
    by_age_.pop_front();
    auto known = answers_.find(full);
    if (known == answers_.end()) continue;
    if (is_kept(known->second.held.campaign)) {
      // Looked at again after as long as everything is kept.
      WallTime later = by_age_.empty() ? before : by_age_.back().first;
      by_age_.emplace_back(later < before ? before : later, std::move(full));
      continue;
    }
    answers_.erase(known);
  }
}

}  // namespace postring::engine
