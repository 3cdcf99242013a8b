#include "sim/run.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <type_traits>

#include "sim/canaries.h"

namespace postring::sim {
namespace {

static_assert(std::is_trivially_copyable_v<Result>);

Options options_of(const Run& run) {
  Options options = draw_options(run.seed, run.mode, run.dials);
  for (const std::string& setting : run.settings) {
    if (set_option(options, setting)) continue;
    std::fprintf(stderr, "simulate: no such option: %s\n", setting.c_str());
    std::exit(2);
  }
  if (!plant(options.plant)) {
    std::fprintf(stderr, "simulate: only simulate_canaries carries plant %ld\n", options.plant);
    std::exit(2);
  }
  return options;
}

Result result_with(const Run& run, const Options& options, World::Say say) {
  auto begun = std::chrono::steady_clock::now();
  Result result;
  marks().clear();
  {
    World world(run.seed, options, std::move(say));
    Verdict v = world.run();
    result.kind = v.kind;
    result.unseed = v.unseed;
    result.hash = v.hash;
    result.recipients = v.recipients;
    result.deliveries = v.deliveries;
    result.duplicates = v.duplicates;
    result.simulated_us = v.simulated.us;
    result.faults = v.faults;
    result.marks = marks();
    std::snprintf(result.what, sizeof(result.what), "%s", v.what.c_str());
  }
  auto took = std::chrono::steady_clock::now() - begun;
  result.real_us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
  return result;
}

bool write_result(int to, const Result& result) {
  auto bytes = reinterpret_cast<const char*>(&result);
  for (size_t done = 0; done < sizeof(result);) {
    ssize_t written = write(to, bytes + done, sizeof(result) - done);
    if (written <= 0) return false;
    done += static_cast<size_t>(written);
  }
  return true;
}

bool read_result(int from, Result& result) {
  auto bytes = reinterpret_cast<char*>(&result);
  for (size_t done = 0; done < sizeof(result);) {
    ssize_t count = read(from, bytes + done, sizeof(result) - done);
    if (count <= 0) return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

}  // namespace

std::string name_of(const Run& run) {
  std::string seed = "seed " + std::to_string(run.seed);
  return run.scenario.empty() ? seed : run.scenario + " " + seed;
}

int exit_code(const Result& result) {
  if (result.kind == Verdict::Kind::liveness) return kLiveness;
  return result.kind == Verdict::Kind::correctness ? kCorrectness : 0;
}

void print_options(const Run& run) {
  std::printf("seed %lu\n%s", run.seed, text_of(options_of(run)).c_str());
  std::fflush(stdout);
}

std::optional<Result> result_of(const Run& run, Log log) {
  Options options = options_of(run);
  World::Say say;
  if (log == Log::full) say = [](const std::string& line) { std::printf("%s\n", line.c_str()); };
  int ends[2];
  if (pipe(ends) != 0) std::exit(2);
  std::fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    bool written = write_result(ends[1], result_with(run, options, std::move(say)));
    std::exit(written ? 0 : 2);  // what leaked is found here
  }
  close(ends[1]);
  Result result;
  bool whole = read_result(ends[0], result);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!whole || status != 0) return std::nullopt;
  return result;
}

}  // namespace postring::sim
