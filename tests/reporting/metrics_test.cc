#include "reporting/metrics.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>
#include <string>

namespace postring::reporting {
namespace {

std::map<std::string, std::string> series_of(const std::string& text) {
  std::map<std::string, std::string> series;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) continue;
    size_t blank = line.rfind(' ');
    EXPECT_TRUE(series.emplace(line.substr(0, blank), line.substr(blank + 1)).second) << line;
  }
  return series;
}

TEST(Metrics, CountersGaugesAndHistogramsAdd) {
  Metrics a, b;
  a.add(Counter::outcomes_delivered, 3);
  b.add(Counter::outcomes_delivered);
  a.set(Gauge::recipients_waiting, 5);
  b.set(Gauge::recipients_waiting, 6);
  a.observe(Histogram::commit, Duration::microseconds(250));
  b.observe(Histogram::commit, Duration::microseconds(251));
  b.observe(Histogram::commit, Duration::days(30));
  b.observe(Histogram::commit, Duration::microseconds(-1));
  a.merge(b);
  auto series = series_of(a.prometheus_text());
  EXPECT_EQ(series["postring_outcomes_total{outcome=\"delivered\"}"], "4");
  EXPECT_EQ(series["postring_outcomes_total{outcome=\"bounced\"}"], "0");
  EXPECT_EQ(series["postring_recipients{state=\"waiting\"}"], "11");
  EXPECT_EQ(series["postring_commit_seconds_bucket{le=\"0.0001\"}"], "1");
  EXPECT_EQ(series["postring_commit_seconds_bucket{le=\"0.00025\"}"], "2");
  EXPECT_EQ(series["postring_commit_seconds_bucket{le=\"0.0005\"}"], "3");
  EXPECT_EQ(series["postring_commit_seconds_bucket{le=\"86400\"}"], "3");
  EXPECT_EQ(series["postring_commit_seconds_bucket{le=\"+Inf\"}"], "4");
  EXPECT_EQ(series["postring_commit_seconds_count"], "4");
  EXPECT_EQ(series["postring_commit_seconds_sum"], "2592000.000501");
}

// The text exposition format, version 0.0.4: HELP and TYPE once per name, before its series.
TEST(Metrics, TextHasTheFormat) {
  std::string text = Metrics().prometheus_text();
  EXPECT_TRUE(text.ends_with('\n'));
  std::istringstream lines(text);
  std::set<std::string> seen;
  std::string current;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) {
      current = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(seen.insert(current).second) << line;
      EXPECT_GT(line.size(), 7 + current.size() + 1) << "no help for " << current;
    } else if (line.starts_with("# TYPE ")) {
      EXPECT_EQ(line.substr(7, line.find(' ', 7) - 7), current);
    } else {
      size_t name_end = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz_");
      EXPECT_TRUE(line.substr(0, name_end).starts_with(current)) << line;
      size_t value = line.rfind(' ') + 1;
      EXPECT_EQ(line.find_first_not_of("0123456789.", value), std::string::npos) << line;
      std::string labels = line.substr(name_end, value - 1 - name_end);
      EXPECT_TRUE(labels.empty() || (labels.starts_with("{") && labels.ends_with("\"}"))) << line;
    }
  }
  EXPECT_GT(seen.size(), 15u);
}

TEST(Metrics, NoLabelGrowsWithTheMail) {
  std::string text = Metrics().prometheus_text();
  for (const char* label : {"domain=", "address=", "host=", "campaign=", "tenant=", "site="})
    EXPECT_EQ(text.find(label), std::string::npos) << label;
}

}  // namespace
}  // namespace postring::reporting
