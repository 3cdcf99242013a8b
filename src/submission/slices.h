// Slices: submission's share of a worker's turn.
//
// Work that is larger than a turn (reading a batch) is done in slices of about 100 us. One slice
// runs per loop turn, whoever's it is, in rotation: so however many uploads there are, a delivery
// waits for one slice. Outlives none of its tasks: a task that went is skipped.
#pragma once

#include <deque>
#include <memory>

#include "io/loop.h"

namespace postring::submission {

class Slices {
 public:
  class Task {
   public:
    virtual ~Task() = default;
    // Does a bounded piece of work; true where there is more to do now.
    virtual bool run_slice() = 0;
  };

  explicit Slices(Loop& loop) : loop_(loop), alive_(std::make_shared<bool>(true)) {}

  // Runs the task's slices from the next turn on until it says that there is no more to do.
  // Adding a task that is in already is the caller's to avoid.
  void add(std::weak_ptr<Task> task);

 private:
  void schedule();
  void run();

  Loop& loop_;
  std::deque<std::weak_ptr<Task>> tasks_;
  bool scheduled_ = false;
  std::shared_ptr<bool> alive_;
};

}  // namespace postring::submission
