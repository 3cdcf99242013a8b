#include "queue/recipients.h"

#include <algorithm>

#include "base/hash.h"

namespace postring::queue {
namespace {

// Neighbouring ids lie in neighbouring buckets, sixteen to a cache line: a batch's insertions touch
// few lines. The blocks themselves are spread.
uint64_t hash_of_counter(uint64_t counter) {
  uint64_t block = (counter >> 4) * 0x9e3779b97f4a7c15u;
  return (block ^ block >> 32) << 4 | (counter & 15);
}

}  // namespace

struct Recipients::IdLinks {
  SlotTable<Entry, kEntriesPerPage>& table;
  uint64_t hash(Slot slot) const { return hash_of_counter(table[slot].counter); }
  Slot& next(Slot slot) const { return table[slot].id_next; }
  void prefetch(Slot slot) const { table.prefetch(slot); }
};

struct Recipients::AddressLinks {
  SlotTable<Entry, kEntriesPerPage>& table;
  uint64_t hash(Slot slot) const { return table[slot].address_hash; }
  Slot& next(Slot slot) const { return table[slot].address_next; }
  Slot& prev(Slot slot) const { return table[slot].address_prev; }
  void prefetch(Slot slot) const { table.prefetch(slot); }
};

Slot Recipients::add(uint64_t counter, std::string_view address) {
  Slot slot = table_.take();
  if (slot / kEntriesPerPage >= page_expiry_.size()) page_expiry_.push_back(kNeverSeconds);
  Entry& entry = table_[slot];
  entry.counter = counter & ((uint64_t{1} << 48) - 1);
  entry.address_hash = static_cast<uint32_t>(hash64(address, seed_));
  by_id_.add(slot, hash_of_counter(counter), IdLinks{table_});
  if (!bulk_) by_address_.add(slot, entry.address_hash, AddressLinks{table_});
  return slot;
}

void Recipients::begin_bulk() {
  CHECK(table_.used() == 0);
  bulk_ = true;
}

// What each insertion touches is somewhere else in memory: it is asked for long before.
void Recipients::end_bulk() {
  constexpr Slot kAhead = 16;
  bulk_ = false;
  by_address_.reserve(table_.used());
  auto is_used = [this](Slot slot) {
    return slot < table_.end() && table_[slot].state() != EntryState::free;
  };
  for (Slot slot = 0; slot < table_.end(); ++slot) {
    if (Slot far = slot + 2 * kAhead; is_used(far)) by_address_.prefetch(table_[far].address_hash);
    if (Slot near = slot + kAhead; is_used(near)) {
      Slot first = by_address_.first(table_[near].address_hash);
      if (first != kNoSlot) table_.prefetch(first);
    }
    if (is_used(slot)) by_address_.add(slot, table_[slot].address_hash, AddressLinks{table_});
  }
}

void Recipients::remove(Slot slot) {
  Entry& entry = table_[slot];
  CHECK(entry.state() != EntryState::free);
  by_id_.remove(slot, hash_of_counter(entry.counter), IdLinks{table_});
  if (!bulk_) by_address_.remove(slot, entry.address_hash, AddressLinks{table_});
  table_.give(slot);
}

Slot Recipients::find(RecipientId id) const {
  if (slice_of(id) != slice_) return kNoSlot;
  uint64_t counter = id & ((uint64_t{1} << 48) - 1);
  for (Slot at = by_id_.first(hash_of_counter(counter)); at != kNoSlot; at = table_[at].id_next) {
    if (table_[at].counter == counter) return at;
  }
  return kNoSlot;
}

std::vector<Slot> Recipients::find_address(std::string_view address, uint32_t limit) const {
  CHECK(!bulk_);
  std::vector<Slot> found;
  auto hash = static_cast<uint32_t>(hash64(address, seed_));
  for (Slot at = by_address_.first(hash); at != kNoSlot && found.size() < limit;
       at = table_[at].address_next) {
    if (table_[at].address_hash == hash) found.push_back(at);
  }
  std::sort(found.begin(), found.end(), [this](Slot a, Slot b) {
    return table_[a].counter > table_[b].counter;
  });
  return found;
}

void Recipients::set_expiry(Slot slot, uint32_t expires_s) {
  table_[slot].expires_s = expires_s;
  uint32_t& page = page_expiry_[slot / kEntriesPerPage];
  page = std::min(page, expires_s);
}

void Recipients::push_back(EntryList& list, Slot slot) {
  Entry& entry = table_[slot];
  entry.next = kNoSlot;
  entry.prev = list.tail;
  (list.tail == kNoSlot ? list.head : table_[list.tail].next) = slot;
  list.tail = slot;
}

void Recipients::push_front(EntryList& list, Slot slot) {
  Entry& entry = table_[slot];
  entry.prev = kNoSlot;
  entry.next = list.head;
  (list.head == kNoSlot ? list.tail : table_[list.head].prev) = slot;
  list.head = slot;
}

void Recipients::unlink(EntryList& list, Slot slot) {
  Entry& entry = table_[slot];
  (entry.prev == kNoSlot ? list.head : table_[entry.prev].next) = entry.next;
  (entry.next == kNoSlot ? list.tail : table_[entry.next].prev) = entry.prev;
  entry.next = entry.prev = kNoSlot;
}

}  // namespace postring::queue
