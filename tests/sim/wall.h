// Wall: what the machine's wall clock shows. It jumps; virtual time does not.
//
//   wall.jump(now, Duration::hours(-1));
//   wall.at(now);
//
// The laws of deadlines ask it what the process can have read: between two moments, and when.
#pragma once

#include <cstddef>
#include <vector>

#include "base/units.h"

namespace postring::sim {

class Wall {
 public:
  WallTime at(Instant when) const { return {when.us + offset_at(when).us}; }
  void jump(Instant now, Duration by);

  // The lowest it showed in [from, to], the highest up to `to`.
  WallTime lowest(Instant from, Instant to) const;
  WallTime highest(Instant to) const;
  // When it first showed `time`; where it jumped over it, when it jumped.
  Instant first(WallTime time) const;
  // When it last came to show `time` or more, up to `to`; never: it has shown less all the while.
  Instant last_reached(WallTime time, Instant to) const;

 private:
  struct Period {
    Instant since;
    Duration offset;
  };
  Duration offset_at(Instant when) const;
  Instant end_of(size_t period, Instant to) const;

  std::vector<Period> periods_ = {{Instant{}, Duration::seconds(1'700'000'000)}};
};

}  // namespace postring::sim
