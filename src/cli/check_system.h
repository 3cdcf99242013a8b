// CheckSystem: what the kernel, the limits, a container or the disk forbid, found before the start,
// each with its exact fix.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/config.h"

namespace postring::cli {

struct Finding {
  enum class State : uint8_t { good, warning, wrong };

  State state = State::good;
  std::string name;
  std::string says;
  std::string fix;  // empty where it is good
};

// Pure judgements, each from what the system said.
Finding judge_kernel(std::string_view release);
// `error`: errno of io_uring_setup, 0 where it works; `disabled`: kernel.io_uring_disabled, -1
// where the kernel does not have it.
Finding judge_io_uring(int error, int disabled);
Finding judge_open_files(uint64_t soft, uint64_t hard, uint64_t needed);
Finding judge_locked_memory(uint64_t soft);
Finding judge_filesystem(const std::string& path, uint64_t type);
Finding judge_free_space(const std::string& path, uint64_t free_bytes, uint64_t needed_bytes);
Finding judge_cpus(unsigned cpus, unsigned workers);

// Descriptors that the configuration may need at once.
uint64_t open_files_needed(const engine::Config& config);

// Asks the system and judges; with the configuration's needs, or the defaults'.
std::vector<Finding> check_system(const engine::Config& config, bool has_config);

// Prints them; the exit status: 1 where something is wrong.
int show_findings(const std::vector<Finding>& findings, bool json);

}  // namespace postring::cli
