// Completion: one operation on the ring, embedded in whoever waits for it.
//
//   completion_.bind<&Connection::on_received>(this);
//   ring.receive(completion_, socket, buffer);
//
// The callback gets the result: >= 0 as the system call gives it, or -errno. From the start of an
// operation until its callback the completion and every buffer given with it belong to the kernel:
// neither may move or go. Cancelling is a request, never a fact: the callback still comes, with
// -ECANCELED or with a result that was faster.
#pragma once

#include <cstdint>

#include "base/check.h"

namespace postring {

class Completion {
 public:
  Completion() = default;
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;
  ~Completion() { CHECK(!busy_, "an operation outlives its owner"); }

  // The member function is called as (owner->*Method)(int32_t result).
  template <auto Method, typename Owner>
  void bind(Owner* owner) {
    CHECK(!busy_);
    owner_ = owner;
    call_ = [](void* target, int32_t result) { (static_cast<Owner*>(target)->*Method)(result); };
  }

  bool busy() const { return busy_; }

  // For rings only.
  void start() {
    CHECK(call_ != nullptr, "a completion must be bound before it is used");
    CHECK(!busy_, "a completion can carry one operation at a time");
    busy_ = true;
  }
  void finish(int32_t result) {
    CHECK(busy_);
    busy_ = false;
    call_(owner_, result);
  }

 private:
  void* owner_ = nullptr;
  void (*call_)(void*, int32_t) = nullptr;
  bool busy_ = false;
};

}  // namespace postring
