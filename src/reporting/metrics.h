// Metrics: counters, gauges and histograms of one worker, and their sum as Prometheus text.
//
// Plain numbers of one worker, no lock: for an answer every worker copies its Metrics into a
// message, the answering one adds them and writes the text. Nothing is labelled by domain or
// address: labels are few and fixed, their number never grows with the mail.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/units.h"

namespace postring::reporting {

// What is counted. Names, helps and labels stand in metrics.cc, in this order.
enum class Counter : uint8_t {
  recipients_accepted,
  recipients_duplicate,
  recipients_rejected,
  outcomes_delivered,
  outcomes_deferred,
  outcomes_bounced,
  outcomes_expired,
  outcomes_cancelled,
  possible_duplicates,
  message_bytes_sent,
  connections_opened,
  connections_failed,
  dns_queries,
  dns_cache_hits,
  dns_failures,
  http_requests,
  http_errors_4xx,
  http_errors_5xx,
  spool_bytes_written,
  spool_commits,
  spool_segments_reclaimed,
  events_exported,
  kCount
};

// What is measured now; workers' values are added.
enum class Gauge : uint8_t {
  recipients_waiting,
  recipients_in_flight,
  connections_open,
  lanes,
  campaigns_open,
  spool_bytes,
  spool_free_bytes,
  kCount
};

enum class Histogram : uint8_t {
  commit,      // an append to its sync
  queue_wait,  // acceptance to the first attempt's begin
  delivery,    // an attempt's begin to its outcome
  kCount
};

constexpr size_t kCounters = static_cast<size_t>(Counter::kCount);
constexpr size_t kGauges = static_cast<size_t>(Gauge::kCount);
constexpr size_t kHistograms = static_cast<size_t>(Histogram::kCount);

// Upper bounds of the buckets in microseconds; one more holds what is above.
inline constexpr std::array<int64_t, 16> kBucketsUs = {
    100,     250,     500,       1'000,     2'500,      5'000,       10'000,        25'000,
    100'000, 250'000, 1'000'000, 5'000'000, 30'000'000, 300'000'000, 3'600'000'000, 86'400'000'000};

struct HistogramValues {
  std::array<uint64_t, kBucketsUs.size() + 1> buckets{};  // each its own, not cumulative
  uint64_t count = 0;
  int64_t sum_us = 0;
};

class Metrics {
 public:
  void add(Counter counter, uint64_t n = 1) { counters_[static_cast<size_t>(counter)] += n; }
  void set(Gauge gauge, uint64_t value) { gauges_[static_cast<size_t>(gauge)] = value; }
  // A negative duration counts as none.
  void observe(Histogram histogram, Duration duration);

  uint64_t count(Counter counter) const { return counters_[static_cast<size_t>(counter)]; }
  uint64_t value(Gauge gauge) const { return gauges_[static_cast<size_t>(gauge)]; }
  const HistogramValues& values(Histogram histogram) const {
    return histograms_[static_cast<size_t>(histogram)];
  }

  // Adds another worker's.
  void merge(const Metrics& other);

  // Prometheus text exposition format 0.0.4.
  std::string prometheus_text() const;

 private:
  std::array<uint64_t, kCounters> counters_{};
  std::array<uint64_t, kGauges> gauges_{};
  std::array<HistogramValues, kHistograms> histograms_{};
};

}  // namespace postring::reporting
