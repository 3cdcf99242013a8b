// Scenario: runs that are kept in a file, each line of it one of
//
//   # a comment               what was wrong
//   seed N                    a run with it; several seeds are several runs
//   mode swarm|lite|quiet     swarm where nothing is said
//   dials N                   of an earlier generation (options.h)
//   NAME VALUE                an option that differs from what the seed draws
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "sim/run.h"

namespace postring::sim {

// Of a file, or of every file in a folder, by name; `settings` come last. The error says file, line
// and what was expected.
std::expected<std::vector<Run>, std::string> read_scenario(
    const std::string& path, const std::vector<std::string>& settings);

}  // namespace postring::sim
