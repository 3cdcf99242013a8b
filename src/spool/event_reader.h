// Reading event segments: blocking, for helper threads and for recovery.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "spool/event_block.h"
#include "spool/event_log.h"
#include "spool/event_segment.h"

namespace postring::spool {

// Entries from `from` (below `end`) on, out of consecutive segments. A page never points past a gap
// without saying so in `problem`. A file that cannot be opened ends it.
EventPage read_events(const std::vector<EventFile>& files, uint64_t from, uint64_t end,
                      uint64_t bytes_max);

// The same, of the entries appended with `key`; in a segment without keys of all. Ends behind a
// segment that had to be gone through for want of an index.
EventPage find_events(const std::vector<EventFile>& files, uint64_t from, uint64_t end,
                      uint64_t bytes_max, uint32_t key);

struct ScannedEvents {
  std::optional<EventHeader> header;  // nothing: the file is none of ours, or has none yet
  uint64_t good_bytes = 0;
  uint64_t next = 0;  // behind the last good entry
};

// The header; with `blocks`, all blocks, and what is behind the last good one is cut off.
Result<ScannedEvents> scan_event_file(const std::string& path, bool blocks);

}  // namespace postring::spool
