// When a deferred recipient is tried again, and how old it may become.
//
// The first wait is retry[0], then retry[1], ...; the last one repeats. Each is jittered, so that
// what was deferred together does not come back together. A domain's schedule goes before the
// campaign's, and that before the configuration's.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/units.h"
#include "queue/campaign.h"

namespace postring::queue {

constexpr uint32_t kRetryJitterPermille = 100;  // a wait becomes 900 to 1100 thousandths of itself
constexpr Duration kRetryWaitMin = Duration::seconds(1);
constexpr Duration kRetryWaitMax = Duration::days(7);
constexpr size_t kRetryStepsMax = 32;
constexpr Duration kMaxAgeMin = Duration::minutes(1);
constexpr Duration kMaxAgeMax = Duration::days(30);

struct RetryPolicies {
  std::vector<Duration> retry = {Duration::minutes(5), Duration::minutes(15), Duration::hours(1),
                                 Duration::hours(3)};
  Duration max_age = Duration::days(3);
  std::map<std::string, RetryOverride, std::less<>> domains;  // by lower-case domain

  // The jittered wait after attempt number `attempt` (from 1). `campaign` may be null.
  Duration wait_after(uint32_t attempt, std::string_view domain, const RetryOverride* campaign,
                      Random& random) const;
  Duration max_age_of(std::string_view domain, const RetryOverride* campaign) const;
};

}  // namespace postring::queue
