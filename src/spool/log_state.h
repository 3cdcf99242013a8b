// The inside of a Log, shared by log.cc (appending), log_recovery.cc (opening) and log_read.cc
// (reading, scanning, unlinking). Not for others.
//
// The stream is all bytes of the slice's segments in a row; positions in it only grow. Law:
//
//     durable <= written <= appended
//
// Everything between durable and written lies in one segment, the writing one: nothing goes to the
// next before it is durable as a whole.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "io/file.h"
#include "spool/log.h"
#include "spool/segment.h"
#include "spool/spares.h"

namespace postring::spool {

constexpr uint32_t kChunkBytes = 256 * 1'024;
constexpr size_t kChunksKept = 4;
constexpr uint32_t kScanBytes = 256 * 1'024;
constexpr uint32_t kColdReadBytes = 4'096;

struct Segment {
  SegmentHeader header;
  std::string path;
  uint64_t file_size = 0;
  uint32_t seed = 0;
  uint32_t end = kSegmentHeaderSize;  // of its records
  uint64_t records = 0;
  uint64_t stream_begin = 0;          // of its byte 0
  WallTime opened;                    // when it got its first record
  bool sealed = false;                // takes no more records
  int file = -1;                      // opened when it is first needed
  FileMap map;

  uint64_t stream_end() const { return stream_begin + end; }
  uint32_t capacity() const {
    // The seal gets a sector of its own, behind everything that was acknowledged.
    return static_cast<uint32_t>(file_size - kSyncAlignment);
  }
};

// Staged bytes of one segment, in a row.
struct Chunk {
  uint32_t segment = 0;
  uint32_t offset = 0;    // in the segment
  uint32_t size = 0;
  uint32_t written = 0;
  uint32_t capacity = 0;
  uint64_t stream_begin = 0;
  std::unique_ptr<char[]> bytes;
};

struct SyncWaiter {
  uint64_t target = 0;
  std::move_only_function<void(bool)> callback;
};

// One read of a cold record.
struct ColdRead {
  Log::State* log = nullptr;
  size_t slot = 0;
  Position position;
  Log::ReadCallback callback;
  std::string buffer;
  uint32_t filled = 0;
  uint32_t size = 0;   // that the buffer shall hold
  uint32_t tries = 0;  // that the disk refused
  Completion completion;
  Timer retry;

  void on_read(int32_t result);
  void on_retry();
};

struct WaitingRead {
  Position position;
  Log::ReadCallback callback;
};

// A scan through one segment (Log::for_each_record).
struct Scan {
  bool active = false;
  bool readable = true;
  Position at;
  RecordVisitor visitor;
  std::move_only_function<void(bool)> done;
  std::string buffer;
  uint32_t kept = 0;       // bytes at the buffer's front that are not visited yet
  bool searching = false;  // behind damage: for the next good record
  uint32_t damage_begin = 0;
  Completion completion;
};

struct Log::State {
  State(Loop& loop_, std::string folder_, LogOptions options_);
  ~State();

  // log_recovery.cc
  Result<void> recover(const RecordVisitor& visitor);
  Result<void> recover_segments(const struct SliceListing& listing, const RecordVisitor& visitor);
  Result<void, int> close_last(Segment& segment, uint32_t durable_mark, bool cut);
  void make_spares(const struct SliceListing& listing);

  // log.cc
  Result<void, AppendError> refuse(uint64_t bytes, Room room) const;
  Result<Position, AppendError> append(RecordType type, std::string_view payload, Room room);
  Position put(RecordType type, std::string_view payload);
  char* stage(uint32_t size);
  void seal();
  void open_next();
  void pad();
  void turn_end();
  void pump();
  void start_write();
  void on_written(int32_t result);
  void start_sync();
  SyncRange sync_range(const Segment& segment) const;
  void on_synced(int32_t result);
  void finish_waiters();
  void poison(const char* what, int error);
  void tell_room();
  bool is_too_old(const Segment& segment, Room room) const;
  size_t floor_of(Room room) const;
  uint64_t room_left(Room room) const;
  uint64_t active_left() const;
  bool quiet() const;
  void try_close();

  // log_read.cc
  Segment* find(uint32_t sequence);
  // Opens the segment's file where it is not open; an error is an errno.
  Result<void, int> ensure_file(Segment& segment);
  bool ensure_map(Segment& segment);
  std::optional<RecordView> read(Position position);
  std::optional<std::string_view> staged(Position position, const Segment& segment) const;
  void read_async(Position position, ReadCallback callback);
  void start_cold_read(Position position, ReadCallback callback);
  void submit_cold_read(ColdRead& read);
  void cold_read_failed(ColdRead& read, int error);
  void on_cold_read(ColdRead& read, int32_t result);
  void end_cold_read(ColdRead& read, std::optional<RecordView> view);
  void start_scan(uint32_t sequence, RecordVisitor visitor,
                  std::move_only_function<void(bool)> done);
  void scan_more();
  bool visit_scanned(uint32_t filled);
  void on_scanned(int32_t result);
  void note_scan_damage(uint32_t begin, uint32_t end);
  void end_scan();
  void unlink_oldest(Position copies_end, std::move_only_function<void(bool)> done);
  void on_unlinked(bool ok, const std::string& kept, std::move_only_function<void(bool)> done);
  uint64_t stream_of(Position position) const;

  Segment& active() { return segments.back(); }
  bool has_active() const { return !segments.empty() && !segments.back().sealed; }

  // Fixed after construction.
  Loop& loop;
  std::string folder;
  LogOptions options;
  std::shared_ptr<State*> self;

  Recovery recovery;
  LogCounters counters;
  std::deque<Segment> segments;  // with records, by sequence; the last may be the active one
  std::unique_ptr<Spares> spares;

  // Appending.
  uint64_t appended = 0;
  uint64_t written = 0;
  uint64_t durable = 0;
  uint64_t next_stream = 0;  // where the next segment begins in the stream
  uint64_t staged_bytes = 0;
  std::deque<Chunk> chunks;  // the first is what is being written
  std::vector<std::unique_ptr<char[]>> free_chunks;
  Completion write_completion;
  Completion sync_completion;
  uint32_t writing_segment = 0;  // the segment of the last write
  uint64_t sync_upto = 0;        // what the sync in flight covers
  uint64_t round_target = 0;     // what the waiters of this round wait for; 0: no round
  std::deque<SyncWaiter> waiters;
  std::vector<std::function<void()>> room_waiters;
  bool is_poisoned = false;
  std::string poison_words;

  // Reading.
  std::array<std::unique_ptr<ColdRead>, kColdReadsMax> cold_reads;
  std::vector<size_t> free_slots;
  std::deque<WaitingRead> waiting_reads;
  Scan scan;
  bool unlinking = false;

  // Closing.
  bool closing = false;
  std::move_only_function<void(bool)> close_callback;
};

}  // namespace postring::spool
