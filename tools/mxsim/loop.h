// One thread's event loop: file descriptors with epoll, timers, and a way to stop it from outside.
//
// Callbacks may add and remove anything, themselves too; a removed descriptor is not called again.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <queue>
#include <vector>

#include "world.h"

namespace mxsim {

class Loop {
 public:
  using Token = uint32_t;
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // `events` as for epoll (EPOLLIN, EPOLLOUT); level-triggered.
  Token add(int fd, uint32_t events, std::function<void(uint32_t)> callback);
  void modify(Token token, int fd, uint32_t events);
  void remove(Token token, int fd);
  void after_ms(uint64_t delay_ms, std::function<void()> callback);
  // Called once a turn, before the callbacks.
  void each_turn(std::function<void()> callback) { each_turn_ = std::move(callback); }

  void run();
  void stop();  // from any thread or a signal handler

 private:
  struct Slot {
    std::function<void(uint32_t)> callback;
    bool active = false;
  };
  struct Timer {
    Clock::time_point at;
    uint64_t order;
    std::function<void()> callback;
    bool operator<(const Timer& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  int next_timeout_ms() const;
  void fire_timers();

  int epoll_ = -1;
  int wake_ = -1;
  std::atomic<bool> stopping_{false};
  std::deque<Slot> slots_;
  std::vector<Token> free_;
  std::vector<Token> removed_;  // of this turn
  std::priority_queue<Timer> timers_;
  uint64_t timer_order_ = 0;
  std::function<void()> each_turn_;
};

}  // namespace mxsim
