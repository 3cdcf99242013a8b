// SpoolHolds: the homes whose mail stands still because outcomes find no room (queue::SpoolHold),
// as this worker has heard of them. Empty unless a disk is full.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "mail/ids.h"
#include "queue/lease.h"

namespace postring::delivery {

class SpoolHolds {
 public:
  bool empty() const { return holds_.empty(); }
  queue::SpoolHold of(SliceNumber slice) const {
    for (const auto& [held, hold] : holds_)
      if (held == slice) return hold;
    return queue::SpoolHold::none;
  }
  // There is a home of which no content may leave.
  bool stop_contents() const {
    return std::ranges::any_of(
        holds_, [](const auto& held) { return held.second == queue::SpoolHold::contents; });
  }
  // No content of the recipient's message may leave.
  bool stop(RecipientId recipient) const {
    return !empty() && of(slice_of(recipient)) == queue::SpoolHold::contents;
  }
  void set(SliceNumber slice, queue::SpoolHold hold) {
    std::erase_if(holds_, [slice](const auto& held) { return held.first == slice; });
    if (hold != queue::SpoolHold::none) holds_.emplace_back(slice, hold);
  }

 private:
  std::vector<std::pair<SliceNumber, queue::SpoolHold>> holds_;
};

}  // namespace postring::delivery
