#include "engine/duplicates.h"

#include "base/check.h"
#include "base/wide.h"

namespace postring::engine {
namespace {

constexpr uint32_t kCapacityAtStart = 16;

}  // namespace

queue::Fingerprint Duplicates::never_zero(queue::Fingerprint fingerprint) {
  if (fingerprint == queue::Fingerprint{}) fingerprint.low = 1;
  return fingerprint;
}

uint32_t Duplicates::Shard::start(const queue::Fingerprint& fingerprint) const {
  return static_cast<uint32_t>(multiply_wide(fingerprint.low, capacity).high);
}

uint32_t Duplicates::Shard::find(const queue::Fingerprint& fingerprint) const {
  uint32_t at = start(fingerprint);
  while (slots[at] != queue::Fingerprint{} && slots[at] != fingerprint) at = next(at);
  return at;
}

void Duplicates::Shard::grow() {
  Shard larger;
  larger.capacity = capacity == 0 ? kCapacityAtStart : capacity + capacity / 4;
  larger.slots = std::make_unique<queue::Fingerprint[]>(larger.capacity);
  larger.used = used;
  for (uint32_t at = 0; at < capacity; ++at) {
    if (slots[at] != queue::Fingerprint{}) larger.slots[larger.find(slots[at])] = slots[at];
  }
  *this = std::move(larger);
}

bool Duplicates::insert(queue::Fingerprint fingerprint) {
  fingerprint = never_zero(fingerprint);
  Shard& shard = shards_[fingerprint.high % kShards];
  if (uint64_t{shard.used} * 5 >= uint64_t{shard.capacity} * 4) shard.grow();
  uint32_t at = shard.find(fingerprint);
  if (shard.slots[at] == fingerprint) return false;
  shard.slots[at] = fingerprint;
  ++shard.used;
  ++count_;
  return true;
}

bool Duplicates::contains(queue::Fingerprint fingerprint) const {
  fingerprint = never_zero(fingerprint);
  const Shard& shard = shards_[fingerprint.high % kShards];
  return shard.capacity > 0 && shard.slots[shard.find(fingerprint)] == fingerprint;
}

void Duplicates::erase(queue::Fingerprint fingerprint) {
  fingerprint = never_zero(fingerprint);
  Shard& shard = shards_[fingerprint.high % kShards];
  if (shard.capacity == 0) return;
  uint32_t hole = shard.find(fingerprint);
  if (shard.slots[hole] != fingerprint) return;
  // What follows without a gap moves up where its own start allows it.
  for (uint32_t at = shard.next(hole); shard.slots[at] != queue::Fingerprint{};
       at = shard.next(at)) {
    uint32_t start = shard.start(shard.slots[at]);
    bool stays = hole < at ? start > hole && start <= at : start > hole || start <= at;
    if (stays) continue;
    shard.slots[hole] = shard.slots[at];
    hole = at;
  }
  shard.slots[hole] = {};
  --shard.used;
  --count_;
}

uint64_t Duplicates::bytes() const {
  uint64_t total = shards_.size() * sizeof(Shard);
  for (const Shard& shard : shards_) total += uint64_t{shard.capacity} * sizeof(queue::Fingerprint);
  return total;
}

}  // namespace postring::engine
