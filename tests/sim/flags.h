// Flags: what `simulate` was told on its command line.
//
//   auto flags = read_flags(argc, argv);
//   if (!flags) complain(flags.error(), kUsage);
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/options.h"
#include "sim/run.h"

namespace postring::sim {

struct Flags {
  struct Seed {
    uint64_t number;
    std::string commit;  // whose hash it was made of; empty: a number
  };
  std::vector<Seed> seeds;
  std::vector<std::string> scenarios;  // files or folders
  std::vector<std::string> settings;   // "name value"
  Mode mode = Mode::swarm;
  uint64_t from = 1, count = 0;
  int64_t for_s = 0;
  std::string canary;
  std::string required_marks;  // a file that names them
  int64_t dials = kDials;
  int64_t minutes = 10;  // of real time, for one run
  int result_to = -1;    // a descriptor; of result_anew() alone
  bool help = false;
  bool marks = false;
  bool again = false;
  std::optional<Log> log;  // where nothing is said: full for a single run
};

extern const char* const kUsage;
// What each flag does.
extern const char* const kHelp;

// The error says which argument, and what was expected.
std::expected<Flags, std::string> read_flags(int argc, char** argv);

std::optional<uint64_t> read_number(std::string_view text);

// A number, or a commit's hash of at least seven digits; none: neither.
std::optional<uint64_t> read_seed(std::string_view text);

}  // namespace postring::sim
