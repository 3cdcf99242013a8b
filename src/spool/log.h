// Log: one slice of the spool, an append-only sequence of records in segment files.
//
//   auto log = Log::open(loop, "/var/spool/postring/slice-00001", options, visitor);  // recovers
//   auto position = (*log)->append(Recipient::kType, bytes, Room::submission);
//   (*log)->sync_soon([](bool ok) { ... });       // ok: everything appended before is durable
//   auto record = (*log)->read(*position);        // a view, while it is warm
//
// Appending. Records are staged in memory, their position is final at once, and what a turn staged
// goes out with one write at its end. sync_soon() makes durable by one range sync; one sync is in
// flight at a time and all who ask meanwhile share the next. Before a sync the bytes are padded to
// kSyncAlignment with a skip record, so that a sector that was acknowledged is never written again
// and a power cut in a later write cannot harm it. (Cost: 256 bytes a sync on average; at 500
// records a sync half a byte each.) The skip record also says how far the segment was durable.
//
// Segments are preallocated, zero-filled, headed and synced ahead of need, in offload and on the
// ring; one stands ready beside the reserve. Nothing is written to a segment before the one before
// it is durable as a whole: so only the last one that has records can end in a torn tail.
//
// Room. On a filling disk the reserve stays for outcomes and reclaim: submission is refused as soon
// as fewer spare segments stand ready, or less space is set aside, than the reserve says; outcomes
// when only reclaim's segment is left. Beside options.reserve_segments that stand ready, space is
// set aside for what reserve_for_outcomes() says, in files that become segments when the disk gives
// no other room. On a full disk a segment that is unlinked is set aside, too, where files are
// missing, and what was set aside is there again after a restart. A restart costs the rest of the
// segment that was appended to.
//
// Failures. After a failed write or sync the log is poisoned: every waiter gets `false`, nothing is
// tried again and believed, and nothing more is taken. What was not acknowledged may or may not be
// there; only a new open(), after a restart, tells. The home must stop sending: no outcome could be
// kept.
//
// Recovery reads every segment in order and gives each good record to the visitor. A torn tail
// (bytes behind the last good record of the last segment that nobody was told are durable) is left
// behind, and appending goes on in the next segment. Anything else that is not a good record is
// damage: it is listed in recovery().damage with file and offset, reading goes on behind it, and
// the caller decides whether it starts; nothing is skipped silently.
//
// The caller runs the loop, outlives no callback, and closes with close() before it destroys.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "io/loop.h"
#include "mail/ids.h"
#include "spool/record.h"

namespace postring::spool {

constexpr uint64_t kSegmentBytesMin = 64 * 1'024;
constexpr uint64_t kSegmentBytesMax = uint64_t{2} << 30;
constexpr uint64_t kSegmentBytesDefault = 64 << 20;
constexpr uint32_t kSyncAlignment = 512;
constexpr uint64_t kStagedBytesMax = 16 << 20;  // more waits for the disk: no_room_yet
constexpr unsigned kReserveSegmentsMax = 64;
constexpr size_t kReservedFilesMax = 1'024;
constexpr size_t kColdReadsMax = 256;  // at a time; more wait in order
constexpr Duration kColdReadRetry = Duration::milliseconds(200);
constexpr uint32_t kColdReadTries = 25;  // of a read that the disk refuses

enum class AppendError : uint8_t {
  no_room_yet,  // the disk is behind: try again after when_room()
  disk_full,    // what is left is reserved: only freed space mends it
  poisoned,     // a write or sync failed
  too_large,    // the payload does not fit a segment of this log
};
const char* name_of(AppendError error);

// What an append is for; the later may use room that the earlier may not.
enum class Room : uint8_t { submission, outcome, reclaim };

struct LogOptions {
  SliceNumber slice = 0;
  uint64_t spool_id = 0;
  uint64_t segment_bytes = kSegmentBytesDefault;  // of new segments
  unsigned reserve_segments = 2;                  // that stand ready; the last is reclaim's
  uint64_t tail_window_bytes = 64 << 20;          // what is_warm() calls warm
  // A segment that is older takes no more, so that what is in it can be reclaimed by age.
  Duration segment_age_max = Duration::hours(24);
};

using RecordVisitor = std::function<void(const RecordView& record)>;

struct Damage {
  std::string file;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  std::string what;  // "bytes 4096 to 8191 hold no valid record"
};

struct Recovery {
  uint64_t segments = 0;
  uint64_t records = 0;
  uint64_t bytes = 0;
  uint64_t torn_bytes = 0;  // of the tail that was left behind; never acknowledged
  std::vector<Damage> damage;
};

struct SegmentInfo {
  uint32_t sequence = 0;
  uint64_t bytes = 0;  // up to the end of its records
  WallTime opened;     // when it got its first record
  uint64_t records = 0;
  bool sealed = false;  // nothing more is appended to it, and it is durable as a whole
};

// Since the log was opened.
struct LogCounters {
  uint64_t bytes_appended = 0;  // of records
  uint64_t syncs = 0;
  uint64_t segments_deleted = 0;
};

class Log {
 public:
  // Blocks while it reads; not for a worker that sends. The error names the file and what is wrong.
  static Result<std::unique_ptr<Log>> open(Loop& loop, std::string folder, LogOptions options,
                                           const RecordVisitor& visitor);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  const Recovery& recovery() const;
  const LogCounters& counters() const;

  // At once or not at all. The payload is copied and may be a view that read() gave.
  Result<Position, AppendError> append(RecordType type, std::string_view payload, Room room);
  // Whether `bytes` more of records (record_size() each) would be taken now, in a row.
  Result<void, AppendError> check_room(uint64_t bytes, Room room) const;
  // What records for this may take in all while the disk gives nothing more, whether it stands
  // ready now or has to be made ready; as good as endless while the disk is not full.
  uint64_t room_left(Room room) const;
  // Once, when a refused append may succeed: a segment became ready or staged bytes went out.
  void when_room(std::function<void()> callback);

  // The callback runs in a later turn.
  void sync_soon(std::move_only_function<void(bool ok)> callback);
  bool is_durable(Position position) const;
  bool poisoned() const;

  // The view holds until the caller returns to the loop. For records that are staged or warm; a
  // cold one may block the worker. Nothing where there is no good record.
  std::optional<RecordView> read(Position position);
  bool is_warm(Position position) const;
  // Through the ring: for cold records. The view holds during the callback, which runs in a later
  // turn, with nothing where the record is gone or bad. What fails for want of descriptors or of
  // memory is tried again until it is read; what the disk refuses, for kColdReadTries.
  using ReadCallback = std::move_only_function<void(std::optional<RecordView> record)>;
  void read_async(Position position, ReadCallback callback);

  // Segments with records, oldest first; the last is the one that is appended to.
  size_t segment_count() const;
  std::optional<SegmentInfo> oldest() const;
  std::optional<SegmentInfo> segment(uint32_t sequence) const;
  // The segments' bytes, spares included; what is set aside not. And without the spares.
  uint64_t bytes_on_disk() const;
  uint64_t bytes_of_segments() const;
  uint64_t segment_bytes() const;  // of new ones
  // Closes the tail segment where it has records, so that it can be reclaimed by age.
  Result<void, AppendError> roll();

  // Gives every record of a sealed segment to the visitor, a bounded piece each turn, read through
  // the ring. One scan at a time. Damage is left out, as recovery() said; what is new is added
  // there. done(false): the disk did not give the bytes; trying again at once would not help.
  void for_each_record(uint32_t sequence, RecordVisitor visitor,
                       std::move_only_function<void(bool ok)> done);

  // Deletes the oldest segment. What of it still counts must have been appended again, last at
  // `copies_end` (or nothing), and be durable: checked. Not while a scan reads it. done(false): the
  // file could not be removed; it is tried again with the next.
  void unlink_oldest(Position copies_end, std::move_only_function<void(bool ok)> done);

  // Sets space aside for so many bytes of outcomes to come, in at most kReservedFilesMax segments.
  // Cheap; to be said again whenever it changes.
  void reserve_for_outcomes(uint64_t bytes);
  // Nothing but the reserve is left and the disk takes no more.
  bool disk_full() const;

  // Writes and syncs what is staged, ends what is in flight; then calls back and takes nothing
  // more. `ok` as of sync_soon().
  void close(std::move_only_function<void(bool ok)> callback);

  struct State;  // log_state.h

 private:
  explicit Log(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace postring::spool
