#include "io/loop.h"

#include <algorithm>

#include "io/clock.h"

namespace postring {

Loop::Loop(std::unique_ptr<Ring> ring, uint64_t random_seed)
    : ring_(std::move(ring)), offload_(*ring_), random_(random_seed) {
  read_clock();
}

void Loop::read_clock() {
  now_ = clock_now();
  wall_now_ = clock_wall();
}

void Loop::defer(Job job) { deferred_.push_back(std::move(job)); }

void Loop::add_turn_end(std::function<void()> hook) { turn_ends_.push_back(std::move(hook)); }

void Loop::add_step(std::function<bool()> step) { steps_.push_back(std::move(step)); }

void Loop::run_deferred() {
  std::vector<Job> jobs;
  jobs.swap(deferred_);
  for (Job& job : jobs) job();
}

void Loop::turn(Instant wait_until) {
  // By index: a hook may add another.
  for (size_t i = 0; i < turn_ends_.size(); ++i) turn_ends_[i]();
  bool idle = deferred_.empty() && !more_steps_;
  Instant until = idle ? std::min(wait_until, timers_.next()) : Instant{};
  ring_->wait(until);
  read_clock();
  ring_->run();
  offload_.take();
  timers_.fire(now_);
  more_steps_ = false;
  for (size_t i = 0; i < steps_.size(); ++i) more_steps_ = steps_[i]() || more_steps_;
  run_deferred();
}

}  // namespace postring
