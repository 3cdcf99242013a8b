// Timers: what has to happen at an instant. An intrusive heap: arming, moving and disarming cost
// O(log n) and no memory beyond one pointer per armed timer.
//
//   timer_.bind<&Connection::on_timeout>(this);
//   timers.arm(timer_, now + Duration::minutes(5));   // again: moves it
//
// A timer disarms itself when it goes or fires. Timers of one instant fire in the order of arming.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "base/units.h"

namespace postring {

class Timers;

class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();

  template <auto Method, typename Owner>
  void bind(Owner* owner) {
    owner_ = owner;
    call_ = [](void* target) { (static_cast<Owner*>(target)->*Method)(); };
  }
  bool armed() const { return heap_ != nullptr; }
  Instant when() const { return when_; }

 private:
  friend class Timers;
  void* owner_ = nullptr;
  void (*call_)(void*) = nullptr;
  Timers* heap_ = nullptr;
  Instant when_;
  uint64_t order_ = 0;
  size_t index_ = 0;
};

class Timers {
 public:
  Timers() = default;
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;
  ~Timers();

  void arm(Timer& timer, Instant when);
  void disarm(Timer& timer);
  // The earliest armed instant, Instant::never() for none.
  Instant next() const;
  // Fires what is due at `now`, at most as many as were armed before the call.
  void fire(Instant now);

 private:
  static bool before(const Timer& a, const Timer& b);
  void place(Timer* timer, size_t index);
  void sift_up(size_t index);
  void sift_down(size_t index);
  void remove(Timer& timer);

  std::vector<Timer*> heap_;
  uint64_t order_ = 0;
};

}  // namespace postring
