// The clock seam for tests: the machine's time plus what a test adds, so that hours pass in no
// time. Linked in place of io/linux_clock.cc.
#pragma once

#include "base/units.h"

namespace postring::queue {

void advance_clock(Duration by);
// The wall clock alone, forward or back.
void jump_wall_clock(Duration by);

}  // namespace postring::queue
