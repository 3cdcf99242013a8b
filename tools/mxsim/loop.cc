#include "loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

namespace mxsim {

Loop::Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (epoll_ < 0 || wake_ < 0) {
    std::perror("mxsim: epoll");
    std::exit(1);
  }
  add(wake_, EPOLLIN, [](uint32_t) {});
}

Loop::~Loop() {
  close(wake_);
  close(epoll_);
}

Loop::Token Loop::add(int fd, uint32_t events, std::function<void(uint32_t)> callback) {
  Token token;
  if (free_.empty()) {
    token = static_cast<Token>(slots_.size());
    slots_.emplace_back();
  } else {
    token = free_.back();
    free_.pop_back();
  }
  slots_[token] = {std::move(callback), true};
  epoll_event event{};
  event.events = events;
  event.data.u32 = token;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) std::perror("mxsim: epoll_ctl add");
  return token;
}

void Loop::modify(Token token, int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u32 = token;
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) != 0) std::perror("mxsim: epoll_ctl mod");
}

void Loop::remove(Token token, int fd) {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  slots_[token].active = false;
  removed_.push_back(token);
}

void Loop::after_ms(uint64_t delay_ms, std::function<void()> callback) {
  timers_.push(
      {Clock::now() + std::chrono::milliseconds(delay_ms), timer_order_++, std::move(callback)});
}

int Loop::next_timeout_ms() const {
  if (timers_.empty()) return -1;
  auto left = timers_.top().at - Clock::now();
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count() + 1;
  return static_cast<int>(std::clamp<int64_t>(ms, 0, 60'000));
}

void Loop::fire_timers() {
  while (!timers_.empty() && timers_.top().at <= Clock::now()) {
    auto callback = timers_.top().callback;
    timers_.pop();
    callback();
  }
}

void Loop::run() {
  std::array<epoll_event, 256> events;
  while (!stopping_.load(std::memory_order_relaxed)) {
    int count = epoll_wait(epoll_, events.data(), events.size(), next_timeout_ms());
    if (each_turn_) each_turn_();
    for (int i = 0; i < count; ++i) {
      Slot& slot = slots_[events[i].data.u32];
      if (slot.active) slot.callback(events[i].events);
    }
    if (!timers_.empty()) fire_timers();
    // Only now can no event of this turn name them any more.
    for (Token token : removed_) {
      slots_[token].callback = nullptr;
      free_.push_back(token);
    }
    removed_.clear();
  }
}

void Loop::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  uint64_t one = 1;
  if (write(wake_, &one, sizeof one) < 0) return;
}

}  // namespace mxsim
