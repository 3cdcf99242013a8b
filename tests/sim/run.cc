#include "sim/run.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
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

bool comes_within(int from, int64_t minutes) {
  pollfd asked{from, POLLIN, 0};
  auto end = std::chrono::steady_clock::now() + std::chrono::minutes(minutes);
  for (;;) {
    auto left = end - std::chrono::steady_clock::now();
    auto left_ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
    if (left_ms <= 0) return false;
    // An interrupted wait is none.
    if (poll(&asked, 1, static_cast<int>(std::min<int64_t>(left_ms, 60'000))) > 0) return true;
  }
}

// Of the child, which is ended where it takes too long.
std::optional<Result> wait_for(pid_t child, int from, const Run& run) {
  Result result;
  bool in_time = comes_within(from, run.minutes_max);
  if (!in_time) kill(child, SIGKILL);
  bool whole = in_time && read_result(from, result);
  close(from);
  int status = 0;
  waitpid(child, &status, 0);
  if (!in_time) {
    result.kind = Verdict::Kind::liveness;
    std::snprintf(result.what, sizeof(result.what), "it has not ended after %ld minutes",
                  run.minutes_max);
    return result;
  }
  if (!whole || status != 0) return std::nullopt;
  return result;
}

const char* name_of(Mode mode) {
  if (mode == Mode::swarm) return "swarm";
  return mode == Mode::lite ? "lite" : "quiet";
}

// What it takes of the command line to have this run.
std::vector<std::string> arguments_of(const Run& run) {
  std::vector<std::string> arguments = {"--seed", std::to_string(run.seed)};
  if (run.mode != Mode::swarm) arguments.push_back(std::string("--") + name_of(run.mode));
  if (run.dials != kDials) {
    arguments.insert(arguments.end(), {"--dials", std::to_string(run.dials)});
  }
  for (const std::string& setting : run.settings) {
    arguments.insert(arguments.end(), {"--set", setting});
  }
  return arguments;
}

}  // namespace

std::string name_of(const Run& run) {
  std::string seed = std::string(name_of(run.mode)) + " seed " + std::to_string(run.seed);
  return run.scenario.empty() ? seed : run.scenario + " " + seed;
}

std::string command_of(const Run& run) {
  std::string command = "tools/simulate";
  for (const std::string& argument : arguments_of(run)) {
    bool plain = argument.find(' ') == std::string::npos;
    command += plain ? " " + argument : " '" + argument + "'";
  }
  return command;
}

int exit_code(const Result& result) {
  if (result.kind == Verdict::Kind::liveness) return kLiveness;
  return result.kind == Verdict::Kind::correctness ? kCorrectness : 0;
}

void print_options(const Run& run) {
  if (!run.commit.empty()) std::printf("commit %s\n", run.commit.c_str());
  std::printf("mode %s\nseed %lu\n%s", name_of(run.mode), run.seed,
              text_of(options_of(run)).c_str());
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
  return wait_for(child, ends[0], run);
}

std::optional<Result> result_anew(const Run& run) {
  int ends[2];
  if (pipe(ends) != 0) std::exit(2);
  std::fflush(stdout);
  std::vector<std::string> arguments = arguments_of(run);
  arguments.insert(arguments.begin(), "simulate");
  arguments.insert(arguments.end(), {"--result-to", std::to_string(ends[1])});
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    execv("/proc/self/exe", pointers.data());
    _exit(2);
  }
  close(ends[1]);
  return wait_for(child, ends[0], run);
}

int hand_over_result(const Run& run, int to) {
  return write_result(to, result_with(run, options_of(run), {})) ? 0 : 2;
}

}  // namespace postring::sim
