// EventSegments: the segments of the event log that are on disk: found at the start, indexed once
// they are finished, and removed when they are too old or too many.
//
//   EventSegments segments(loop, folder, options);
//   auto next = segments.recover();              // the number of the next entry
//   segments.push({.first = *next, ...});        // the one that is written to from now on
//   segments.last().bytes += written;
//
// All but the last are finished. The last one is, too, when it is full, or has been written to for
// so long that it would hold up the retention of what is in it. An index (spool/event_index.h) is
// made in offload, one at a time, where the disk has room for it: a search needs none, it is only
// slower. What fails is tried again every minute.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "io/loop.h"
#include "spool/event_log.h"
#include "spool/event_segment.h"

namespace postring::spool {

class EventSegments {
 public:
  struct Segment {
    uint64_t first = 0;
    uint64_t bytes = 0;  // durable ones
    WallTime begun;
    WallTime changed;  // of the last block
    std::string path;
    uint64_t bytes_max = 0;  // takes no block that would go beyond
    // Indexes of an earlier life are looked at when it is their turn to be made.
    enum class Index : uint8_t { unknown, there, not_possible } index = Index::unknown;
    uint64_t index_bytes = 0;
  };

  EventSegments(Loop& loop, std::string folder, EventLogOptions options);
  ~EventSegments() { *alive_ = false; }
  EventSegments(const EventSegments&) = delete;
  EventSegments& operator=(const EventSegments&) = delete;

  // Blocks; `names` are those of all files in the folder. The number of the next entry.
  Result<uint64_t> recover(const std::vector<std::string>& names);

  bool empty() const { return segments_.empty(); }
  Segment& last() { return segments_.back(); }
  void push(Segment segment);
  void pop_last() { segments_.pop_back(); }
  // Whether so many bytes more may be written to the last one.
  bool last_takes(uint64_t bytes) const;

  uint64_t bytes() const;  // on disk
  // The first entry that is kept; `end` where there is none.
  uint64_t oldest(uint64_t end) const { return segments_.empty() ? end : segments_.front().first; }
  // Of the entries from `from` up to `end`, the first `count` files.
  std::vector<EventFile> files(uint64_t from, uint64_t end, size_t count) const;

  void set_retention(Duration keep, uint64_t keep_bytes);
  void stop();

 private:
  Result<void> remove_unbegun(std::vector<std::string>& names);
  Result<void> recover_segment(const std::string& name, bool last);
  void remove_stray_indexes(const std::vector<std::string>& names);
  void on_minute();
  void apply_retention();
  void remove_first();
  void index_next();
  void on_indexed(uint64_t first, Result<uint64_t, int> made);
  Segment* find(uint64_t first);

  Loop& loop_;
  std::string folder_;
  EventLogOptions options_;
  std::deque<Segment> segments_;  // oldest first
  uint64_t next_number_ = 1;
  bool indexing_ = false;
  bool stopped_ = false;
  Timer minute_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace postring::spool
