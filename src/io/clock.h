// The clock seam: the only place where time is read. A worker reads it once per loop turn
// (io/loop.h) and hands the value down.
#pragma once

#include "base/units.h"

namespace postring {

// Monotonic, never goes back, not comparable between two processes.
Instant clock_now();

// UTC as the machine believes it; may jump.
WallTime clock_wall();

}  // namespace postring
