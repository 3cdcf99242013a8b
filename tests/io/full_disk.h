// FullDisk: while it lives, no file of this process may grow to the full size of a segment.
// Preparing one fails as it does on a full disk; what is written to those at hand stays below.
#pragma once

#include <sys/resource.h>

#include <csignal>
#include <cstdint>

namespace postring {

class FullDisk {
 public:
  explicit FullDisk(uint64_t segment_bytes) {
    constexpr uint64_t kBelow = 512 - 64;  // within the last sector
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit less = before_;
    less.rlim_cur = segment_bytes - kBelow;
    setrlimit(RLIMIT_FSIZE, &less);
  }
  ~FullDisk() { setrlimit(RLIMIT_FSIZE, &before_); }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
};

}  // namespace postring
