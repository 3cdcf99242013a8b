// Summary: what many runs came to: a line for each, and in the end how many, how fast, what went
// wrong in them by kind, which rare paths of the product were reached, and which runs failed.
//
//   summary.add(run, result);        // says its line; no result: the daemon ended itself
//   summary.print();
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/run.h"

namespace postring::sim {

class Summary {
 public:
  void add(const Run& run, const std::optional<Result>& result);
  // A second run of it ended elsewhere.
  void differs(const Run& run);
  void print() const;
  // All marks, with how often they were reached.
  void print_marks() const;
  // Says which of the marks in the file, one a line, were not reached: then 129 is the exit status.
  void require_marks(const std::string& file);
  // Of the first run that failed; 0: none did.
  int exit_status() const { return exit_status_; }

 private:
  void failed(const std::string& what, int status);
  void failed(const Run& run, const std::string& what, int status);
  void print_faults() const;
  void print_host_faults() const;

  uint64_t runs_ = 0, recipients_ = 0, deliveries_ = 0, duplicates_ = 0;
  int64_t simulated_us_ = 0, real_us_ = 0;
  FaultCounts faults_;
  MarkCounts marks_;
  std::vector<std::string> failures_;
  int exit_status_ = 0;
};

}  // namespace postring::sim
