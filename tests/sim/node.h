// Node: one life of the simulated daemon, from start to its end, orderly or not.
//
// It makes what Daemon makes (process.h) and turns the workers' loops on one thread: each
// when something of its ring is ready or the time has come until which it sleeps. A turn keeps its
// worker busy for a while that the seed draws, so workers overtake each other.
//
// An ended life is kept where it was killed: nothing of a killed process is taken down in order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "reporting/log.h"
#include "sim/machine.h"
#include "sim/process.h"
#include "sim/sim_ring.h"

namespace postring::sim {

class Node {
 public:
  Node(Machine& machine, const engine::Config& config, size_t workers,
       std::function<void(std::string_view)> say);
  ~Node();

  // False: it cannot start, problem() says why.
  bool start();
  const std::string& problem() const { return problem_; }
  void ask_to_stop();
  // As kill -9, or as the loss of power.
  void kill(bool power_cut);

  bool runs() const { return state_ == State::running; }
  // Ended by itself; everything must have been given back.
  bool ended() const { return state_ == State::ended; }
  bool spool_failed() const;  // of the life that runs, or ran last
  std::function<void()> on_ended;

 private:
  enum class State : uint8_t { fresh, running, ended, killed };
  struct Seat {
    SimRing* ring = nullptr;
    Instant busy_until;
    Instant wakes_at = Instant::never();
    uint64_t alarm = 0;  // the only scheduled turn that counts
  };

  Result<void> make_all();
  void wake(size_t index, Instant when);
  void turn(size_t index);
  void finish();

  Machine& machine_;
  size_t workers_;
  std::unique_ptr<reporting::Log> log_;
  std::unique_ptr<Process> process_;
  std::vector<Seat> seats_;
  State state_ = State::fresh;
  bool spool_failed_ = false;
  std::string problem_;
};

}  // namespace postring::sim
