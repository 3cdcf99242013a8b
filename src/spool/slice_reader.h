// Reading a slice's folder as a whole: which segments there are, what is in them, what is wrong.
//
//   auto listing = list_slice(folder);
//   auto segments = read_slice(*listing, damage, [](const RecordView& record) { ... });
//
// Blocks and changes nothing; for recovery and offline tools. What is called damage and what a torn
// tail is in spool/log.h.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "spool/log.h"
#include "spool/segment.h"

namespace postring::spool {

struct ListedSegment {
  uint32_t sequence = 0;  // by its name
  std::string path;
  SegmentStart start;
};

struct SliceListing {
  std::vector<ListedSegment> segments;  // with records, by sequence
  std::vector<ListedSegment> spares;    // behind them: without records
  std::vector<std::string> unfinished;  // what a crash left of making a segment
  std::vector<Damage> damage;           // segments whose header is not readable
  uint32_t last_sequence = 0;
};

// The error: the folder or a file cannot be read, or a newer postring wrote it.
Result<SliceListing> list_slice(const std::string& folder);

struct ReadSegment {
  const ListedSegment* listed = nullptr;
  uint32_t end = 0;      // of its records
  uint32_t durable = 0;  // up to here its own records say that it was durable
  uint64_t records = 0;
  uint64_t torn_bytes = 0;
  bool sealed = false;
  bool damaged = false;
  bool last = false;
};

Damage damage_of(const std::string& path, uint64_t begin, uint64_t end);

// Gives every record to the visitor, the log's own too. Damage is added to `damage`, that of the
// listing as well.
Result<std::vector<ReadSegment>> read_slice(const SliceListing& listing,
                                            std::vector<Damage>& damage,
                                            const RecordVisitor& visitor);

}  // namespace postring::spool
