#include "io/loop.h"

#include <gtest/gtest.h>

namespace postring {
namespace {

std::unique_ptr<Ring> make_ring() {
  auto ring = Ring::create();
  CHECK(ring.has_value(), ring.has_value() ? "" : ring.error().message);
  return std::move(*ring);
}

TEST(Loop, DeferredJobsRunNextTurnAndHooksEveryTurn) {
  Loop loop(make_ring(), 1);
  int hooks = 0, jobs = 0;
  loop.add_turn_end([&] { ++hooks; });
  loop.defer([&] {
    ++jobs;
    loop.defer([&] { ++jobs; });
  });
  loop.turn(Instant::never());
  EXPECT_EQ(jobs, 1);
  loop.turn(Instant{});
  EXPECT_EQ(jobs, 2);
  EXPECT_EQ(hooks, 2);
}

TEST(Loop, OffloadedWorkEndsOnTheLoop) {
  Loop loop(make_ring(), 1);
  int sum = 0;
  for (int i = 1; i <= 10; ++i) {
    loop.offload().run([i] { return i; }, [&](int value) { sum += value; });
  }
  while (loop.offload().waiting() > 0) loop.turn(Instant::never());
  EXPECT_EQ(sum, 55);
}

}  // namespace
}  // namespace postring
