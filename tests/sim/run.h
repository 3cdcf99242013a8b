// Run: one seed under its options, and what came of it.
//
//   auto result = result_of({7, Mode::lite});   // none: the daemon ended itself
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/marks.h"
#include "sim/options.h"
#include "sim/world.h"

namespace postring::sim {

struct Run {
  uint64_t seed = 1;
  Mode mode = Mode::swarm;
  std::string scenario = {};  // its file
  std::vector<std::string> settings = {};  // "name value"
  int64_t dials = kDials;
  std::string commit = {};    // whose hash the seed was made of
  int64_t minutes_max = 10;   // of real time: who takes longer does not come to an end
};

std::string name_of(const Run& run);
// The command that runs it again.
std::string command_of(const Run& run);

// As a child process hands it to its parent: plain bytes.
struct Result {
  Verdict::Kind kind = Verdict::Kind::good;
  uint64_t unseed = 0, hash = 0, recipients = 0, deliveries = 0, duplicates = 0;
  int64_t simulated_us = 0;
  int64_t real_us = 0;
  FaultCounts faults;
  MarkCounts marks;
  char what[2'000] = {};
};

constexpr int kCrash = 127, kLiveness = 128, kCorrectness = 129;
int exit_code(const Result& result);

// Says mode, seed and options. Ends the program where a setting is unknown, as the following does.
void print_options(const Run& run);

enum class Log : uint8_t { none, full };  // full: says everything that happens

// In a process of its own: a check that fails in it ends only that run.
std::optional<Result> result_of(const Run& run, Log log = Log::none);

// The same in a program started anew, whose memory lies elsewhere.
std::optional<Result> result_anew(const Run& run);
// What that program does: the result goes to the descriptor.
int hand_over_result(const Run& run, int to);

}  // namespace postring::sim
