#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "io/loop.h"
#include "io/signals.h"

namespace postring {
namespace {

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  return set;
}

}  // namespace

void block_signals() {
  sigset_t set = watched_signals();
  CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  signal(SIGPIPE, SIG_IGN);
}

struct SignalWatch::State {
  State(Loop& loop_, std::function<void(Signal)> on_signal_)
      : loop(loop_), on_signal(std::move(on_signal_)) {
    sigset_t set = watched_signals();
    descriptor = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    CHECK(descriptor >= 0, "signalfd failed");
    ready.bind<&State::on_ready>(this);
    loop.ring().poll(ready, descriptor, POLLIN);
  }
  ~State() { close(descriptor); }

  void on_ready(int32_t result) {
    if (stopping) return;
    CHECK(result >= 0, "watching signals failed");
    signalfd_siginfo info;
    while (read(descriptor, &info, sizeof(info)) == sizeof(info)) {
      on_signal(info.ssi_signo == SIGHUP ? Signal::reload : Signal::stop);
    }
    if (!stopping) loop.ring().poll(ready, descriptor, POLLIN);
  }

  Loop& loop;
  std::function<void(Signal)> on_signal;
  int descriptor;
  bool stopping = false;
  Completion ready;
};

SignalWatch::SignalWatch(Loop& loop, std::function<void(Signal)> on_signal)
    : state_(std::make_unique<State>(loop, std::move(on_signal))) {}

SignalWatch::~SignalWatch() = default;

void SignalWatch::stop() {
  state_->stopping = true;
  state_->loop.ring().cancel(state_->ready);
}

bool SignalWatch::ended() const { return state_->stopping && !state_->ready.busy(); }

}  // namespace postring
