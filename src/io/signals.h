// Signals: those a daemon answers, delivered as events of a loop.
//
// Call block_signals() on the first thread before any other is started: threads inherit it. Then
// one loop watches.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace postring {

class Loop;

enum class Signal : uint8_t {
  stop,   // SIGTERM, SIGINT
  reload  // SIGHUP
};

// Blocks SIGTERM, SIGINT and SIGHUP, ignores SIGPIPE.
void block_signals();

class SignalWatch {
 public:
  // `on_signal` runs on the loop. Must go before the loop, and while no wait is going on.
  SignalWatch(Loop& loop, std::function<void(Signal)> on_signal);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  // Asks for its end; afterwards turn the loop until ended().
  void stop();
  bool ended() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace postring
