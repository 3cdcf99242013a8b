// Progress: one line on a terminal that is written over and over, or a line now and then in a log.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/units.h"

namespace postring::cli {

// "[#####.....]  50%": `done` of `total` in `columns` characters between the brackets.
std::string bar_text(uint64_t done, uint64_t total, size_t columns);

// Units per second over about the last five seconds, in whole numbers.
class RateMeter {
 public:
  void add(Instant now, uint64_t total);
  uint64_t per_second() const;

 private:
  static constexpr size_t kSamples = 16;
  struct Sample {
    Instant at;
    uint64_t total = 0;
  };
  Sample samples_[kSamples];
  size_t count_ = 0;
};

class Progress {
 public:
  // Silent where `quiet`; overwrites its line where standard error is a terminal.
  explicit Progress(bool quiet);
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(std::string_view line);
  // A line of its own, over the progress.
  void say(std::string_view line);
  void finish();

 private:
  bool quiet_;
  bool terminal_;
  bool open_ = false;
  Instant shown_{-1'000'000'000};
};

}  // namespace postring::cli
