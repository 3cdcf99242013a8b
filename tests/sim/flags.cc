#include "sim/flags.h"

#include <charconv>

#include "base/hash.h"

namespace postring::sim {
namespace {

constexpr size_t kHashMin = 7, kHashMax = 64;  // digits
constexpr uint64_t kForMax_s = 366 * 86'400;
constexpr uint64_t kMinutesMax = 10'000;

using Taken = std::expected<void, std::string>;

// 90, 90s, 30m, 8h.
std::optional<int64_t> read_seconds(std::string_view text) {
  uint64_t unit = text.ends_with('h') ? 3'600 : text.ends_with('m') ? 60 : 1;
  if (unit > 1 || text.ends_with('s')) text.remove_suffix(1);
  auto number = read_number(text);
  if (!number || *number > kForMax_s / unit) return std::nullopt;
  return static_cast<int64_t>(*number * unit);
}

std::unexpected<std::string> expected(std::string_view flag, std::string_view what,
                                      std::string_view value) {
  return std::unexpected(std::string(flag) + ": expected " + std::string(what) + ", not '" +
                         std::string(value) + "'");
}

bool take_switch(Flags& flags, std::string_view flag) {
  if (flag == "--lite") flags.mode = Mode::lite;
  else if (flag == "--quiet") flags.mode = Mode::quiet;
  else if (flag == "--again") flags.again = true;
  else if (flag == "--marks") flags.marks = true;
  else if (flag == "--help") flags.help = true;
  else return false;
  return true;
}

Taken take_number(Flags& flags, std::string_view flag, std::string_view value) {
  if (flag == "--for") {
    auto seconds = read_seconds(value);
    if (!seconds) return expected(flag, "a time like 90s, 30m or 8h", value);
    flags.for_s = *seconds;
    return {};
  }
  bool is_seed = flag == "--seed" || flag == "--from";
  auto number = is_seed ? read_seed(value) : read_number(value);
  if (!number && !is_seed) return expected(flag, "a number", value);
  if (!number) return expected(flag, "a number or a commit's hash", value);
  if (flag == "--seed") {
    flags.seeds.push_back({*number, read_number(value) ? "" : std::string(value)});
  }
  if (flag == "--dials") {
    if (*number < 1 || *number > kDials) {
      return expected(flag, "1 to " + std::to_string(kDials), value);
    }
    flags.dials = static_cast<int64_t>(*number);
  }
  if (flag == "--minutes") {
    if (*number < 1 || *number > kMinutesMax) return expected(flag, "1 to 10000", value);
    flags.minutes = static_cast<int64_t>(*number);
  }
  if (flag == "--result-to") flags.result_to = static_cast<int>(*number);
  if (flag == "--from") flags.from = *number;
  if (flag == "--count") flags.count = *number;
  return {};
}

Taken take(Flags& flags, std::string_view flag, std::string_view value) {
  if (flag == "--set") {
    Options options;
    if (!set_option(options, value)) {
      return expected(flag, "\"NAME VALUE\", with a name that a run prints first", value);
    }
    flags.settings.emplace_back(value);
  } else if (flag == "--scenario") {
    flags.scenarios.emplace_back(value);
  } else if (flag == "--require") {
    flags.required_marks = value;
  } else if (flag == "--canary") {
    flags.canary = value;
  } else if (flag == "--log") {
    if (value != "short" && value != "full") return expected(flag, "short or full", value);
    flags.log = value == "full" ? Log::full : Log::none;
  } else {
    return take_number(flags, flag, value);
  }
  return {};
}

bool has_value(std::string_view flag) {
  for (std::string_view one : {"--seed", "--from", "--count", "--for", "--set", "--scenario",
                               "--require", "--canary", "--log", "--dials", "--minutes",
                               "--result-to"}) {
    if (flag == one) return true;
  }
  return false;
}

}  // namespace

std::optional<uint64_t> read_number(std::string_view text) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  bool whole = error == std::errc{} && end == text.data() + text.size();
  return whole ? std::optional(number) : std::nullopt;
}

const char* const kUsage =
    R"(usage: simulate [--seed N|COMMIT]... [--from N --count N] [--for 8h] [--lite | --quiet]
                [--scenario FILE|FOLDER]... [--set "NAME VALUE"]... [--again] [--log short|full]
                [--marks] [--require FILE] [--minutes N] [--dials N]
       simulate --canary NAME|all|list
       simulate --help
)";

const char* const kHelp = R"(
  --seed N|COMMIT        a run with this seed, or with one made of a commit's hash; may be repeated
  --from N --count N     so many seeds from this one on
  --for 8h               seeds from --from on, until so much time has passed (90s, 30m, 8h)
  --lite, --quiet        a kind world in which the process may crash; or no faults at all
  --scenario FILE|FOLDER the runs that a file, or each file of a folder, says
  --set "NAME VALUE"     an option that differs from what the seed draws; a run prints all first
  --dials N              draw as an earlier generation did
  --again                run each twice, the second time in a program started anew, and compare
  --log short|full       say only the verdict, or all that happens; full where there is one run
  --marks                say how often each rare path of the product was reached
  --require FILE         fail where a path that this file names was not reached
  --minutes N            a run that takes longer has failed; 10 where nothing is said
  --canary NAME|all|list plant what must be found, and see that it is; takes no other flag
  --help                 this

exit: 0 all good, 127 a crash, 128 a run did not come to its end, 129 a law was broken
)";

std::optional<uint64_t> read_seed(std::string_view text) {
  if (auto number = read_number(text)) return number;
  bool hex = text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (!hex || text.size() < kHashMin || text.size() > kHashMax) return std::nullopt;
  return hash64(text);
}

std::expected<Flags, std::string> read_flags(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i < argc; ++i) {
    std::string_view flag = argv[i];
    if (take_switch(flags, flag)) continue;
    if (!has_value(flag)) return std::unexpected("no such flag: " + std::string(flag));
    if (i + 1 == argc) return std::unexpected(std::string(flag) + ": expected a value");
    if (auto taken = take(flags, flag, argv[++i]); !taken) return std::unexpected(taken.error());
  }
  if (!flags.canary.empty() && argc != 3) {
    return std::unexpected("--canary: expected no other flag beside it");
  }
  return flags;
}

}  // namespace postring::sim
