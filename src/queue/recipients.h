// Recipients: the table of what lives at a home, one cache line each.
//
// An entry holds what the queue decides by; everything else is in its record in the log. Entries
// are found by id and by address. Slots stay as they are for an entry's life; pages of entries know
// a lower bound of their deadlines, so that a look for what has expired skips most of them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "mail/ids.h"
#include "queue/slots.h"
#include "spool/record.h"

namespace postring::queue {

enum class EntryState : uint8_t {
  free = 0,
  staged,     // in a batch that is not durable yet
  ready,      // in its flow
  due,        // waits for due_s
  leased,     // out
  finishing,  // its last outcome is being written
};

// Flags of an entry.
constexpr uint8_t kEntryHasOutcome = 1;         // `position` is of the last outcome's record
constexpr uint8_t kEntryPossibleDuplicate = 2;  // the peer may have it already
constexpr uint8_t kEntryTried = 4;  // due_s is a retry, by another clock than its own earliest time
constexpr uint8_t kEntryUnsaved = 8;            // leased: its report waits for room in the log
constexpr uint8_t kEntryErased = 16;            // its address was erased: it does not wait again

struct Entry {
  uint64_t counter : 48 = 0;  // of the id
  uint64_t state_bits : 8 = 0;
  uint64_t flags : 8 = 0;
  // The newest record that says something about it: its outcome, or itself.
  uint64_t position = 0;
  Slot id_next = kNoSlot;
  Slot address_next = kNoSlot;
  Slot address_prev = kNoSlot;
  uint32_t address_hash = 0;
  // In its list: the batch's while staged or entering, the flow's, or the second's it is due in.
  // Leased: `next` is the number of its flight.
  Slot next = kNoSlot;
  Slot prev = kNoSlot;
  uint32_t flow = 0;
  uint32_t batch = 0;
  uint32_t due_s = 0;
  uint32_t expires_s = 0;
  // Of the record with the address: what must be copied before that segment goes.
  uint32_t base_segment = 0;
  uint16_t attempts = 0;
  uint16_t size_units = 0;  // of its record, in kSizeUnit bytes, rounded up

  EntryState state() const { return static_cast<EntryState>(state_bits); }
  void set_state(EntryState state) { state_bits = static_cast<uint8_t>(state); }
  bool has(uint8_t flag) const { return (flags & flag) != 0; }
  void set(uint8_t flag) { flags = static_cast<uint8_t>(flags | flag); }
  void clear(uint8_t flag) { flags = static_cast<uint8_t>(flags & ~flag); }
  spool::Position place() const { return spool::Position::unpack(position); }
};
static_assert(sizeof(Entry) == 64);

constexpr uint32_t kSizeUnit = 16;
constexpr uint16_t kAttemptsMax = UINT16_MAX;
constexpr uint32_t kEntriesPerPage = 4'096;
constexpr uint32_t kNeverSeconds = UINT32_MAX;

// A doubly linked list of entries through `next` and `prev`.
struct EntryList {
  Slot head = kNoSlot;
  Slot tail = kNoSlot;
  bool empty() const { return head == kNoSlot; }
};

class Recipients {
 public:
  // `seed` keeps strangers from choosing addresses that meet in the index.
  Recipients(SliceNumber slice, uint64_t seed) : slice_(slice), seed_(seed) {}

  Entry& operator[](Slot slot) { return table_[slot]; }
  const Entry& operator[](Slot slot) const { return table_[slot]; }

  // A new entry, in both indexes, in no list; free it with remove().
  Slot add(uint64_t counter, std::string_view address);
  void remove(Slot slot);

  // For recovery, which adds and removes many before anybody asks for an address: between the two
  // entries are found by id only. end_bulk() then puts those that are left into the other index.
  void begin_bulk();
  void end_bulk();
  void prefetch(Slot slot) const { table_.prefetch(slot); }

  RecipientId id_of(Slot slot) const { return make_recipient_id(slice_, table_[slot].counter); }
  // kNoSlot where it does not live here.
  Slot find(RecipientId id) const;
  // Slots whose address may be this one (its hash is), at most `limit`, newest first.
  std::vector<Slot> find_address(std::string_view address, uint32_t limit) const;

  // Must be told of every new deadline, so that a sweep finds it.
  void set_expiry(Slot slot, uint32_t expires_s);
  // The earliest deadline a page may have, and what a look at all of it found.
  uint32_t page_count() const { return static_cast<uint32_t>(page_expiry_.size()); }
  uint32_t page_expiry(uint32_t page) const { return page_expiry_[page]; }
  void set_page_expiry(uint32_t page, uint32_t expires_s) { page_expiry_[page] = expires_s; }

  void push_back(EntryList& list, Slot slot);
  void push_front(EntryList& list, Slot slot);
  void unlink(EntryList& list, Slot slot);

  uint32_t used() const { return table_.used(); }
  Slot end() const { return table_.end(); }
  uint64_t bytes() const { return table_.bytes() + by_id_.bytes() + by_address_.bytes(); }

 private:
  struct IdLinks;
  struct AddressLinks;

  SliceNumber slice_;
  uint64_t seed_;
  SlotTable<Entry, kEntriesPerPage> table_;
  SlotIndex by_id_;
  SlotIndex by_address_;
  std::vector<uint32_t> page_expiry_;
  bool bulk_ = false;
};

}  // namespace postring::queue
