// Peers: what delivery needs of the engine to be one thing on many workers.
//
// Every worker has a Dispatch; they hand each other values in jobs. Which worker a slice or a hash
// belongs to must be answered alike on all of them for the process's life.
#pragma once

#include <cstdint>

#include "io/job.h"
#include "mail/ids.h"

namespace postring::delivery {

class Dispatch;

class Peers {
 public:
  virtual ~Peers() = default;

  virtual uint32_t workers() const = 0;
  // The worker this is asked on.
  virtual uint32_t self() const = 0;
  // The worker that runs the home of the slice.
  virtual uint32_t worker_of(SliceNumber slice) const = 0;
  // Runs the job on the other worker (never self()) in a later turn. Jobs for one worker run in the
  // order of posting; none is refused: what a full mailbox cannot take waits with the poster, and
  // delivery bounds what it has under way.
  virtual void post(uint32_t worker, Job job) = 0;
  // To be used on that worker only, within a job.
  virtual Dispatch& dispatch_of(uint32_t worker) = 0;
};

}  // namespace postring::delivery
