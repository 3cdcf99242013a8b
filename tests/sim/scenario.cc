#include "sim/scenario.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>

#include "sim/flags.h"

namespace postring::sim {
namespace {

// A folder stands for every file in it, by name.
std::vector<std::string> files_of(const std::string& path) {
  std::error_code none;
  if (!std::filesystem::is_directory(path, none)) return {path};
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(path, none)) {
    files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::optional<Mode> read_mode(std::string_view name) {
  if (name == "swarm") return Mode::swarm;
  if (name == "lite") return Mode::lite;
  if (name == "quiet") return Mode::quiet;
  return std::nullopt;
}

std::optional<int64_t> read_dials(std::string_view text) {
  auto dials = read_number(text);
  bool known = dials && *dials >= 1 && *dials <= static_cast<uint64_t>(kDials);
  return known ? std::optional(static_cast<int64_t>(*dials)) : std::nullopt;
}

// Empty: it was taken.
std::string take_line(std::string_view line, Run& run, std::vector<uint64_t>& seeds) {
  if (line.starts_with("seed ")) {
    auto seed = read_seed(line.substr(5));
    if (!seed) return "expected a number or a commit's hash behind 'seed'";
    seeds.push_back(*seed);
  } else if (line.starts_with("mode ")) {
    auto mode = read_mode(line.substr(5));
    if (!mode) return "expected 'mode swarm', 'mode lite' or 'mode quiet'";
    run.mode = *mode;
  } else if (line.starts_with("dials ")) {
    auto dials = read_dials(line.substr(6));
    if (!dials) return "expected 'dials' of 1 to " + std::to_string(kDials);
    run.dials = *dials;
  } else {
    Options options;
    if (!set_option(options, line)) return "no such option: " + std::string(line);
    run.settings.emplace_back(line);
  }
  return {};
}

std::expected<std::vector<Run>, std::string> read_file(const std::string& file,
                                                       const std::vector<std::string>& settings) {
  std::ifstream in(file);
  if (!in) return std::unexpected(file + " cannot be read");
  Run run;
  run.scenario = file;
  std::vector<uint64_t> seeds;
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    if (line.empty() || line[0] == '#') continue;
    std::string wrong = take_line(line, run, seeds);
    if (!wrong.empty()) return std::unexpected(file + ":" + std::to_string(number) + ": " + wrong);
  }
  if (seeds.empty()) return std::unexpected(file + ": expected a line 'seed N'");
  run.settings.insert(run.settings.end(), settings.begin(), settings.end());
  std::vector<Run> runs;
  for (uint64_t seed : seeds) {
    run.seed = seed;
    runs.push_back(run);
  }
  return runs;
}

}  // namespace

std::expected<std::vector<Run>, std::string> read_scenario(
    const std::string& path, const std::vector<std::string>& settings) {
  std::vector<Run> runs;
  for (const std::string& file : files_of(path)) {
    auto read = read_file(file, settings);
    if (!read) return std::unexpected(read.error());
    runs.insert(runs.end(), read->begin(), read->end());
  }
  if (runs.empty()) return std::unexpected(path + " holds no scenario");
  return runs;
}

}  // namespace postring::sim
