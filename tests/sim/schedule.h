// Schedule: virtual time. What will happen, in the order of its time; nothing else moves the clock.
//
//   schedule.after(Duration::milliseconds(3), [this] { ... });
//   while (schedule.step()) {}
//
// Two things of the same instant happen in an order that the seed decides. Everything that happens
// is mixed into a hash: two runs with the same seed must end with the same one.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/units.h"
#include "io/job.h"

namespace postring::sim {

class Schedule {
 public:
  explicit Schedule(uint64_t seed) : random_(seed) {}
  Schedule(const Schedule&) = delete;
  Schedule& operator=(const Schedule&) = delete;

  Instant now() const { return now_; }
  void at(Instant when, Job job);
  void after(Duration wait, Job job) { at(now_ + wait, std::move(job)); }

  // The next thing; false: there is none.
  bool step();

  // What happened, for the hash.
  void note(std::string_view what, uint64_t a = 0, uint64_t b = 0);
  uint64_t hash() const { return hash_; }
  uint64_t steps() const { return steps_; }
  // One more number of the generator that orders: the same at the end of the same run.
  uint64_t draw() { return random_.next(); }

 private:
  struct Entry {
    Instant when;
    uint64_t order;
    Job job;
  };
  static bool later(const Entry& a, const Entry& b) {
    return a.when != b.when ? a.when > b.when : a.order > b.order;
  }
  void mix(uint64_t word);

  Random random_;
  Instant now_{1'000'000};  // not zero: that is "do not wait"
  std::vector<Entry> entries_;  // a heap
  uint64_t hash_ = 0;
  uint64_t steps_ = 0;
};

}  // namespace postring::sim
