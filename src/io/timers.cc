#include "io/timers.h"

namespace postring {

Timer::~Timer() {
  if (heap_ != nullptr) heap_->disarm(*this);
}

Timers::~Timers() {
  for (Timer* timer : heap_) timer->heap_ = nullptr;
}

bool Timers::before(const Timer& a, const Timer& b) {
  return a.when_ != b.when_ ? a.when_ < b.when_ : a.order_ < b.order_;
}

void Timers::place(Timer* timer, size_t index) {
  heap_[index] = timer;
  timer->index_ = index;
}

void Timers::sift_up(size_t index) {
  Timer* timer = heap_[index];
  while (index > 0) {
    size_t parent = (index - 1) / 2;
    if (!before(*timer, *heap_[parent])) break;
    place(heap_[parent], index);
    index = parent;
  }
  place(timer, index);
}

void Timers::sift_down(size_t index) {
  Timer* timer = heap_[index];
  for (;;) {
    size_t child = index * 2 + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && before(*heap_[child + 1], *heap_[child])) ++child;
    if (!before(*heap_[child], *timer)) break;
    place(heap_[child], index);
    index = child;
  }
  place(timer, index);
}

void Timers::arm(Timer& timer, Instant when) {
  CHECK(timer.call_ != nullptr, "a timer must be bound before it is armed");
  CHECK(timer.heap_ == nullptr || timer.heap_ == this);
  timer.order_ = ++order_;
  if (timer.heap_ == this) {
    timer.when_ = when;
    sift_up(timer.index_);
    sift_down(timer.index_);
    return;
  }
  timer.heap_ = this;
  timer.when_ = when;
  heap_.push_back(&timer);
  timer.index_ = heap_.size() - 1;
  sift_up(timer.index_);
}

void Timers::disarm(Timer& timer) {
  if (timer.heap_ == nullptr) return;
  CHECK(timer.heap_ == this);
  remove(timer);
}

void Timers::remove(Timer& timer) {
  size_t index = timer.index_;
  CHECK(heap_[index] == &timer);
  timer.heap_ = nullptr;
  Timer* last = heap_.back();
  heap_.pop_back();
  if (last == &timer) return;
  place(last, index);
  sift_up(index);
  sift_down(last->index_);
}

Instant Timers::next() const { return heap_.empty() ? Instant::never() : heap_[0]->when_; }

void Timers::fire(Instant now) {
  // What a callback arms for the past waits for the next call, or one turn could last for ever.
  uint64_t last_order = order_;
  while (!heap_.empty() && heap_[0]->when_ <= now && heap_[0]->order_ <= last_order) {
    Timer* timer = heap_[0];
    remove(*timer);
    timer->call_(timer->owner_);
  }
}

}  // namespace postring
