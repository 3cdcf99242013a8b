// The files of the event log: their names, and making them. Blocking, for offload.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace postring::spool {

constexpr std::string_view kEventSuffix = ".events";

// "00000000000000000001.events": sorted by name, segments are in the order of their entries.
std::string event_segment_name(uint64_t first);

// What readers may read of a segment.
struct EventFile {
  std::string path;
  uint64_t bytes = 0;
  uint64_t next = 0;  // behind its last entry
};

struct NewEventSegment {
  std::string path;
  std::string reserved;  // made of this file, whose space is its own already; empty: of none
  // The segment before: cut to what is durable of it, so that nothing torn stays inside. Or empty.
  std::string before;
  uint64_t before_bytes = 0;
};

// The open file, its name durable. Its header is written with its first block. Or an errno.
Result<int, int> make_event_segment(const NewEventSegment& segment, const std::string& folder);

}  // namespace postring::spool
