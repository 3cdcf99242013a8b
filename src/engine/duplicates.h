// Duplicates: the fingerprints of a campaign's recipients.
//
// 16 bytes each in open addressing, filled to between 64 and 80 of 100, in many small tables that
// grow one by one, so that no insertion rehashes millions.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "queue/fingerprint.h"

namespace postring::engine {

class Duplicates {
 public:
  Duplicates() : shards_(kShards) {}

  // False where it was there.
  bool insert(queue::Fingerprint fingerprint);
  void erase(queue::Fingerprint fingerprint);
  bool contains(queue::Fingerprint fingerprint) const;

  uint64_t count() const { return count_; }
  uint64_t bytes() const;

 private:
  static constexpr size_t kShards = 256;
  struct Shard {
    std::unique_ptr<queue::Fingerprint[]> slots;  // all zero: free
    uint32_t capacity = 0;
    uint32_t used = 0;

    uint32_t start(const queue::Fingerprint& fingerprint) const;
    uint32_t next(uint32_t at) const { return at + 1 == capacity ? 0 : at + 1; }
    // Where it is, or the free slot where it would be.
    uint32_t find(const queue::Fingerprint& fingerprint) const;
    void grow();
  };
  static queue::Fingerprint never_zero(queue::Fingerprint fingerprint);

  std::vector<Shard> shards_;
  uint64_t count_ = 0;
};

}  // namespace postring::engine
