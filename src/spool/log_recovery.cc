// Opening of a Log: what is on disk becomes segments, spares and a list of what is wrong.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/mark.h"
#include "io/socket.h"
#include "spool/log_state.h"
#include "spool/slice_reader.h"

namespace postring::spool {

Result<void> Log::State::recover(const RecordVisitor& visitor) {
  if (!file_exists(folder)) {
    if (auto made = make_folder(folder); !made) {
      return fail(fmt::format("cannot create {}: {}", folder, std::strerror(made.error())));
    }
    size_t slash = folder.rfind('/');
    if (auto synced = sync_folder(slash == std::string::npos ? "." : folder.substr(0, slash + 1));
        !synced) {
      return fail(fmt::format("cannot sync {}: {}", folder, std::strerror(synced.error())));
    }
  }
  auto listing = list_slice(folder);
  if (!listing) return std::unexpected(listing.error());
  make_spares(*listing);
  for (const std::string& path : listing->unfinished) {
    if (spares->adopt_reserved(path)) continue;
    if (auto removed = remove_file(path); !removed) {
      return fail(fmt::format("cannot remove {}: {}", path, std::strerror(removed.error())));
    }
  }
  if (auto recovered = recover_segments(*listing, visitor); !recovered) return recovered;
  for (const ListedSegment& spare : listing->spares) {
    spares->adopt(spare.path, spare.start.header);
  }
  spares->set_target(options.reserve_segments + 1);
  loop.add_turn_end([alive = self] {
    if (*alive != nullptr) (*alive)->turn_end();
  });
  return {};
}

Result<void> Log::State::recover_segments(const SliceListing& listing,
                                          const RecordVisitor& visitor) {
  for (const ListedSegment& listed : listing.segments) {
    const SegmentHeader& header = listed.start.header;
    if (header.slice != options.slice || header.spool_id != options.spool_id) {
      return fail(fmt::format("{} belongs to slice {} of spool {:016x}; slice {} of spool {:016x} "
                              "was expected here",
                              listed.path, header.slice, header.spool_id, options.slice,
                              options.spool_id));
    }
  }
  auto read = read_slice(listing, recovery.damage, [&](const RecordView& view) {
    if (view.type <= RecordType::follow) return;
    ++recovery.records;
    visitor(view);
  });
  if (!read) return std::unexpected(read.error());
  for (const ReadSegment& done : *read) {
    Segment segment;
    segment.header = done.listed->start.header;
    segment.path = done.listed->path;
    segment.file_size = done.listed->start.file_size;
    segment.seed = segment.header.seed();
    segment.end = done.end;
    segment.records = done.records;
    segment.opened = done.listed->start.follow ? done.listed->start.follow->opened
                                               : segment.header.created;
    segment.sealed = true;
    segment.stream_begin = next_stream;
    next_stream += segment.file_size;
    ++recovery.segments;
    recovery.bytes += done.end;
    recovery.torn_bytes += done.torn_bytes;
    if (done.torn_bytes > 0) mark(Mark::torn_tail);
    bool cut = !done.damaged && !done.sealed && done.end < segment.file_size;
    if (done.last) {
      if (auto closed = close_last(segment, done.durable, cut); !closed) {
        return fail(fmt::format("{} cannot be written: {}", segment.path,
                                std::strerror(closed.error())));
      }
    }
    segments.push_back(std::move(segment));
  }
  if (!segments.empty()) {
    writing_segment = segments.back().header.sequence;
    appended = written = durable = segments.back().stream_end();
  }
  return {};
}

// What was read may never have been synced, or its sync may have failed: nothing is answered from
// it before it is durable.
Result<void, int> Log::State::close_last(Segment& segment, uint32_t durable_mark, bool cut) {
  auto file = open_file(segment.path, OpenMode::read_write);
  if (!file) return std::unexpected(file.error());
  // Its unused room goes back, and the torn tail with it. Failing to is no harm.
  if (cut && resize_file(*file, segment.end)) segment.file_size = segment.end;
  uint32_t begin = std::clamp(durable_mark, kSegmentHeaderSize, segment.end);
  if (begin < segment.end) mark(Mark::tail_rewritten);
  auto done = make_durable(*file, begin, segment.end);
  close_descriptor(*file);
  return done;
}

void Log::State::make_spares(const SliceListing& listing) {
  SegmentHeader pattern;
  pattern.slice = options.slice;
  pattern.spool_id = options.spool_id;
  pattern.size = options.segment_bytes;
  spares = std::make_unique<Spares>(loop, folder, pattern, listing.last_sequence + 1, [this] {
    tell_room();
    try_close();
  });
}

Result<std::unique_ptr<Log>> Log::open(Loop& loop, std::string folder, LogOptions options,
                                       const RecordVisitor& visitor) {
  CHECK(options.segment_bytes >= kSegmentBytesMin);
  CHECK(options.segment_bytes <= kSegmentBytesMax);
  CHECK(options.segment_bytes % 4'096 == 0);
  CHECK(options.reserve_segments <= kReserveSegmentsMax);
  auto state = std::make_unique<State>(loop, std::move(folder), options);
  if (auto recovered = state->recover(visitor); !recovered) {
    return std::unexpected(recovered.error());
  }
  return std::unique_ptr<Log>(new Log(std::move(state)));
}

}  // namespace postring::spool
