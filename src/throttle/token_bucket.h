// TokenBucket: so many events per period, with a burst, in whole numbers only.
//
//   TokenBucket bucket({.count = 100, .period = Duration::seconds(1)}, 10, now);
//   if (!bucket.take(now)) timers.arm(timer_, bucket.when_available(now));
//
// Law: in any stretch of time of length t no more than burst + count * (t + 1 us) / period tokens
// are taken, and one who takes as soon as he may gets burst + count * t / period (rounded down),
// however long it runs: the level is kept in units of 1 / period of a token, and the rounding of
// time to whole microseconds is carried over, so no fraction is ever lost.
//
// Time must not go back between two calls; where it does, nothing is added.
#pragma once

#include <cstdint>

#include "base/units.h"

namespace postring::throttle {

// `count` per `period`; a count of 0 means no limit.
struct Rate {
  uint32_t count = 0;
  Duration period = Duration::seconds(1);

  static constexpr Rate per_second(uint32_t n) { return {n, Duration::seconds(1)}; }
  static constexpr Rate unlimited() { return {}; }
  constexpr bool limited() const { return count > 0; }
  constexpr bool operator==(const Rate&) const = default;
};

constexpr uint32_t kBurstMax = 1'000'000;
constexpr Duration kRatePeriodMax = Duration::days(1);

class TokenBucket {
 public:
  // Begins full. 1 <= burst <= kBurstMax, 1 us <= period <= kRatePeriodMax.
  TokenBucket(Rate rate, uint32_t burst, Instant now);

  // Takes `n` tokens, all or nothing. n <= burst.
  bool take(Instant now, uint32_t n = 1);
  // The earliest instant at which take(n) succeeds; `now` where it does at once.
  Instant when_available(Instant now, uint32_t n = 1) const;
  // A new rate from now on; what has gathered stays, as far as the new burst allows.
  void change(Rate rate, uint32_t burst, Instant now);

  Rate rate() const { return rate_; }
  uint32_t burst() const { return burst_; }

 private:
  int64_t capacity() const { return static_cast<int64_t>(burst_) * rate_.period.us; }
  // Who waits for a token wakes up to 1 us late; what that gathers must not be cut off.
  int64_t ceiling() const { return capacity() + rate_.count - 1; }
  int64_t level_at(Instant now) const;

  Rate rate_;
  uint32_t burst_;
  int64_t level_ = 0;  // tokens * period in us
  Instant updated_;
};

}  // namespace postring::throttle
