// Duplicates: the fingerprints of a campaign's recipients.
//
// 12 bytes each in open addressing, filled to between 66 and 84 of 100, in many small tables that
// grow one by one, so that no insertion rehashes millions. Of a fingerprint's 128 bits 104 count
// here (eight choose its table, 96 lie there): of five million recipients two are taken for one
// once in 10^18 campaigns.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <vector>

#include "queue/fingerprint.h"

namespace postring::engine {

class Duplicates {
 public:
  Duplicates() : shards_(kShards) {}

  // False where it was there.
  bool insert(const queue::Fingerprint& fingerprint);
  void erase(const queue::Fingerprint& fingerprint);
  bool contains(const queue::Fingerprint& fingerprint) const;

  uint64_t count() const { return count_; }
  uint64_t bytes() const;

 private:
  static constexpr size_t kShards = 256;
  // What of a fingerprint lies in a table; in words, so that it takes no more than 12 bytes.
  struct Kept {
    uint32_t words[3] = {};  // all zero: free

    Kept() = default;
    explicit Kept(const queue::Fingerprint& fingerprint);
    uint64_t place() const { return uint64_t{words[1]} << 32 | words[0]; }
    bool operator==(const Kept&) const = default;
  };
  struct Shard {
    std::unique_ptr<Kept[]> slots;
    uint32_t capacity = 0;
    uint32_t used = 0;

    uint32_t start(const Kept& kept) const;
    uint32_t next(uint32_t at) const { return at + 1 == capacity ? 0 : at + 1; }
    // Where it is, or the free slot where it would be.
    uint32_t find(const Kept& kept) const;
    void grow();
  };
  static size_t shard_of(const queue::Fingerprint& fingerprint) {
    return fingerprint.high % kShards;
  }

  std::vector<Shard> shards_;
  uint64_t count_ = 0;
};

}  // namespace postring::engine
