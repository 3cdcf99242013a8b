// Mailbox: jobs from one worker to another; one thread posts, one takes. Bounded: what does not fit
// is refused and stays with the poster.
//
// Posted jobs become visible with publish(), once per loop turn: no atomic per job.
#pragma once

#include <cstddef>
#include <memory>

#include "io/job.h"

namespace postring {

class Mailbox {
 public:
  // `capacity` is rounded up to a power of two.
  explicit Mailbox(size_t capacity);
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // Poster's side. post() leaves the job alone and returns false when the mailbox is full.
  // publish() returns true where jobs became visible that a sleeping taker must be woken for.
  bool post(Job& job);
  bool publish();

  // Taker's side: runs what is visible, at most `jobs_max`; returns how many ran.
  size_t take(size_t jobs_max);
  // Whether something visible waits.
  bool waiting() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace postring
