// Mesh: the mailboxes between all workers, one for each direction of each pair.
//
//   mesh.join(me, loop);       // each worker, on its own thread
//   mesh.post(me, to, job);    // runs on `to`'s thread, in a later turn of its loop
//
// Jobs of one pair run in the order of posting. A full mailbox pushes back: what does not fit waits
// with its poster, in order, and backlog(from) says how much, so that the poster takes in less.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "io/job.h"
#include "io/mailbox.h"

namespace postring {
class Loop;
}

namespace postring::engine {

constexpr size_t kMailboxJobs = 4'096;
constexpr size_t kJobsPerTurn = 1'024;

class Mesh {
 public:
  explicit Mesh(size_t workers);
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;

  size_t workers() const { return ends_.size(); }

  // Each worker joins once, on its own thread, before it posts: from then on its loop takes what
  // others posted in each turn, and publishes its own posts at each turn's end. No job may be
  // posted to a worker that has not joined.
  void join(size_t worker, Loop& loop);

  void post(size_t from, size_t to, Job job);

  // Jobs that found their mailbox full.
  size_t backlog(size_t from) const { return ends_[from]->backlog; }

 private:
  // What belongs to one worker as a poster.
  struct End {
    Loop* loop = nullptr;
    std::vector<std::unique_ptr<Mailbox>> to;  // null: itself
    std::vector<std::deque<Job>> spilled;
    size_t backlog = 0;
  };

  // Runs what others posted, at most kJobsPerTurn of each; true where more waits.
  bool take(size_t worker);
  void publish(size_t from);

  std::vector<std::unique_ptr<End>> ends_;
};

}  // namespace postring::engine
