// The offload seam in virtual time: a piece begins when the one before it has ended, and takes its
// time; it does its work at one instant of that.
#include "io/offload.h"

#include <deque>

#include "base/check.h"
#include "sim/machine.h"
#include "sim/sim_ring.h"

namespace postring {

namespace {

// Outlives its Offload in what is scheduled.
struct Helper : std::enable_shared_from_this<Helper> {
  struct Piece {
    Job work;
    Job done;
  };

  explicit Helper(Ring& ring_) : ring(static_cast<sim::SimRing&>(ring_)) {}

  void begin_next() {
    if (working || waiting.empty()) return;
    working = true;
    sim::Machine& machine = sim::machine();
    Duration wait = machine.up_to(machine.faults.options.io_us_max);
    machine.schedule.after(wait, [self = shared_from_this()] { self->work_one(); });
  }

  void work_one() {
    if (gone || ring.abandoned()) return;
    Piece piece = std::move(waiting.front());
    waiting.pop_front();
    piece.work();
    finished.push_back(std::move(piece));
    working = false;
    ring.wake();
    begin_next();
  }

  sim::SimRing& ring;
  std::deque<Piece> waiting;
  std::deque<Piece> finished;
  size_t unfinished = 0;
  bool working = false;
  bool gone = false;
};

}  // namespace

struct Offload::State {
  std::shared_ptr<Helper> helper;
};

Offload::Offload(Ring& ring) : state_(std::make_unique<State>(std::make_shared<Helper>(ring))) {}

Offload::~Offload() { state_->helper->gone = true; }

void Offload::run_job(Job work, Job done) {
  Helper& helper = *state_->helper;
  CHECK(helper.unfinished < kOffloadJobsMax);
  ++helper.unfinished;
  helper.waiting.push_back({std::move(work), std::move(done)});
  helper.begin_next();
}

size_t Offload::take() {
  std::deque<Helper::Piece> finished = std::exchange(state_->helper->finished, {});
  for (Helper::Piece& piece : finished) {
    --state_->helper->unfinished;
    piece.done();
  }
  return finished.size();
}

size_t Offload::waiting() const { return state_->helper->unfinished; }

}  // namespace postring
