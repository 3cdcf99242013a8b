// EventLog: what happened, for readers outside, in segments of its own with a retention of its own.
//
//   auto events = EventLog::open(loop, "/var/spool/postring/events", options);   // recovers
//   (*events)->append(entry, key);               // opaque bytes; numbered from 1, in this order
//   (*events)->sync_soon([](bool ok) { ... });   // ok: everything appended before is durable
//   (*events)->read(from, bytes_max, [](Result<EventPage, EventsGone> page) { ... });
//   (*events)->find(key, from, bytes_max, [](auto page) { ... });   // of one key
//
// A cursor is the number of the next entry. Readers see durable entries only, and hold nothing
// back: a segment goes when it is older than `keep` or when all together are larger than
// `keep_bytes`; who wanted what it held is told how much was missed. It is written to for a
// sixteenth of `keep` at most, so that what is in it can grow old.
//
// A segment ("00000000000000000001.events", named by its first entry) is a header and blocks:
//
//     header  "postring events\n" version:u32 zero:u32 first:u64 created_us:u64 zero:u32 crc32c:u32
//     block   crc32c:u32 size:u32 raw_size:u32 entries:u32 first:u64 head_crc32c:u32
//             (key:u32)* zstd frame of `size` bytes
//     frame   (length:u32 entry)*
//
// The block's checksum covers it from its byte 4 on, the head's what is before the frame but both
// checksums: a search goes from head to head, and in finished segments by an index
// (spool/event_index.h). Format 1 has no keys and no head_crc32c; such segments are read, and
// searched by reading them.
//
// A block is what was appended between two syncs, split at kEventBlockBytes. The header is written
// with the first block. A torn tail is cut off at open: nobody was told it is durable. Reading,
// decompressing and making files happen in offload.
//
// On a full disk the log goes on in segments made of what reserve() set aside. When that is used up
// it waits: nothing is lost, who asked for a sync is told when there is room again, and disk_full()
// says so. It waits, too, while no file can be opened for want of descriptors. After any other
// failed write or sync the log is poisoned: every waiter gets false. What cannot be read is tried
// again kEventReadTries times, then passed over, and the page says so.
//
// A block head that is damaged in the last segment counts as torn at the next start.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "io/loop.h"

namespace postring::spool {

constexpr uint32_t kEventEntryMax = 1u << 20;
constexpr uint64_t kEventBlockBytes = 1u << 20;  // before compression; one larger entry is alone
// What goes out with one write and one sync; a reserved file holds it whole.
constexpr uint64_t kEventWriteBytes = 2u << 20;
constexpr uint64_t kEventUnsyncedMax = kEventWriteBytes + kEventEntryMax + 4'096;
constexpr Duration kEventRetry = Duration::seconds(1);  // of what waits
constexpr int kEventReadTries = 30;
constexpr uint64_t kEventSegmentBytesDefault = 16u << 20;
constexpr uint32_t kEventFormatVersion = 2;

struct EventLogOptions {
  uint64_t segment_bytes = kEventSegmentBytesDefault;
  Duration keep = Duration::days(7);
  uint64_t keep_bytes = uint64_t{10} << 30;
};

// The reader asked for entries that are no longer kept.
struct EventsGone {
  uint64_t oldest = 1;  // what can be read from
  uint64_t missed = 0;  // entries between
};

// Entries from `first` on, without a gap; none where the end was reached.
struct EventPage {
  uint64_t first = 0;
  uint64_t next = 0;        // the cursor behind them
  std::vector<char> bytes;  // what the entries point into; moves with them
  std::vector<std::string_view> entries;
  std::string problem;  // damage was met: what lay there is left out
  // With errno `error`, the file with the entries before `behind` cannot be read. The log tries
  // again before it hands such a page out; then those entries are left out.
  int error = 0;
  uint64_t behind = 0;
};

class EventLog {
 public:
  // Blocks. The error names the file and what is wrong.
  static Result<std::unique_ptr<EventLog>> open(Loop& loop, std::string folder,
                                                EventLogOptions options);
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  // The key is what find() goes by; entries may share one.
  void append(std::string_view entry, uint32_t key);
  // The callback runs in a later turn.
  void sync_soon(std::move_only_function<void(bool ok)> callback);
  bool poisoned() const;
  // Nothing set aside is left and the disk takes no more: what is asked waits.
  bool disk_full() const;
  // Sets space aside for so many bytes of events (as they lie on disk). Cheap; to be said again
  // whenever it changes.
  void reserve(uint64_t bytes);
  // From now on who would have to wait gets false: for the stop.
  void give_up_waiting();
  bool gave_up() const;  // poisoned by that, and by nothing worse

  uint64_t oldest() const;  // the first entry that is kept
  uint64_t end() const;     // the cursor behind the last durable entry
  uint64_t bytes() const;   // on disk

  // From entry number `from` (0: the oldest), whole blocks until about `bytes_max` bytes were read.
  // Several reads may be asked for at a time. The callback runs in a later turn.
  using ReadCallback = std::move_only_function<void(Result<EventPage, EventsGone>)>;
  void read(uint64_t from, uint64_t bytes_max, ReadCallback callback);
  // The same, of the entries appended with `key` alone; in segments of format 1, of all. A page
  // may be empty and move on.
  void find(uint32_t key, uint64_t from, uint64_t bytes_max, ReadCallback callback);

  // New limits; what is beyond them goes.
  void set_retention(Duration keep, uint64_t keep_bytes);

  // Syncs what was appended, then calls back and takes nothing more.
  void close(std::move_only_function<void(bool ok)> callback);

 private:
  struct State;
  explicit EventLog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace postring::spool
