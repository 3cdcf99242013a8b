// What rigs of tests begin with: a temporary folder, and a loop on a real ring.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "io/loop.h"
#include "io/ring.h"

namespace postring {

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "postring-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::unique_ptr<Loop> make_loop(uint64_t seed = 1) {
  auto ring = Ring::create();
  if (!ring) std::abort();
  return std::make_unique<Loop>(std::move(*ring), seed);
}

}  // namespace postring
