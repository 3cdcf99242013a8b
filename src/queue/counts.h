// Counts: what became of the recipients of a batch or a campaign.
#pragma once

#include <cstdint>

namespace postring::queue {

// accepted = delivered + bounced + expired + cancelled + waiting + in_flight, always.
struct Counts {
  uint64_t accepted = 0;
  uint64_t delivered = 0;
  uint64_t bounced = 0;
  uint64_t expired = 0;
  uint64_t cancelled = 0;
  uint64_t waiting = 0;
  uint64_t in_flight = 0;
  uint64_t deferrals = 0;  // attempts that ended in "deferred", no part of the sum
  uint64_t duplicate = 0;  // refused at submission, no part of the sum
  uint64_t rejected = 0;   // likewise

  uint64_t finished() const { return delivered + bounced + expired + cancelled; }
  bool adds_up() const { return accepted == finished() + waiting + in_flight; }

  Counts& operator+=(const Counts& other) {
    accepted += other.accepted;
    delivered += other.delivered;
    bounced += other.bounced;
    expired += other.expired;
    cancelled += other.cancelled;
    waiting += other.waiting;
    in_flight += other.in_flight;
    deferrals += other.deferrals;
    duplicate += other.duplicate;
    rejected += other.rejected;
    return *this;
  }
  bool operator==(const Counts&) const = default;
};

}  // namespace postring::queue
