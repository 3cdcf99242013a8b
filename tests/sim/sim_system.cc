// The small seams in virtual time: clock, entropy, interfaces, signals.
#include "io/clock.h"
#include "io/entropy.h"
#include "io/interfaces.h"
#include "io/loop.h"
#include "io/signals.h"
#include "sim/machine.h"
#include "sim/sim_ring.h"

namespace postring {

Instant clock_now() { return sim::machine().schedule.now(); }

WallTime clock_wall() {
  sim::Machine& machine = sim::machine();
  return machine.wall.at(machine.schedule.now());
}

void fill_with_entropy(std::span<std::byte> bytes) {
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(sim::machine().entropy.next());
}

uint64_t entropy_word() { return sim::machine().entropy.next(); }

std::vector<IpAddress> own_addresses() {
  return {IpAddress::v4(127, 0, 0, 1), IpAddress::v4(192, 0, 2, 1)};
}

std::string machine_name() { return "mail.sender.example"; }

void block_signals() {}

struct SignalWatch::State {
  Loop& loop;
  bool stopping = false;
  bool ended = false;
};

SignalWatch::SignalWatch(Loop& loop, std::function<void(Signal)> on_signal)
    : state_(std::make_unique<State>(loop)) {
  sim::machine().on_signal = [state = state_.get(), on_signal](Signal signal) {
    static_cast<sim::SimRing&>(state->loop.ring()).post([state, on_signal, signal] {
      if (!state->stopping) on_signal(signal);
    });
  };
}

SignalWatch::~SignalWatch() { sim::machine().on_signal = nullptr; }

void SignalWatch::stop() {
  state_->stopping = true;
  static_cast<sim::SimRing&>(state_->loop.ring()).post([state = state_.get()] {
    state->ended = true;
    if (sim::machine().on_watch_ended) sim::machine().on_watch_ended();
  });
}

bool SignalWatch::ended() const { return state_->ended; }

}  // namespace postring
