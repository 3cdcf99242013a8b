// Answers: what was answered under a tenant's idempotency key, and which keys are at work.
//
// Pure: nothing here is durable; what is known comes from the logs. Long answers are not held: the
// home of their batch has them.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/hash.h"
#include "base/units.h"
#include "mail/ids.h"

namespace postring::engine {

constexpr size_t kAnswerHeldMax = 1'024;  // bytes

struct HeldAnswer {
  Sha256 digest{};
  std::string answer;  // empty with `is_long`: the home of `batch` has it
  bool is_long = false;
  BatchId batch = 0;
  CampaignId campaign = 0;
  WallTime at;
};

class Answers {
 public:
  // True: the key was unknown and is at work from now on. Otherwise it is answered or busy.
  bool begin(TenantId tenant, std::string_view key);
  // Null where it is unknown or at work.
  const HeldAnswer* find(TenantId tenant, std::string_view key) const;
  bool is_busy(TenantId tenant, std::string_view key) const;
  // Ends the work on a key: it came to nothing, and may be tried again.
  void abandon(TenantId tenant, std::string_view key);
  void put(TenantId tenant, std::string_view key, HeldAnswer answer);

  // Forgets answers given before `before`, but for those of campaigns that `is_kept` says of; looks
  // at no more than `looks` of them, the oldest first.
  void forget(WallTime before, const std::function<bool(CampaignId)>& is_kept, size_t looks);

  size_t count() const { return answers_.size(); }

 private:
  struct Slot {
    bool busy = true;
    HeldAnswer held;
  };
  static std::string name(TenantId tenant, std::string_view key);

  std::unordered_map<std::string, Slot> answers_;
  std::deque<std::pair<WallTime, std::string>> by_age_;
};

}  // namespace postring::engine
