// ScratchPool: the renderings' memory of one worker. A connection holds a Scratch only while it has
// a message; what a large message made large does not stay large.
#pragma once

#include <memory>
#include <vector>

#include "mail/render.h"

namespace postring::delivery {

constexpr size_t kScratchKeptBytes = 64u << 10;  // a larger one is not kept
constexpr size_t kScratchesKept = 4'096;

class ScratchPool {
 public:
  std::unique_ptr<mail::Scratch> take() {
    if (free_.empty()) return std::make_unique<mail::Scratch>();
    std::unique_ptr<mail::Scratch> scratch = std::move(free_.back());
    free_.pop_back();
    return scratch;
  }
  void give_back(std::unique_ptr<mail::Scratch> scratch) {
    if (scratch->capacity_bytes() > kScratchKeptBytes || free_.size() >= kScratchesKept) return;
    free_.push_back(std::move(scratch));
  }

 private:
  std::vector<std::unique_ptr<mail::Scratch>> free_;
};

}  // namespace postring::delivery
