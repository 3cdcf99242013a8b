// DueTimes: entries that wait for a time, by the second, in the order they came for it.
#pragma once

#include <cstdint>
#include <map>

#include "queue/recipients.h"

namespace postring::queue {

class DueTimes {
 public:
  explicit DueTimes(Recipients& recipients) : recipients_(recipients) {}

  // At entry.due_s.
  void add(Slot slot) {
    recipients_.push_back(seconds_[recipients_[slot].due_s], slot);
    ++count_;
  }
  void remove(Slot slot) {
    auto second = seconds_.find(recipients_[slot].due_s);
    CHECK(second != seconds_.end());
    recipients_.unlink(second->second, slot);
    if (second->second.empty()) seconds_.erase(second);
    --count_;
  }
  // The first of the earliest second, kNoSlot for none.
  Slot first() const { return seconds_.empty() ? kNoSlot : seconds_.begin()->second.head; }
  uint32_t next_s() const { return seconds_.empty() ? kNeverSeconds : seconds_.begin()->first; }
  uint64_t count() const { return count_; }

 private:
  Recipients& recipients_;
  std::map<uint32_t, EntryList> seconds_;
  uint64_t count_ = 0;
};

}  // namespace postring::queue
