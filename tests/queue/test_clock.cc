#include "test_clock.h"

#include <ctime>

#include "io/clock.h"

namespace postring {
namespace {

Duration added;
Duration jumped;

int64_t read_us(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<int64_t>(time.tv_sec) * 1'000'000 + time.tv_nsec / 1'000;
}

}  // namespace

Instant clock_now() { return Instant{read_us(CLOCK_MONOTONIC)} + added; }
WallTime clock_wall() { return WallTime{read_us(CLOCK_REALTIME)} + added + jumped; }

namespace queue {

void advance_clock(Duration by) { added = added + by; }
void jump_wall_clock(Duration by) { jumped = jumped + by; }

}  // namespace queue
}  // namespace postring
