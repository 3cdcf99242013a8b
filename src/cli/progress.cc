#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "io/clock.h"

namespace postring::cli {

namespace {

constexpr Duration kTerminalPause = Duration::milliseconds(100);
constexpr Duration kLogPause = Duration::seconds(10);
constexpr Duration kWindow = Duration::seconds(5);

}  // namespace

std::string bar_text(uint64_t done, uint64_t total, size_t columns) {
  done = std::min(done, total);
  size_t filled = total == 0 ? columns : static_cast<size_t>(done * columns / total);
  uint64_t percent = total == 0 ? 100 : done * 100 / total;
  return fmt::format("[{}{}] {:3}%", std::string(filled, '#'), std::string(columns - filled, '.'),
                     percent);
}

void RateMeter::add(Instant now, uint64_t total) {
  if (count_ == kSamples || (count_ > 1 && now - samples_[1].at > kWindow)) {
    std::move(samples_ + 1, samples_ + count_, samples_);
    --count_;
  }
  samples_[count_++] = {now, total};
}

uint64_t RateMeter::per_second() const {
  if (count_ < 2) return 0;
  const Sample& first = samples_[0];
  const Sample& last = samples_[count_ - 1];
  int64_t us = (last.at - first.at).us;
  if (us <= 0 || last.total <= first.total) return 0;
  return (last.total - first.total) * 1'000'000 / static_cast<uint64_t>(us);
}

Progress::Progress(bool quiet) : quiet_(quiet), terminal_(::isatty(STDERR_FILENO) == 1) {}

void Progress::show(std::string_view line) {
  if (quiet_) return;
  Instant now = clock_now();
  if (now - shown_ < (terminal_ ? kTerminalPause : kLogPause)) return;
  shown_ = now;
  if (terminal_) {
    fmt::print(stderr, "\r{}\033[K", line);
    open_ = true;
  } else {
    fmt::print(stderr, "{}\n", line);
  }
  std::fflush(stderr);
}

void Progress::say(std::string_view line) {
  if (terminal_ && open_) fmt::print(stderr, "\r\033[K");
  open_ = false;
  fmt::print(stderr, "{}\n", line);
}

void Progress::finish() {
  if (terminal_ && open_) fmt::print(stderr, "\n");
  open_ = false;
}

}  // namespace postring::cli
