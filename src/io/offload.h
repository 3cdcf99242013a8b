// Offload: slow or blocking work on a helper thread, its end on the worker's.
//
//   offload.run([path] { return prepare(path); }, [this](Result<int> r) { ... });
//
// `work` must not touch what belongs to the worker; `done` runs on the worker in a later loop turn.
// Work runs in order, one piece at a time. At most kOffloadJobsMax pieces wait; what is beyond is a
// bug of the caller, which must bound what it asks for.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "io/job.h"

namespace postring {

class Ring;

constexpr size_t kOffloadJobsMax = 4'096;

class Offload {
 public:
  // `ring` is woken when something is done.
  explicit Offload(Ring& ring);
  // Waits for the piece at work; what had not begun is dropped, and no `done` runs any more.
  ~Offload();
  Offload(const Offload&) = delete;
  Offload& operator=(const Offload&) = delete;

  void run_job(Job work, Job done);

  template <typename Work, typename Done>
  void run(Work work, Done done) {
    using Value = decltype(work());
    if constexpr (std::is_void_v<Value>) {
      run_job(std::move(work), std::move(done));
    } else {
      auto result = std::make_shared<std::optional<Value>>();
      run_job([work = std::move(work), result]() mutable { result->emplace(work()); },
              [done = std::move(done), result]() mutable { done(std::move(**result)); });
    }
  }

  // Runs the ends of finished pieces; returns how many.
  size_t take();
  // Pieces whose end has not run yet.
  size_t waiting() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace postring
