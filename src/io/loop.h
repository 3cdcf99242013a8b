// Loop: a worker's turn. Everything of a worker gets this one thing: ring, timers, offload, random,
// and the time, which is read once per turn.
//
// A turn: the turn-end hooks (staged writes and posts go out here), one wait, the clock,
// completions, ends of offloaded work, timers, steps, deferred jobs. What a callback leaves for the
// hooks goes out right before the next wait, and so does what is done between two turns. Callbacks
// must not block.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/random.h"
#include "base/units.h"
#include "io/job.h"
#include "io/offload.h"
#include "io/ring.h"
#include "io/timers.h"

namespace postring {

class Loop {
 public:
  Loop(std::unique_ptr<Ring> ring, uint64_t random_seed);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Ring& ring() { return *ring_; }
  Timers& timers() { return timers_; }
  Offload& offload() { return offload_; }
  Random& random() { return random_; }
  Instant now() const { return now_; }
  WallTime wall_now() const { return wall_now_; }

  // Runs once in this turn or the next; jobs it defers run a turn later.
  void defer(Job job);

  // Called in every turn after the timers; true where it has more to do, so that the next turn does
  // not wait.
  void add_step(std::function<bool()> step);

  // Called right before every wait, in the order of adding, for the loop's life.
  void add_turn_end(std::function<void()> hook);

  // One turn; waits no longer than until `wait_until` (and not at all while jobs are deferred
  // or a step has more to do).
  void turn(Instant wait_until);

 private:
  void read_clock();
  void run_deferred();

  std::unique_ptr<Ring> ring_;
  Timers timers_;
  Offload offload_;
  Random random_;
  Instant now_;
  WallTime wall_now_;
  std::vector<Job> deferred_;
  std::vector<std::function<bool()>> steps_;
  bool more_steps_ = false;
  std::vector<std::function<void()>> turn_ends_;
};

}  // namespace postring
