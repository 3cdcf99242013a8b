#include "reporting/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace postring::reporting {

namespace {

struct Described {
  std::string_view name;
  std::string_view labels;  // as between { and }
  std::string_view help;
};

// Series of one name stand together, as the format wants it.
constexpr std::array<Described, kCounters> kCounterTexts = {{
    {"postring_recipients_submitted_total", "result=\"accepted\"", "Recipients submitted."},
    {"postring_recipients_submitted_total", "result=\"duplicate\"", ""},
    {"postring_recipients_submitted_total", "result=\"rejected\"", ""},
    {"postring_outcomes_total", "outcome=\"delivered\"", "Outcomes of attempts and of waiting."},
    {"postring_outcomes_total", "outcome=\"deferred\"", ""},
    {"postring_outcomes_total", "outcome=\"bounced\"", ""},
    {"postring_outcomes_total", "outcome=\"expired\"", ""},
    {"postring_outcomes_total", "outcome=\"cancelled\"", ""},
    {"postring_possible_duplicates_total", "", "Messages sent whose reply was lost."},
    {"postring_message_bytes_sent_total", "", "Bytes of message content sent."},
    {"postring_connections_total", "result=\"opened\"", "Connections to mail hosts."},
    {"postring_connections_total", "result=\"failed\"", ""},
    {"postring_dns_queries_total", "", "Questions sent to name servers."},
    {"postring_dns_cache_hits_total", "", "Lookups answered from memory."},
    {"postring_dns_failures_total", "", "Lookups put off."},
    {"postring_http_requests_total", "", "Requests answered by the API."},
    {"postring_http_errors_total", "class=\"4xx\"", "Requests answered with an error."},
    {"postring_http_errors_total", "class=\"5xx\"", ""},
    {"postring_spool_bytes_written_total", "", "Bytes appended to the spool."},
    {"postring_spool_commits_total", "", "Times the spool was made durable."},
    {"postring_spool_segments_reclaimed_total", "", "Spool files deleted after use."},
    {"postring_events_exported_total", "", "Events written for readers."},
}};

constexpr std::array<Described, kGauges> kGaugeTexts = {{
    {"postring_recipients", "state=\"waiting\"", "Recipients that have no final outcome."},
    {"postring_recipients", "state=\"in_flight\"", ""},
    {"postring_connections_open", "", "Open connections to mail hosts."},
    {"postring_lanes", "", "Pairs of source and site with mail or connections."},
    {"postring_campaigns_open", "", "Campaigns that are not complete or cancelled."},
    {"postring_spool_bytes", "", "Size of the spool's files."},
    {"postring_spool_free_bytes", "", "Free room of the spool's filesystem."},
}};

constexpr std::array<Described, kHistograms> kHistogramTexts = {{
    {"postring_commit_seconds", "", "From an append to the spool until it is durable."},
    {"postring_queue_wait_seconds", "", "From acceptance until the first attempt."},
    {"postring_delivery_seconds", "", "From the beginning of an attempt to its outcome."},
}};

void head(std::string& out, const Described& text, std::string_view type) {
  fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n", text.name, text.help,
                 text.name, type);
}

void series(std::string& out, const Described& text, uint64_t value) {
  if (text.labels.empty()) {
    fmt::format_to(std::back_inserter(out), "{} {}\n", text.name, value);
  } else {
    fmt::format_to(std::back_inserter(out), "{}{{{}}} {}\n", text.name, text.labels, value);
  }
}

// Microseconds as seconds, exactly: "0.00025", "30".
std::string seconds(int64_t us) {
  std::string text = fmt::format("{}.{:06}", us / 1'000'000, us % 1'000'000);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

template <size_t N>
void write_all(std::string& out, const std::array<Described, N>& texts,
               const std::array<uint64_t, N>& values, std::string_view type) {
  std::string_view before;
  for (size_t i = 0; i < N; ++i) {
    if (texts[i].name != before) head(out, texts[i], type);
    before = texts[i].name;
    series(out, texts[i], values[i]);
  }
}

void write_histogram(std::string& out, const Described& text, const HistogramValues& values) {
  head(out, text, "histogram");
  uint64_t below = 0;
  for (size_t i = 0; i < kBucketsUs.size(); ++i) {
    below += values.buckets[i];
    fmt::format_to(std::back_inserter(out), "{}_bucket{{le=\"{}\"}} {}\n", text.name,
                   seconds(kBucketsUs[i]), below);
  }
  fmt::format_to(std::back_inserter(out),
                 "{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2}\n{0}_count {1}\n", text.name,
                 values.count, seconds(values.sum_us));
}

}  // namespace

void Metrics::observe(Histogram histogram, Duration duration) {
  HistogramValues& values = histograms_[static_cast<size_t>(histogram)];
  int64_t us = std::max<int64_t>(duration.us, 0);
  size_t bucket =
      static_cast<size_t>(std::ranges::lower_bound(kBucketsUs, us) - kBucketsUs.begin());
  ++values.buckets[bucket];
  ++values.count;
  values.sum_us += us;
}

void Metrics::merge(const Metrics& other) {
  for (size_t i = 0; i < kCounters; ++i) counters_[i] += other.counters_[i];
  for (size_t i = 0; i < kGauges; ++i) gauges_[i] += other.gauges_[i];
  for (size_t i = 0; i < kHistograms; ++i) {
    for (size_t j = 0; j < histograms_[i].buckets.size(); ++j)
      histograms_[i].buckets[j] += other.histograms_[i].buckets[j];
    histograms_[i].count += other.histograms_[i].count;
    histograms_[i].sum_us += other.histograms_[i].sum_us;
  }
}

std::string Metrics::prometheus_text() const {
  std::string out;
  write_all(out, kCounterTexts, counters_, "counter");
  write_all(out, kGaugeTexts, gauges_, "gauge");
  for (size_t i = 0; i < kHistograms; ++i) write_histogram(out, kHistogramTexts[i], histograms_[i]);
  return out;
}

}  // namespace postring::reporting
