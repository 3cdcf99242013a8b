#include "sim/schedule.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"

namespace postring::sim {

void Schedule::at(Instant when, Job job) {
  entries_.push_back({std::max(when, now_), random_.next(), std::move(job)});
  std::push_heap(entries_.begin(), entries_.end(), later);
}

bool Schedule::step() {
  if (entries_.empty()) return false;
  std::pop_heap(entries_.begin(), entries_.end(), later);
  Entry entry = std::move(entries_.back());
  entries_.pop_back();
  CHECK(entry.when >= now_);
  now_ = entry.when;
  ++steps_;
  mix(static_cast<uint64_t>(now_.us));
  entry.job();
  return true;
}

void Schedule::note(std::string_view what, uint64_t a, uint64_t b) {
  mix(hash64(what));
  mix(a);
  mix(b);
}

void Schedule::mix(uint64_t word) {
  hash_ = (hash_ ^ word) * 0x9e3779b97f4a7c15u;
  hash_ ^= hash_ >> 29;
}

}  // namespace postring::sim
