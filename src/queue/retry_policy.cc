#include "queue/retry_policy.h"

#include <algorithm>

#include "base/check.h"

namespace postring::queue {

Duration RetryPolicies::wait_after(uint32_t attempt, std::string_view domain,
                                   const RetryOverride* campaign, Random& random) const {
  CHECK(attempt > 0);
  const std::vector<Duration>* steps = &retry;
  if (campaign != nullptr && !campaign->retry.empty()) steps = &campaign->retry;
  auto own = domains.find(domain);
  if (own != domains.end() && !own->second.retry.empty()) steps = &own->second.retry;
  CHECK(!steps->empty());
  Duration wait = (*steps)[std::min<size_t>(attempt, steps->size()) - 1];
  wait = std::clamp(wait, kRetryWaitMin, kRetryWaitMax);
  int64_t span = wait.us / 1'000 * kRetryJitterPermille;
  return wait + Duration::microseconds(random.between(-span, span));
}

Duration RetryPolicies::max_age_of(std::string_view domain, const RetryOverride* campaign) const {
  Duration age = max_age;
  if (campaign != nullptr && campaign->max_age.us > 0) age = campaign->max_age;
  auto own = domains.find(domain);
  if (own != domains.end() && own->second.max_age.us > 0) age = own->second.max_age;
  return std::clamp(age, kMaxAgeMin, kMaxAgeMax);
}

}  // namespace postring::queue
