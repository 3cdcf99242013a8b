// Erasures: addresses that were erased on request, for as long as a file may still name them.
//
//   erasures.add(tenant, address, now, [](bool ok) { ... });   // ok: durable
//   if (erasures.cover(entry)) json = erased_event(entry.json);
//
// Everything about the address that was accepted before an erasure is covered by it, whatever the
// wall clock said: it knows how far the ids of each slice had come. Events of it are kept, and
// those kept before are read, without what names it. An erasure is known by a hash of the address
// once no slice of the spool names it, and forgotten when the event log holds nothing older: both
// are what the caller finds out. Used on the control worker.
//
// The file: "erased 2" (id:u64 tenant:u32 events_end:u64 sha256 event_hash:u32 slices:u16
// (end:u64)* size:u16 address)* crc32c:u32, written anew with every change.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/units.h"
#include "engine/event_entry.h"
#include "io/loop.h"
#include "mail/ids.h"

namespace postring::engine {

constexpr size_t kErasuresMax = 100'000;  // known at a time

struct Erasure {
  uint64_t id = 0;
  TenantId tenant = 0;      // 0: of every tenant
  std::vector<RecipientId> ends;  // of each slice: who was accepted before has an id below
  std::string address;      // empty: no slice names it any more
  uint64_t events_end = 0;  // events from this one on do not name it; 0: not known yet
  Sha256 address_hash{};
  uint32_t event_hash = 0;
  bool asked = false;  // in this life: all homes were asked and have answered

  // 0: nobody of the slice was accepted before.
  RecipientId end_of(SliceNumber slice) const;
};

class Erasures {
 public:
  // Blocks. An absent file holds none.
  static Result<std::unique_ptr<Erasures>> open(Loop& loop, std::string path);
  ~Erasures();

  bool full() const { return by_hash_.size() >= kErasuresMax; }
  // The callback runs in a later turn: whether it is durable. Where not, it is not known.
  Erasure add(TenantId tenant, std::string address, std::vector<RecipientId> ends,
              std::move_only_function<void(bool ok)> durable);
  bool cover(const EventEntry& entry) const;

  // Those whose address slices may still name.
  std::vector<Erasure> unfinished() const;
  void set_asked(uint64_t id);
  // No slice names the addresses of these; the event log ends at `events_end`.
  void set_clean(const std::vector<uint64_t>& ids, uint64_t events_end);
  // Forgets those that are clean and older than everything in the event log.
  void forget(uint64_t events_oldest);

 private:
  Erasures(Loop& loop, std::string path);
  Result<void> read();
  void write_soon();
  std::string encode() const;
  Erasure* find(uint64_t id);

  Loop& loop_;
  std::string path_;
  std::multimap<uint32_t, Erasure> by_hash_;
  uint64_t next_id_ = 1;
  bool writing_ = false;
  bool changed_ = false;
  struct Waiting {
    uint64_t id = 0;
    std::move_only_function<void(bool)> durable;
  };
  std::vector<Waiting> waiting_;  // for the next write
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// The event without what names its recipient: address, ref, meta and the host's words.
std::string erased_event(std::string_view json);

}  // namespace postring::engine
