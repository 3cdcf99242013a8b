// Window: how many may be at it at once.
//
//   if (!window.take()) wait; ... window.give_back();
//
// The limit may shrink below what is taken: nothing new is granted until enough came back.
#pragma once

#include <cstdint>

#include "base/check.h"

namespace postring::throttle {

class Window {
 public:
  explicit Window(uint32_t limit) : limit_(limit) {}

  bool take() {
    if (taken_ >= limit_) return false;
    ++taken_;
    return true;
  }
  void give_back() {
    CHECK(taken_ > 0, "more came back than was taken");
    --taken_;
  }
  void change(uint32_t limit) { limit_ = limit; }

  uint32_t limit() const { return limit_; }
  uint32_t taken() const { return taken_; }
  bool full() const { return taken_ >= limit_; }

 private:
  uint32_t limit_;
  uint32_t taken_ = 0;
};

}  // namespace postring::throttle
