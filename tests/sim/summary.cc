#include "sim/summary.h"

#include <cstdio>
#include <fstream>

namespace postring::sim {
namespace {

constexpr size_t kNameColumns = 24;

const char* why(const Result& result) {
  if (result.kind == Verdict::Kind::liveness) return "LIVENESS: ";
  return result.kind == Verdict::Kind::correctness ? "CORRECTNESS: " : "";
}

void print_count(const char* name, uint64_t count) {
  std::printf("  %-*s %12lu\n", static_cast<int>(kNameColumns), name, count);
}

}  // namespace

void Summary::failed(const std::string& what, int status) {
  failures_.push_back(what);
  if (exit_status_ == 0) exit_status_ = status;
}

void Summary::add(const Run& run, const std::optional<Result>& result) {
  ++runs_;
  if (!result) {
    std::printf("not ok %s: CRASH\n", name_of(run).c_str());
    return failed(run, "CRASH", kCrash);
  }
  const Result& r = *result;
  bool good = r.kind == Verdict::Kind::good;
  std::printf("%s %s: %s%s unseed %016lx hash %016lx %lu recipients %lu delivered %lu twice "
              "%lu kills %lu power cuts, %ld s in %ld ms\n",
              good ? "ok" : "not ok", name_of(run).c_str(), why(r), r.what, r.unseed, r.hash,
              r.recipients, r.deliveries, r.duplicates, r.faults[Fault::killed],
              r.faults[Fault::power_cut], r.simulated_us / 1'000'000, r.real_us / 1'000);
  recipients_ += r.recipients;
  deliveries_ += r.deliveries;
  duplicates_ += r.duplicates;
  simulated_us_ += r.simulated_us;
  real_us_ += r.real_us;
  faults_.add(r.faults);
  marks_.add(r.marks);
  if (!good) failed(run, std::string(why(r)) + r.what, exit_code(r));
}

void Summary::differs(const Run& run) {
  std::printf("not ok %s: a second run differs\n", name_of(run).c_str());
  failed(run, "a second run differs", kCorrectness);
}

void Summary::failed(const Run& run, const std::string& what, int status) {
  std::string command = command_of(run);
  std::printf("  again: %s\n", command.c_str());
  failed(name_of(run) + ": " + what + "\n    " + command, status);
}

void Summary::print_faults() const {
  for (size_t i = 0; i < kFaults; ++i) print_count(name_of(static_cast<Fault>(i)), faults_.of[i]);
}

// A row for each fault, a column for each step.
void Summary::print_host_faults() const {
  std::printf("mail hosts, at the step of\n  %-*s", static_cast<int>(kNameColumns), "");
  for (size_t step = 0; step < kSteps; ++step) {
    std::printf("%9s", name_of(static_cast<Step>(step)));
  }
  std::printf("\n");
  for (size_t i = 0; i < kHostFaults; ++i) {
    std::printf("  %-*s", static_cast<int>(kNameColumns), name_of(static_cast<HostFault>(i)));
    for (uint64_t count : faults_.of_hosts[i]) std::printf("%9lu", count);
    std::printf("\n");
  }
}

void Summary::print_marks() const {
  std::printf("marks\n");
  for (size_t i = 0; i < kMarks; ++i) {
    print_count(std::string(name_of(static_cast<Mark>(i))).c_str(), marks_.of[i]);
  }
}

void Summary::require_marks(const std::string& file) {
  std::ifstream in(file);
  if (!in) {
    std::printf("not ok %s cannot be read\n", file.c_str());
    return failed(file + " cannot be read", 2);
  }
  std::string line;
  while (std::getline(in, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::optional<Mark> mark = mark_of(line);
    if (mark && marks_.of[static_cast<size_t>(*mark)] > 0) {
      std::printf("ok mark %s\n", line.c_str());
      continue;
    }
    std::string what = "mark " + line + (mark ? " was not reached" : " is unknown");
    std::printf("not ok %s\n", what.c_str());
    failed(what, kCorrectness);
  }
}

void Summary::print() const {
  int64_t real_us = real_us_ + 1;
  std::printf("faults\n");
  print_faults();
  print_host_faults();
  std::printf("marks not reached\n");
  for (size_t i = 0; i < kMarks; ++i) {
    if (marks_.of[i] > 0) continue;
    std::printf("  %s\n", std::string(name_of(static_cast<Mark>(i))).c_str());
  }
  std::printf("failures\n");
  for (const std::string& failure : failures_) std::printf("  %s\n", failure.c_str());
  std::printf("seeds: %lu, failures: %zu, recipients: %lu, delivered: %lu, twice with an excuse: "
              "%lu, simulated seconds: %ld (%ld a second), recipients a second: %ld\n",
              runs_, failures_.size(), recipients_, deliveries_, duplicates_,
              simulated_us_ / 1'000'000, simulated_us_ / real_us,
              static_cast<int64_t>(recipients_) * 1'000'000 / real_us);
}

}  // namespace postring::sim
