// simulate: runs seeds of the simulator.
//
//     simulate [--seed N|COMMIT]... [--from N --count N] [--for 8h] [--lite | --quiet]
//              [--set "NAME VALUE"]... [--scenario FILE|FOLDER]... [--again] [--log short|full]
//              [--marks] [--require FILE]
//     simulate --canary NAME|all|list    a known bug or a lie of the machine that must break a law
//
// Without a seed, seed 1. A commit hash is a seed. First come the seed and every drawn option, last
// the verdict, the unseed and the hash of all that happened, and what a second cost. --again runs
// each seed twice and compares. Of several seeds each runs in a process of its own and says a line;
// after them comes what they came to: faults by kind, the rare paths of the product that were not
// reached, and the failures with their seeds. --marks prints how often each path was reached,
// --require names a file of those that must be.
//
// Exit: 0 all good, 127 a crash of ours, 128 it did not drain, 129 a law was broken.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "sim/canaries.h"
#include "sim/run.h"
#include "sim/summary.h"

namespace postring::sim {
namespace {

struct Flags {
  std::vector<uint64_t> seeds;
  std::vector<std::string> scenarios, settings;
  Mode mode = Mode::swarm;
  uint64_t from = 1, count = 0;
  int64_t for_s = 0;
  std::string canary;
  std::string required_marks;  // a file that names them
  bool marks = false;
  bool again = false;
  bool full = false;
};

uint64_t parse_seed(const std::string& text) {
  uint64_t seed = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  bool number = error == std::errc{} && end == text.data() + text.size();
  return number ? seed : hash64(text);
}

int64_t parse_seconds(const std::string& text) {
  int64_t number = std::atoll(text.c_str());
  if (text.ends_with('h')) return number * 3'600;
  if (text.ends_with('m')) return number * 60;
  return number;
}

std::optional<Flags> parse(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i < argc; ++i) {
    std::string flag = argv[i];
    std::string value = i + 1 < argc ? argv[i + 1] : "";
    if (flag == "--lite") flags.mode = Mode::lite;
    else if (flag == "--quiet") flags.mode = Mode::quiet;
    else if (flag == "--again") flags.again = true;
    else if (flag == "--marks") flags.marks = true;
    else if (i + 1 == argc) return std::nullopt;
    else if (++i, flag == "--seed") flags.seeds.push_back(parse_seed(value));
    else if (flag == "--from") flags.from = parse_seed(value);
    else if (flag == "--count") flags.count = parse_seed(value);
    else if (flag == "--for") flags.for_s = parse_seconds(value);
    else if (flag == "--set") flags.settings.push_back(value);
    else if (flag == "--scenario") flags.scenarios.push_back(value);
    else if (flag == "--require") flags.required_marks = value;
    else if (flag == "--canary") flags.canary = value;
    else if (flag == "--log") flags.full = value == "full";
    else return std::nullopt;
  }
  return flags;
}

// A scenario: "seed N", each a run; "mode lite", "dials N", and options that differ from what they
// draw; # is a comment. Empty: it cannot be read.
std::vector<Run> read_scenario(const std::string& file, const Flags& flags) {
  std::ifstream in(file);
  Run run;
  run.scenario = file;
  std::vector<uint64_t> seeds;
  std::string line;
  while (std::getline(in, line)) {
    if (line.empty() || line[0] == '#') continue;
    if (line.starts_with("seed ")) seeds.push_back(parse_seed(line.substr(5)));
    else if (line.starts_with("dials ")) run.dials = std::atoll(line.c_str() + 6);
    else if (line == "mode lite") run.mode = Mode::lite;
    else if (line == "mode quiet") run.mode = Mode::quiet;
    else if (line != "mode swarm") run.settings.push_back(line);
  }
  run.settings.insert(run.settings.end(), flags.settings.begin(), flags.settings.end());
  std::vector<Run> runs;
  for (uint64_t seed : seeds) {
    run.seed = seed;
    runs.push_back(run);
  }
  return runs;
}

// A folder stands for every file in it, by name.
std::vector<std::string> files_of(const std::string& scenario) {
  if (!std::filesystem::is_directory(scenario)) return {scenario};
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(scenario)) {
    files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void run_one(const Run& run, bool apart, bool again, Summary& summary) {
  std::optional<Result> result = apart ? result_apart(run) : result_aloud(run);
  summary.add(run, result);
  if (again && result) {
    std::optional<Result> second = result_apart(run);
    bool same = second && second->hash == result->hash && second->unseed == result->unseed;
    if (!same) summary.differs(run);
  }
  std::fflush(stdout);
}

int run_all(const Flags& flags) {
  std::vector<Run> runs;
  for (const std::string& scenario : flags.scenarios) {
    for (const std::string& file : files_of(scenario)) {
      std::vector<Run> read = read_scenario(file, flags);
      if (read.empty()) {
        std::fprintf(stderr, "simulate: %s cannot be read, or has no seed\n", file.c_str());
        return 2;
      }
      runs.insert(runs.end(), read.begin(), read.end());
    }
  }
  for (uint64_t seed : flags.seeds) runs.push_back({seed, flags.mode, "", flags.settings});
  uint64_t count = flags.count;
  if (runs.empty() && count == 0 && flags.for_s == 0) count = 1;
  for (uint64_t i = 0; i < count; ++i) {
    runs.push_back({flags.from + i, flags.mode, "", flags.settings});
  }
  Summary summary;
  bool several = runs.size() > 1 || flags.for_s > 0;
  for (const Run& run : runs) run_one(run, several && !flags.full, flags.again, summary);
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(flags.for_s);
  for (uint64_t seed = flags.from; std::chrono::steady_clock::now() < end; ++seed) {
    run_one({seed, flags.mode, "", flags.settings}, true, flags.again, summary);
  }
  if (!flags.required_marks.empty()) summary.require_marks(flags.required_marks);
  if (several) summary.print();
  if (flags.marks) summary.print_marks();
  return summary.exit_status();
}

// What must be found, within so many seeds; the same seed without it passes.
constexpr uint64_t kCanarySeeds = 20;

bool is_found(const Planted& canary) {
  for (uint64_t seed = 1; seed <= kCanarySeeds; ++seed) {
    Run plain{seed, Mode::lite, "", canary.settings};
    Run with = plain;
    with.settings.push_back("plant " + std::to_string(canary.plant));
    std::optional<Result> planted = result_apart(with);
    if (planted && planted->kind == Verdict::Kind::good) continue;
    std::optional<Result> result = result_apart(plain);
    if (!result || result->kind != Verdict::Kind::good) continue;
    std::printf("ok canary %s: seed %lu: %s\n", canary.name, seed,
                planted ? planted->what : "the daemon ended itself");
    std::fflush(stdout);
    return true;
  }
  std::printf("not ok canary %s: not found in %lu seeds\n", canary.name, kCanarySeeds);
  return false;
}

int run_canaries(const std::string& name) {
  bool all = true, known = name == "list";
  for (const Planted& canary : canaries()) {
    if (name == "list") std::printf("%s\n", canary.name);
    if (name != "all" && name != canary.name) continue;
    known = true;
    all = is_found(canary) && all;
  }
  return !known ? 2 : all ? 0 : 1;
}

}  // namespace
}  // namespace postring::sim

int main(int argc, char** argv) {
  auto flags = postring::sim::parse(argc, argv);
  if (!flags) {
    std::fprintf(stderr,
                 "usage: simulate [--seed N|COMMIT]... [--from N --count N] [--for 8h] [--lite | "
                 "--quiet]\n  [--set \"NAME VALUE\"]... [--scenario FILE|FOLDER]... [--again] "
                 "[--log short|full]\n  [--marks] [--require FILE]\n");
    return 2;
  }
  if (!flags->canary.empty()) return postring::sim::run_canaries(flags->canary);
  return postring::sim::run_all(*flags);
}
