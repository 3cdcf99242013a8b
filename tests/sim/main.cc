// simulate: runs seeds of the simulator; flags.h says what it takes.
//
// First come the seed and every drawn option, last the verdict, the unseed and the hash of all that
// happened, and what a second cost. --again runs each seed twice, the second time in a program
// started anew, and compares. Of several seeds each says a line, and what failed the command that
// repeats it; after them comes what they came to: faults by kind, the rare paths of the product
// that were not reached, and the failures. --marks prints how often each path was reached,
// --require names a file of those that must be.
//
// Exit: 0 all good, 127 a crash of ours, 128 it did not drain, 129 a law was broken.
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "sim/canaries.h"
#include "sim/flags.h"
#include "sim/run.h"
#include "sim/scenario.h"
#include "sim/summary.h"

namespace postring::sim {
namespace {

void run_one(const Run& run, Log log, bool again, Summary& summary) {
  if (log == Log::full) print_options(run);
  std::optional<Result> result = result_of(run, log);
  summary.add(run, result);
  if (again && result) {
    std::optional<Result> second = result_anew(run);
    bool same = second && second->hash == result->hash && second->unseed == result->unseed;
    if (!same) summary.differs(run);
  }
  std::fflush(stdout);
}

Run run_of(const Flags& flags, uint64_t seed, const std::string& commit = {}) {
  Run run{seed, flags.mode, "", flags.settings};
  run.dials = flags.dials;
  run.commit = commit;
  run.minutes_max = flags.minutes;
  return run;
}

int run_all(const Flags& flags) {
  std::vector<Run> runs;
  for (const std::string& scenario : flags.scenarios) {
    auto read = read_scenario(scenario, flags.settings);
    if (!read) {
      std::fprintf(stderr, "simulate: %s\n", read.error().c_str());
      return 2;
    }
    for (Run& run : *read) run.minutes_max = flags.minutes;
    runs.insert(runs.end(), read->begin(), read->end());
  }
  for (const auto& [seed, commit] : flags.seeds) runs.push_back(run_of(flags, seed, commit));
  uint64_t count = flags.count;
  if (runs.empty() && count == 0 && flags.for_s == 0) count = 1;
  for (uint64_t i = 0; i < count; ++i) {
    runs.push_back(run_of(flags, flags.from + i));
  }
  Summary summary;
  bool several = runs.size() > 1 || flags.for_s > 0;
  Log log = flags.log.value_or(several ? Log::none : Log::full);
  if (!several && log == Log::none) print_options(runs[0]);
  for (const Run& run : runs) run_one(run, log, flags.again, summary);
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(flags.for_s);
  for (uint64_t seed = flags.from; std::chrono::steady_clock::now() < end; ++seed) {
    run_one(run_of(flags, seed), log, flags.again, summary);
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
    std::optional<Result> planted = result_of(with);
    if (planted && planted->kind == Verdict::Kind::good) continue;
    std::optional<Result> result = result_of(plain);
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
  if (!carries_product_bugs()) {
    std::fprintf(stderr, "simulate: only simulate_canaries carries bugs of the product\n");
    return 2;
  }
  bool all = true, known = name == "list";
  for (const Planted& canary : canaries()) {
    if (name == "list") std::printf("%s\n", canary.name);
    if (name != "all" && name != canary.name) continue;
    known = true;
    all = is_found(canary) && all;
  }
  if (known) return all ? 0 : 1;
  std::fprintf(stderr, "simulate: no canary '%s'; --canary list names them\n", name.c_str());
  return 2;
}

}  // namespace
}  // namespace postring::sim

int main(int argc, char** argv) {
  auto flags = postring::sim::read_flags(argc, argv);
  if (!flags) {
    std::fprintf(stderr, "simulate: %s\n%s", flags.error().c_str(), postring::sim::kUsage);
    return 2;
  }
  if (flags->help) {
    std::printf("%s%s", postring::sim::kUsage, postring::sim::kHelp);
    return 0;
  }
  if (flags->result_to >= 0 && flags->seeds.size() == 1) {
    return postring::sim::hand_over_result(
        postring::sim::run_of(*flags, flags->seeds[0].number), flags->result_to);
  }
  if (!flags->canary.empty()) return postring::sim::run_canaries(flags->canary);
  return postring::sim::run_all(*flags);
}
