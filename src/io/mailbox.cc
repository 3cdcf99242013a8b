#include "io/mailbox.h"

#include <atomic>
#include <bit>
#include <vector>

namespace postring {

// A ring of one poster and one taker. Each side works on its own index and publishes it once; they
// lie on cache lines of their own.
struct Mailbox::State {
  std::vector<Job> slots;
  size_t mask;

  alignas(64) std::atomic<size_t> published{0};  // written by the poster
  alignas(64) std::atomic<size_t> taken{0};      // written by the taker
  alignas(64) size_t posted = 0;                 // the poster's own
  size_t taken_seen = 0;                         // the poster's last look at `taken`
  alignas(64) size_t taking = 0;                 // the taker's own
};

Mailbox::Mailbox(size_t capacity) : state_(std::make_unique<State>()) {
  size_t size = std::bit_ceil(capacity);
  state_->slots.resize(size);
  state_->mask = size - 1;
}

Mailbox::~Mailbox() = default;

bool Mailbox::post(Job& job) {
  State& s = *state_;
  if (s.posted - s.taken_seen == s.slots.size()) {
    s.taken_seen = s.taken.load(std::memory_order_acquire);
    if (s.posted - s.taken_seen == s.slots.size()) return false;
  }
  s.slots[s.posted & s.mask] = std::move(job);
  ++s.posted;
  return true;
}

bool Mailbox::publish() {
  State& s = *state_;
  if (s.published.load(std::memory_order_relaxed) == s.posted) return false;
  s.published.store(s.posted, std::memory_order_release);
  return true;
}

size_t Mailbox::take(size_t jobs_max) {
  State& s = *state_;
  size_t end = s.published.load(std::memory_order_acquire);
  size_t count = 0;
  while (s.taking != end && count < jobs_max) {
    Job job = std::move(s.slots[s.taking & s.mask]);
    ++s.taking;
    ++count;
    job();
  }
  if (count > 0) s.taken.store(s.taking, std::memory_order_release);
  return count;
}

bool Mailbox::waiting() const {
  return state_->published.load(std::memory_order_acquire) != state_->taking;
}

}  // namespace postring
