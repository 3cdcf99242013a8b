// Slots: many small things of one kind, numbered by 32 bits, that stay where they are.
//
// Memory comes in chunks, so growing copies nothing and wastes at most one chunk; numbers of freed
// things are used again, last freed first. A SlotIndex finds them by a hash: chains through the
// things themselves, in a table that grows by one bucket at a time (linear hashing), so that no
// insertion ever stops to rehash millions.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "base/check.h"

namespace postring::queue {

using Slot = uint32_t;
constexpr Slot kNoSlot = UINT32_MAX;

// T has a public `Slot next`, which strings the free ones together.
template <typename T, uint32_t kChunkItems>
class SlotTable {
  static_assert(std::has_single_bit(kChunkItems));

 public:
  T& operator[](Slot slot) { return chunks_[slot / kChunkItems][slot % kChunkItems]; }
  const T& operator[](Slot slot) const { return chunks_[slot / kChunkItems][slot % kChunkItems]; }

  // A default-constructed one.
  Slot take() {
    ++used_;
    if (free_ != kNoSlot) {
      Slot slot = free_;
      free_ = (*this)[slot].next;
      (*this)[slot] = T{};
      return slot;
    }
    if (end_ % kChunkItems == 0) chunks_.push_back(std::make_unique<T[]>(kChunkItems));
    return end_++;
  }
  // What it holds is given up now.
  void give(Slot slot) {
    CHECK(used_ > 0);
    --used_;
    (*this)[slot] = T{};
    (*this)[slot].next = free_;
    free_ = slot;
  }

  // The slot's memory will be looked at soon.
  void prefetch(Slot slot) const { __builtin_prefetch(&(*this)[slot]); }

  uint32_t used() const { return used_; }
  // All slots that were ever taken are below it.
  Slot end() const { return end_; }
  uint64_t bytes() const { return uint64_t{chunks_.size()} * kChunkItems * sizeof(T); }

 private:
  std::vector<std::unique_ptr<T[]>> chunks_;
  Slot end_ = 0;
  Slot free_ = kNoSlot;
  uint32_t used_ = 0;
};

// `Links` gives, for a table of things: hash(slot) and next(slot) (a reference to its chain link),
// where chains may be long (equal keys) prev(slot), which makes removal from them cheap, and for
// things in a large table prefetch(slot). A slot must keep its hash from add() to remove().
class SlotIndex {
 public:
  SlotIndex() : half_(kPageBuckets), buckets_(kPageBuckets) { add_page(); }

  // So many are about to be added to the empty index: none of them will split a bucket.
  void reserve(uint64_t count) {
    CHECK(count_ == 0);
    while (pages_.size() * kPageBuckets < count) add_page();
    buckets_ = std::max(count, buckets_);
    half_ = std::bit_floor(buckets_);
  }
  // first() or add() of the hash comes soon.
  void prefetch(uint64_t hash) const {
    uint64_t bucket = bucket_of(hash);
    __builtin_prefetch(&pages_[bucket / kPageBuckets][bucket % kPageBuckets]);
  }

  // The first of the chain that holds all with this hash, and others.
  Slot first(uint64_t hash) const { return head(bucket_of(hash)) - 1; }

  template <typename Links>
  void add(Slot slot, uint64_t hash, Links links) {
    if (count_ >= buckets_) split(links);
    push(head(bucket_of(hash)), slot, links);
    ++count_;
  }

  template <typename Links>
  void remove(Slot slot, uint64_t hash, Links links) {
    CHECK(count_ > 0);
    --count_;
    Slot next = links.next(slot);
    if constexpr (requires { links.prev(slot); }) {
      Slot prev = links.prev(slot);
      if (next != kNoSlot) links.prev(next) = prev;
      if (prev != kNoSlot) {
        links.next(prev) = next;
      } else {
        head(bucket_of(hash)) = next + 1;
      }
    } else {
      uint32_t& first = head(bucket_of(hash));
      if (first == slot + 1) {
        first = next + 1;
        return;
      }
      for (Slot at = first - 1; at != kNoSlot; at = links.next(at)) {
        if (links.next(at) != slot) continue;
        links.next(at) = next;
        return;
      }
      CHECK(false, "the slot is not in the index");
    }
  }

  uint64_t bytes() const { return uint64_t{pages_.size()} * kPageBuckets * sizeof(uint32_t); }

 private:
  // Buckets per page. An empty bucket is 0, a head is slot + 1; untouched memory costs nothing.
  static constexpr uint64_t kPageBuckets = 1 << 16;
  static constexpr uint64_t kSplitsAhead = 8;
  struct Free {
    void operator()(uint32_t* heads) const { std::free(heads); }
  };

  uint32_t& head(uint64_t bucket) { return pages_[bucket / kPageBuckets][bucket % kPageBuckets]; }
  uint32_t head(uint64_t bucket) const {
    return pages_[bucket / kPageBuckets][bucket % kPageBuckets];
  }
  uint64_t bucket_of(uint64_t hash) const {
    uint64_t bucket = hash & (2 * half_ - 1);
    return bucket < buckets_ ? bucket : hash & (half_ - 1);
  }
  void add_page() {
    auto* heads = static_cast<uint32_t*>(std::calloc(kPageBuckets, sizeof(uint32_t)));
    CHECK(heads != nullptr, "out of memory");
    pages_.emplace_back(heads);
  }

  template <typename Links>
  static void push(uint32_t& head, Slot slot, Links& links) {
    links.next(slot) = head - 1;
    if constexpr (requires { links.prev(slot); }) {
      links.prev(slot) = kNoSlot;
      if (head != 0) links.prev(head - 1) = slot;
    }
    head = slot + 1;
  }

  // Deals the next bucket's chain to itself and to a new bucket.
  template <typename Links>
  void split(Links& links) {
    if (buckets_ == 2 * half_) half_ = buckets_;
    if (buckets_ == pages_.size() * kPageBuckets) add_page();
    uint64_t from = buckets_ - half_;
    if constexpr (requires { links.prefetch(Slot{}); }) {
      // Of one of the next splits: each is one insertion away.
      if (from + kSplitsAhead < half_) {
        if (Slot ahead = head(from + kSplitsAhead) - 1; ahead != kNoSlot) links.prefetch(ahead);
      }
    }
    Slot at = head(from) - 1;
    uint32_t low = 0, high = 0;
    while (at != kNoSlot) {
      Slot following = links.next(at);
      push((links.hash(at) & half_) != 0 ? high : low, at, links);
      at = following;
    }
    head(from) = low;
    head(buckets_) = high;
    ++buckets_;
  }

  std::vector<std::unique_ptr<uint32_t[], Free>> pages_;
  // half_ is a power of two, half_ <= buckets_ <= 2 * half_: buckets below buckets_ - half_ have
  // been dealt out already.
  uint64_t half_;
  uint64_t buckets_;
  uint64_t count_ = 0;
};

}  // namespace postring::queue
