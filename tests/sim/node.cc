#include "sim/node.h"

#include <algorithm>

#include "base/check.h"
#include "io/clock.h"

namespace postring::sim {
namespace {

// Longer than any worker's turn.
constexpr Duration kFinishesWithin = Duration::seconds(3);

// What killed processes were made of: reachable, and never touched again.
std::vector<std::unique_ptr<Process>>& remains() {
  static auto* processes = new std::vector<std::unique_ptr<Process>>;
  return *processes;
}

}  // namespace

Node::Node(Machine& machine, const engine::Config& config, size_t workers,
           std::function<void(std::string_view)> say)
    : machine_(machine), workers_(workers) {
  log_ = std::make_unique<reporting::Log>(std::move(say), clock_wall, config.log_level);
  process_ = std::make_unique<Process>(config, "postring.toml", *log_);
}

Node::~Node() {
  if (state_ == State::running || state_ == State::killed) {
    remains().push_back(std::move(process_));
    (void)log_.release();
  }
}

Result<void> Node::make_all() {
  if (auto prepared = process_->prepare(workers_); !prepared) return prepared;
  for (uint32_t i = 0; i < workers_; ++i) {
    if (auto made = process_->make(i); !made) return made;
  }
  if (auto begun = process_->begin(); !begun) return begun;
  for (uint32_t i = 0; i < workers_; ++i) {
    if (auto recovered = process_->recover(i); !recovered) return recovered;
  }
  return {};
}

bool Node::start() {
  state_ = State::running;
  Result<void> made = make_all();
  seats_.resize(workers_);
  for (size_t i = 0; i < machine_.rings.size(); ++i) seats_[i].ring = machine_.rings[i];
  if (!made) {
    problem_ = made.error().message;
    for (uint32_t i = 0; i < workers_; ++i) process_->end(i);
    process_.reset();
    state_ = State::ended;
    return false;
  }
  // The workers are told to finish right after; they hear it within a turn.
  machine_.on_watch_ended = [this] {
    machine_.schedule.after(kFinishesWithin, [this] {
      if (runs()) finish();
    });
  };
  process_->start_control();
  for (uint32_t i = 1; i < workers_; ++i) process_->start(i);
  for (size_t i = 0; i < workers_; ++i) {
    seats_[i].ring->on_ready = [this, i] { wake(i, machine_.schedule.now()); };
    wake(i, machine_.schedule.now());
  }
  return true;
}

void Node::wake(size_t index, Instant when) {
  Seat& seat = seats_[index];
  when = std::max(when, seat.busy_until);
  if (when >= seat.wakes_at) return;
  seat.wakes_at = when;
  if (when == Instant::never()) return;
  machine_.schedule.at(when, [this, index, alarm = ++seat.alarm] {
    if (seats_[index].alarm == alarm && runs()) turn(index);
  });
}

void Node::turn(size_t index) {
  Seat& seat = seats_[index];
  seat.wakes_at = Instant::never();
  Instant now = machine_.schedule.now();
  const Options& o = machine_.faults.options;
  Duration cost = machine_.up_to(o.turn_us_max);
  if (machine_.faults.on && machine_.random.chance(static_cast<uint64_t>(o.stall), 100'000)) {
    machine_.faults.count(Fault::stalled);
    cost = machine_.up_to(o.stall_us_max);
  }
  seat.busy_until = now + cost;
  engine::Worker& worker = process_->worker(static_cast<uint32_t>(index));
  worker.loop().turn(Instant::never());
  // A turn that found nothing to do knows until when the loop would sleep.
  Instant sleeps_until = seat.ring->sleeps_until();
  bool quiet = seat.ring->ran() == 0 && !seat.ring->ready() && sleeps_until > now;
  wake(index, quiet ? sleeps_until : seat.busy_until);
}

// All go together: one that has ended may still be woken by one that has not.
void Node::finish() {
  for (uint32_t i = 0; i < workers_; ++i) {
    seats_[i].ring->expect_end();
    process_->worker(i).run_until_finished();
  }
  for (uint32_t i = 0; i < workers_; ++i) process_->end(i);
  spool_failed_ = process_->spool_failed();
  process_.reset();
  state_ = State::ended;
  if (on_ended) on_ended();
}

bool Node::spool_failed() const {
  return process_ != nullptr ? process_->spool_failed() : spool_failed_;
}

void Node::ask_to_stop() {
  if (machine_.on_signal) machine_.on_signal(Signal::stop);
}

void Node::kill(bool power_cut) {
  CHECK(state_ == State::running);
  for (SimRing* ring : machine_.rings) ring->abandon();
  machine_.end_process(power_cut);
  state_ = State::killed;
}

}  // namespace postring::sim
