// Backoff: how long to leave something alone that failed so many times in a row.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/random.h"
#include "base/units.h"

namespace postring::delivery {

struct Backoff {
  Duration first;
  Duration longest;

  // Doubles with every failure, up to `longest`; 900 to 1100 thousandths of that, so that what
  // failed together does not come back together. failures >= 1.
  Duration after(uint32_t failures, Random& random) const {
    uint32_t doublings = std::min(failures - 1, 30u);
    int64_t us = first.us;
    for (uint32_t i = 0; i < doublings && us < longest.us; ++i) us *= 2;
    us = std::min(us, longest.us);
    return Duration::microseconds(us / 1'000 * random.between(900, 1'100));
  }
};

// Of an address that refuses connections, and of a domain that DNS does not answer for.
constexpr Backoff kConnectBackoff{Duration::seconds(1), Duration::minutes(10)};
constexpr Backoff kDnsBackoff{Duration::seconds(5), Duration::minutes(10)};

}  // namespace postring::delivery
