// The timers by themselves: arming, moving and firing among many that are armed.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "base/random.h"
#include "io/timers.h"

namespace postring {
namespace {

struct Bed;

// A timer that is armed again whenever it fires.
struct Owner {
  void on_time();
  Bed* bed = nullptr;
  Timer timer;
};

struct Bed {
  explicit Bed(size_t count) : random(1) {
    for (size_t i = 0; i < count; ++i) {
      owners.push_back(std::make_unique<Owner>());
      Owner* owner = owners.back().get();
      owner->bed = this;
      owner->timer.bind<&Owner::on_time>(owner);
      timers.arm(owner->timer, later());
    }
  }
  Instant later() {
    return now + Duration::microseconds(static_cast<int64_t>(random.below(300'000'000)));
  }

  Random random;
  Instant now;
  Timers timers;
  std::vector<std::unique_ptr<Owner>> owners;
};

void Owner::on_time() {
  bed->timers.arm(timer, bed->later());
}

// What every reply does to its connection's timer.
void move(benchmark::State& state) {
  Bed bed(static_cast<size_t>(state.range(0)));
  size_t next = 0;
  for (auto _ : state) {
    bed.timers.arm(bed.owners[next]->timer, bed.later());
    next = (next + 7'919) % bed.owners.size();
  }
}

void fire(benchmark::State& state) {
  Bed bed(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    bed.now = bed.timers.next();
    bed.timers.fire(bed.now);
  }
}

BENCHMARK(move)->Arg(1'000)->Arg(20'000);
BENCHMARK(fire)->Arg(1'000)->Arg(20'000);

}  // namespace
}  // namespace postring

BENCHMARK_MAIN();
