#include "sim/wall.h"

#include <algorithm>

namespace postring::sim {

void Wall::jump(Instant now, Duration by) {
  periods_.push_back({now, periods_.back().offset + by});
}

Duration Wall::offset_at(Instant when) const {
  size_t i = periods_.size();
  while (i > 1 && periods_[i - 1].since > when) --i;
  return periods_[i - 1].offset;
}

// The moment before the next one, or `to`.
Instant Wall::end_of(size_t period, Instant to) const {
  if (period + 1 == periods_.size()) return to;
  return std::min(to, periods_[period + 1].since - Duration::microseconds(1));
}

WallTime Wall::lowest(Instant from, Instant to) const {
  WallTime lowest = at(from);
  for (const Period& period : periods_) {
    if (period.since > from && period.since <= to) lowest = std::min(lowest, at(period.since));
  }
  return lowest;
}

WallTime Wall::highest(Instant to) const {
  WallTime highest{};
  for (size_t i = 0; i < periods_.size(); ++i) {
    if (periods_[i].since <= to) highest = std::max(highest, at(end_of(i, to)));
  }
  return highest;
}

Instant Wall::first(WallTime time) const {
  for (size_t i = 0; i < periods_.size(); ++i) {
    Instant here{time.us - periods_[i].offset.us};
    Instant reached = std::max(here, periods_[i].since);
    if (reached <= end_of(i, Instant::never())) return reached;
  }
  return Instant::never();
}

Instant Wall::last_reached(WallTime time, Instant to) const {
  Instant last = Instant::never();
  bool below = true;
  for (size_t i = 0; i < periods_.size() && periods_[i].since <= to; ++i) {
    Instant end = end_of(i, to);
    Instant here = std::max(Instant{time.us - periods_[i].offset.us}, periods_[i].since);
    if (at(periods_[i].since) < time) below = true;
    if (here <= end && below) {
      last = here;
      below = false;
    }
  }
  return last;
}

}  // namespace postring::sim
