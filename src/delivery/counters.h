// Counters: what one worker's delivery has done since the start, for metrics.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/units.h"

namespace postring::delivery {

// Counts durations in buckets: bucket i holds what is below 2^i ms and not in an earlier one; the
// last holds the rest.
struct DurationCounts {
  static constexpr size_t kBuckets = 22;
  std::array<uint64_t, kBuckets> buckets{};
  uint64_t count = 0;
  uint64_t sum_us = 0;

  void add(Duration duration) {
    uint64_t us = duration.us > 0 ? static_cast<uint64_t>(duration.us) : 0;
    auto bucket = static_cast<size_t>(std::bit_width(us / 1'000));
    ++buckets[bucket < kBuckets ? bucket : kBuckets - 1];
    ++count;
    sum_us += us;
  }
  // The upper end of a bucket but the last.
  static constexpr Duration bound(size_t bucket) {
    return Duration::milliseconds(int64_t{1} << bucket);
  }
  DurationCounts& operator+=(const DurationCounts& other) {
    for (size_t i = 0; i < kBuckets; ++i) buckets[i] += other.buckets[i];
    count += other.count;
    sum_us += other.sum_us;
    return *this;
  }
};

struct Counters {
  uint64_t pulled = 0;  // leases
  // Recipients, by how their attempt ended.
  uint64_t delivered = 0;
  uint64_t deferred = 0;
  uint64_t bounced = 0;
  uint64_t expired = 0;
  uint64_t given_back = 0;  // went home untried
  uint64_t possible_duplicates = 0;
  uint64_t bytes_sent = 0;  // of delivered messages
  uint64_t connections_opened = 0;
  uint64_t connections_failed = 0;  // ended before the first MAIL, for whatever reason
  uint64_t lane_suspensions = 0;

  // Now.
  uint64_t connections = 0;
  uint64_t lanes = 0;
  uint64_t lanes_suspended = 0;
  uint64_t destinations = 0;       // offered by this worker's homes
  uint64_t destinations_held = 0;  // of these, without a usable answer from DNS
  uint64_t leases = 0;             // pulled by this worker's lanes and not ended

  DurationCounts delivery_time;  // of a delivered message: MAIL to the final reply
  DurationCounts queue_time;     // acceptance to MAIL, of first attempts

  Counters& operator+=(const Counters& o) {
    pulled += o.pulled;
    delivered += o.delivered;
    deferred += o.deferred;
    bounced += o.bounced;
    expired += o.expired;
    given_back += o.given_back;
    possible_duplicates += o.possible_duplicates;
    bytes_sent += o.bytes_sent;
    connections_opened += o.connections_opened;
    connections_failed += o.connections_failed;
    lane_suspensions += o.lane_suspensions;
    connections += o.connections;
    lanes += o.lanes;
    lanes_suspended += o.lanes_suspended;
    destinations += o.destinations;
    destinations_held += o.destinations_held;
    leases += o.leases;
    delivery_time += o.delivery_time;
    queue_time += o.queue_time;
    return *this;
  }
};

}  // namespace postring::delivery
