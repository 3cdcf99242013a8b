#include "http/server.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/time_text.h"
#include "http/connection.h"
#include "io/socket.h"

namespace postring::http {
namespace {

// How long to wait where the system had no descriptor or memory for a connection.
constexpr Duration kAcceptPause = Duration::milliseconds(100);

}  // namespace

struct Server::State final : ConnectionHost, std::enable_shared_from_this<Server::State> {
  // One listening descriptor.
  struct Listener {
    Listener(State& owner, int descriptor) : state(owner), listener(descriptor) {
      accept.bind<&Listener::on_accepted>(this);
      retry.bind<&Listener::begin>(this);
    }

    void begin() {
      if (state.stopping_ || accept.busy() || retry.armed() || waiting >= 0) return;
      state.loop_.ring().accept(accept, listener);
    }

    void on_accepted(int32_t result) {
      if (state.stopping_) {
        if (result >= 0) close_descriptor(result);
        state.close_listeners();
        return;
      }
      if (result >= 0) {
        waiting = result;
        state.give_places();
      } else {
        state.loop_.timers().arm(retry, state.loop_.now() + kAcceptPause);
      }
      begin();
    }

    State& state;
    int listener;
    int waiting = -1;  // accepted, and without a place; the rest waits in the kernel's backlog
    Completion accept;
    Timer retry;
  };

  State(Loop& loop, const Router& router, const Limits& limits)
      : loop_(loop), router_(router), limits_(limits) {
    patience_.bind<&State::on_out_of_patience>(this);
  }

  Loop& loop() override { return loop_; }
  const Router& router() const override { return router_; }
  const Limits& limits() const override { return limits_; }
  bool stopping() const override { return stopping_; }
  void count_request() override { ++counters_.requests; }
  void count_answer(uint16_t status) override {
    if (status / 100 == 4) ++counters_.answers_4xx;
    if (status / 100 == 5) ++counters_.answers_5xx;
  }
  void count_unread(int64_t bytes) override { unread_bytes_ += bytes; }
  bool place_wanted() const override {
    return std::any_of(listeners_.begin(), listeners_.end(),
                       [](const auto& listener) { return listener->waiting >= 0; });
  }
  bool too_much_unread() const override {
    return unread_bytes_ > static_cast<int64_t>(limits_.unread_bytes);
  }

  std::string_view date() override {
    int64_t second = loop_.wall_now().whole_seconds();
    if (second != date_second_) {
      date_second_ = second;
      date_ = rfc5322_date(WallTime::from_seconds(second));
      date_.replace(date_.rfind(' ') + 1, std::string::npos, "GMT");
    }
    return date_;
  }

  // In the next turn, unless the server is gone by then.
  template <auto Method>
  void later() {
    loop_.defer([weak = weak_from_this()] {
      if (auto state = weak.lock()) ((*state).*Method)();
    });
  }

  // Opens who waits, as far as there are places; where there are none, who is idle longest leaves.
  void give_places() {
    for (auto& listener : listeners_) {
      if (listener->waiting < 0) continue;
      if (open_ < limits_.connections) {
        open(std::exchange(listener->waiting, -1));
      } else {
        close_longest_idle();
      }
      listener->begin();
    }
  }

  void close_longest_idle() {
    Connection* longest = nullptr;
    for (const auto& connection : connections_) {
      auto since = connection->idle_since();
      if (since && (longest == nullptr || *since < *longest->idle_since())) {
        longest = connection.get();
      }
    }
    if (longest != nullptr) longest->close();
  }

  void open(int socket) {
    ++open_;
    connections_.push_back(std::make_unique<Connection>(*this, socket));
    connections_.back()->start();
  }

  void on_closed(Connection* connection) override {
    closed_.push_back(connection);
    if (closed_.size() == 1) {
      later<&State::reap>();
    }
  }

  void reap() {
    std::vector<Connection*> closed = std::move(closed_);
    closed_.clear();
    for (Connection* connection : closed) {
      auto found = std::find_if(connections_.begin(), connections_.end(),
                                [&](const auto& entry) { return entry.get() == connection; });
      CHECK(found != connections_.end());
      std::swap(*found, connections_.back());
      connections_.pop_back();
      --open_;
    }
    if (stopping_) {
      finish_stop();
      return;
    }
    give_places();
  }

  void stop(Duration patience, std::function<void()> stopped) {
    CHECK(!stopping_, "a server stops once");
    stopping_ = true;
    stopped_ = std::move(stopped);
    for (auto& listener : listeners_) {
      loop_.timers().disarm(listener->retry);
      if (listener->accept.busy()) loop_.ring().cancel(listener->accept);
      if (listener->waiting >= 0) close_descriptor(std::exchange(listener->waiting, -1));
    }
    close_listeners();
    for (auto& connection : connections_) connection->stop_soon();
    loop_.timers().arm(patience_, loop_.now() + patience);
    if (listeners_.empty() && connections_.empty()) {
      later<&State::finish_stop>();
    }
  }

  void close_listeners() {
    for (auto& listener : listeners_) {
      if (listener->accept.busy() || listener->listener < 0) continue;
      close_descriptor(listener->listener);
      listener->listener = -1;
    }
    if (!listening()) later<&State::finish_stop>();
  }

  bool listening() const {
    for (const auto& listener : listeners_) {
      if (listener->listener >= 0) return true;
    }
    return false;
  }

  void finish_stop() {
    if (!stopped_ || listening() || !connections_.empty()) return;
    loop_.timers().disarm(patience_);
    auto stopped = std::move(stopped_);
    stopped_ = nullptr;
    stopped();
  }

  void on_out_of_patience() {
    for (auto& connection : connections_) connection->close();
  }

  Loop& loop_;
  const Router& router_;
  Limits limits_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> closed_;
  size_t open_ = 0;
  ServerCounters counters_;
  int64_t unread_bytes_ = 0;
  bool stopping_ = false;
  std::function<void()> stopped_;
  Timer patience_;
  std::string date_;
  int64_t date_second_ = -1;
};

Server::Server(Loop& loop, const Router& router, const Limits& limits)
    : state_(std::make_shared<State>(loop, router, limits)) {}

Server::~Server() {
  CHECK(!state_->listening() && state_->connections_.empty(),
        "a server goes only after stop() called back");
}

void Server::listen(int listener) {
  CHECK(!state_->stopping_);
  state_->listeners_.push_back(std::make_unique<State::Listener>(*state_, listener));
  state_->listeners_.back()->begin();
}

void Server::set_limits(const Limits& limits) {
  state_->limits_ = limits;
  if (!state_->stopping_) state_->give_places();
}

void Server::stop(Duration patience, std::function<void()> stopped) {
  state_->stop(patience, std::move(stopped));
}

size_t Server::connections() const {
  return state_->open_;
}
const ServerCounters& Server::counters() const {
  return state_->counters_;
}

}  // namespace postring::http
