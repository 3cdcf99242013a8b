#include "throttle/token_bucket.h"

#include <algorithm>

#include "base/check.h"
#include "base/wide.h"

namespace postring::throttle {

namespace {

void check_shape(Rate rate, uint32_t burst) {
  CHECK(burst >= 1);
  CHECK(burst <= kBurstMax);
  CHECK(rate.period.us >= 1);
  CHECK(rate.period <= kRatePeriodMax);
}

}  // namespace

TokenBucket::TokenBucket(Rate rate, uint32_t burst, Instant now)
    : rate_(rate), burst_(burst), updated_(now) {
  check_shape(rate, burst);
  level_ = capacity();
}

int64_t TokenBucket::level_at(Instant now) const {
  if (now <= updated_) return level_;
  int64_t missing = ceiling() - level_;
  int64_t elapsed_us = (now - updated_).us;
  // Compared by division first: elapsed * count may not fit.
  if (elapsed_us > missing / rate_.count) return ceiling();
  return level_ + elapsed_us * rate_.count;
}

bool TokenBucket::take(Instant now, uint32_t n) {
  if (!rate_.limited()) return true;
  CHECK(n <= burst_, "more than the burst can never be taken");
  level_ = level_at(now);
  updated_ = std::max(updated_, now);
  int64_t cost = static_cast<int64_t>(n) * rate_.period.us;
  if (level_ < cost) return false;
  level_ -= cost;
  return true;
}

Instant TokenBucket::when_available(Instant now, uint32_t n) const {
  if (!rate_.limited()) return now;
  CHECK(n <= burst_, "more than the burst can never be taken");
  int64_t missing = static_cast<int64_t>(n) * rate_.period.us - level_at(now);
  if (missing <= 0) return now;
  int64_t wait_us = (missing + rate_.count - 1) / rate_.count;
  return std::max(now, updated_) + Duration::microseconds(wait_us);
}

void TokenBucket::change(Rate rate, uint32_t burst, Instant now) {
  check_shape(rate, burst);
  bool was_limited = rate_.limited();
  int64_t level = was_limited ? level_at(now) : 0;
  int64_t old_period_us = rate_.period.us;
  rate_ = rate;
  burst_ = burst;
  updated_ = std::max(updated_, now);
  if (!was_limited) {
    level_ = capacity();
    return;
  }
  // level * new period / old period without overflow: whole tokens first, then the rest.
  int64_t tokens = level / old_period_us;
  auto rest = static_cast<WideWord>(level % old_period_us);
  auto part = static_cast<int64_t>(rest * static_cast<WideWord>(rate.period.us) /
                                   static_cast<WideWord>(old_period_us));
  level_ = tokens >= burst ? capacity() : std::min(tokens * rate.period.us + part, capacity());
}

}  // namespace postring::throttle
