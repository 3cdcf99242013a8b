#include "engine/duplicates.h"

#include <bit>

#include "base/check.h"
#include "base/wide.h"

namespace postring::engine {
namespace {

constexpr uint32_t kBytesAtStart = 256;

// Four sizes to each power of two, which are the allocator's: in between, memory would be taken
// and not used.
uint32_t next_size(uint32_t bytes) {
  return bytes + std::bit_floor(bytes) / 4;
}

}  // namespace

Duplicates::Kept::Kept(const queue::Fingerprint& fingerprint) {
  words[0] = static_cast<uint32_t>(fingerprint.low);
  words[1] = static_cast<uint32_t>(fingerprint.low >> 32);
  words[2] = static_cast<uint32_t>(fingerprint.high / kShards);
  if (*this == Kept{}) words[2] = 1;
}

uint32_t Duplicates::Shard::start(const Kept& kept) const {
  return static_cast<uint32_t>(multiply_wide(kept.place(), capacity).high);
}

uint32_t Duplicates::Shard::find(const Kept& kept) const {
  uint32_t at = start(kept);
  while (slots[at] != Kept{} && slots[at] != kept) at = next(at);
  return at;
}

void Duplicates::Shard::grow() {
  uint32_t bytes = kBytesAtStart;
  while (bytes / sizeof(Kept) <= capacity) bytes = next_size(bytes);
  Shard larger;
  larger.capacity = static_cast<uint32_t>(bytes / sizeof(Kept));
  larger.slots = std::make_unique<Kept[]>(larger.capacity);
  larger.used = used;
  for (uint32_t at = 0; at < capacity; ++at) {
    if (slots[at] != Kept{}) larger.slots[larger.find(slots[at])] = slots[at];
  }
  *this = std::move(larger);
}

bool Duplicates::insert(const queue::Fingerprint& fingerprint) {
  Kept kept(fingerprint);
  Shard& shard = shards_[shard_of(fingerprint)];
  if (uint64_t{shard.used} * 6 >= uint64_t{shard.capacity} * 5) shard.grow();
  uint32_t at = shard.find(kept);
  if (shard.slots[at] == kept) return false;
  shard.slots[at] = kept;
  ++shard.used;
  ++count_;
  return true;
}

bool Duplicates::contains(const queue::Fingerprint& fingerprint) const {
  Kept kept(fingerprint);
  const Shard& shard = shards_[shard_of(fingerprint)];
  return shard.capacity > 0 && shard.slots[shard.find(kept)] == kept;
}

void Duplicates::erase(const queue::Fingerprint& fingerprint) {
  Kept kept(fingerprint);
  Shard& shard = shards_[shard_of(fingerprint)];
  if (shard.capacity == 0) return;
  uint32_t hole = shard.find(kept);
  if (shard.slots[hole] != kept) return;
  // What follows without a gap moves up where its own start allows it.
  for (uint32_t at = shard.next(hole); shard.slots[at] != Kept{}; at = shard.next(at)) {
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
  for (const Shard& shard : shards_) total += uint64_t{shard.capacity} * sizeof(Kept);
  return total;
}

}  // namespace postring::engine
