#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/check.h"
#include "io/offload.h"
#include "io/ring.h"

namespace postring {

struct Offload::State {
  struct Piece {
    Job work;
    Job done;
  };

  explicit State(Ring& ring_) : ring(ring_) {}

  void work_until_stopped() {
    std::unique_lock lock(mutex);
    for (;;) {
      asked.wait(lock, [this] { return stopping || !waiting.empty(); });
      if (stopping) return;
      Piece piece = std::move(waiting.front());
      waiting.pop_front();
      lock.unlock();
      piece.work();
      lock.lock();
      finished.push_back(std::move(piece));
      ring.wake();
    }
  }

  Ring& ring;
  std::mutex mutex;
  std::condition_variable asked;
  bool stopping = false;
  std::deque<Piece> waiting;   // under the mutex
  std::deque<Piece> finished;  // under the mutex
  size_t unfinished = 0;       // the worker's own
  std::thread thread;
};

Offload::Offload(Ring& ring) : state_(std::make_unique<State>(ring)) {}

Offload::~Offload() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->asked.notify_one();
  if (state_->thread.joinable()) state_->thread.join();
}

void Offload::run_job(Job work, Job done) {
  CHECK(state_->unfinished < kOffloadJobsMax);
  ++state_->unfinished;
  if (!state_->thread.joinable()) {
    state_->thread = std::thread([state = state_.get()] { state->work_until_stopped(); });
  }
  {
    std::lock_guard lock(state_->mutex);
    state_->waiting.push_back({std::move(work), std::move(done)});
  }
  state_->asked.notify_one();
}

size_t Offload::take() {
  if (state_->unfinished == 0) return 0;
  std::deque<State::Piece> finished;
  {
    std::lock_guard lock(state_->mutex);
    finished.swap(state_->finished);
  }
  for (State::Piece& piece : finished) {
    --state_->unfinished;
    piece.done();
  }
  return finished.size();
}

size_t Offload::waiting() const { return state_->unfinished; }

}  // namespace postring
