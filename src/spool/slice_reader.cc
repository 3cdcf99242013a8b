#include "spool/slice_reader.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "io/file.h"

namespace postring::spool {
namespace {

// True where something behind `at` says that more than `at` was durable once: then what is missing
// was acknowledged, and is no torn tail.
Result<bool> acknowledged_behind(const std::string& path, uint32_t at) {
  auto scanner = SegmentScanner::open(path);
  if (!scanner) return std::unexpected(scanner.error());
  scanner->seek(at);
  while (scanner->skip_damage()) {
    scanner->walk([](const RecordView&) {});
    if (scanner->durable_mark() > at) return true;
  }
  return false;
}

class SegmentRead {
 public:
  SegmentRead(const ListedSegment& listed, SegmentScanner& scanner, std::vector<Damage>& damage)
      : scanner_(scanner), damage_(damage) {
    result_.listed = &listed;
  }

  Result<ReadSegment> last(const RecordVisitor& visitor);
  // `next` is what the segment behind it says of this one.
  ReadSegment inner(const RecordVisitor& visitor, const std::optional<Follow>& next);

 private:
  void note(uint64_t begin, uint64_t end) {
    result_.damaged = true;
    damage_.push_back(damage_of(result_.listed->path, begin, end));
  }
  ReadSegment finish(uint32_t end, SegmentStop stop);

  SegmentScanner& scanner_;
  std::vector<Damage>& damage_;
  ReadSegment result_;
};

Result<ReadSegment> SegmentRead::last(const RecordVisitor& visitor) {
  result_.last = true;
  for (;;) {
    SegmentStop stop = scanner_.walk(visitor);
    uint32_t at = scanner_.offset();
    if (stop == SegmentStop::seal || stop == SegmentStop::file_end) return finish(at, stop);
    uint64_t content_end = scanner_.content_end(at);
    // Nothing at all is behind it: the usual end.
    if (content_end == at) return finish(at, stop);
    auto acknowledged = acknowledged_behind(result_.listed->path, at);
    if (!acknowledged) return std::unexpected(acknowledged.error());
    if (!*acknowledged || !scanner_.skip_damage()) {
      result_.torn_bytes = content_end - at;
      return finish(at, stop);
    }
    note(at, scanner_.offset());
  }
}

ReadSegment SegmentRead::inner(const RecordVisitor& visitor, const std::optional<Follow>& next) {
  for (;;) {
    SegmentStop stop = scanner_.walk(visitor);
    uint32_t at = scanner_.offset();
    if (stop == SegmentStop::seal) return finish(at, stop);
    // A restart ended it here.
    if (next && at >= next->end) return finish(at, stop);
    if (scanner_.skip_damage()) {
      note(at, scanner_.offset());
      continue;
    }
    if (next) note(at, next->end);
    if (!next && stop == SegmentStop::bad) note(at, scanner_.file_size());
    return finish(at, stop);
  }
}

ReadSegment SegmentRead::finish(uint32_t end, SegmentStop stop) {
  result_.end = end;
  result_.durable = scanner_.durable_mark();
  result_.records = scanner_.records();
  result_.sealed = stop == SegmentStop::seal;
  if (!result_.sealed || result_.damaged) return result_;
  auto said = scanner_.sealed_records();
  if (!said || *said != result_.records) {
    result_.damaged = true;
    damage_.push_back({result_.listed->path, 0, 0,
                       fmt::format("its seal says {} records, {} were found", said.value_or(0),
                                   result_.records)});
  }
  return result_;
}

void note_header(SliceListing& listing, const std::string& path, const StartResult& start) {
  listing.damage.push_back({path, 0, kSegmentHeaderSize, start.words});
}

// Whether a segment without a first record was in use: one that was never, a spare, is zero behind
// its header, and what a crash leaves of a first write never says that it was durable.
Result<bool> was_used(const ListedSegment& listed) {
  if (listed.start.follow) return true;
  if (!listed.start.has_bytes) return false;
  return acknowledged_behind(listed.path, kSegmentHeaderSize);
}

// A file whose header is not there and that holds nothing else either: a crash left it.
bool holds_nothing(const std::string& path) {
  auto bytes = read_whole_file(path, kSegmentHeaderSize);
  return bytes && bytes->find_first_not_of('\0') == std::string::npos;
}

}  // namespace

Damage damage_of(const std::string& path, uint64_t begin, uint64_t end) {
  return {path, begin, end - begin,
          fmt::format("bytes {} to {} hold no valid record", begin, end - 1)};
}

Result<SliceListing> list_slice(const std::string& folder) {
  auto names = list_folder(folder);
  if (!names) return fail(fmt::format("cannot read {}: {}", folder, std::strerror(names.error())));
  SliceListing listing;
  std::vector<ListedSegment> all;
  for (const std::string& name : *names) {
    std::string path = folder + "/" + name;
    if (name.ends_with(kNewSegmentSuffix)) listing.unfinished.push_back(path);
    auto sequence = parse_segment_name(name);
    if (!sequence) continue;
    StartResult start = read_segment_start(path);
    listing.last_sequence = std::max(listing.last_sequence, *sequence);
    switch (start.problem) {
      case StartProblem::unreadable:
      case StartProblem::refused: return fail(start.words);
      case StartProblem::damaged:
        if (holds_nothing(path)) {
          listing.unfinished.push_back(path);
        } else {
          note_header(listing, path, start);
        }
        continue;
      case StartProblem::none: break;
    }
    if (start.start.header.sequence != *sequence) {
      start.words = fmt::format("{} says it is segment {}", path, start.start.header.sequence);
      note_header(listing, path, start);
      continue;
    }
    all.push_back({*sequence, path, start.start});
  }
  size_t used = all.size();
  for (; used > 0; --used) {
    auto in_use = was_used(all[used - 1]);
    if (!in_use) return std::unexpected(in_use.error());
    if (*in_use) break;
  }
  listing.segments.assign(all.begin(), all.begin() + static_cast<ptrdiff_t>(used));
  listing.spares.assign(all.begin() + static_cast<ptrdiff_t>(used), all.end());
  return listing;
}

Result<std::vector<ReadSegment>> read_slice(const SliceListing& listing,
                                            std::vector<Damage>& damage,
                                            const RecordVisitor& visitor) {
  damage.insert(damage.end(), listing.damage.begin(), listing.damage.end());
  std::vector<ReadSegment> done;
  for (size_t i = 0; i < listing.segments.size(); ++i) {
    const ListedSegment& listed = listing.segments[i];
    bool is_last = i + 1 == listing.segments.size();
    const auto& follow = listed.start.follow;
    if (i > 0 && follow && follow->sequence != listing.segments[i - 1].sequence) {
      damage.push_back({listed.path, kSegmentHeaderSize, 0,
                        fmt::format("segment {} before it is missing", follow->sequence)});
    }
    auto scanner = SegmentScanner::open(listed.path);
    if (!scanner) return std::unexpected(scanner.error());
    SegmentRead read(listed, *scanner, damage);
    if (is_last) {
      auto result = read.last(visitor);
      if (!result) return std::unexpected(result.error());
      done.push_back(*result);
      continue;
    }
    auto next = listing.segments[i + 1].start.follow;
    if (next && next->sequence != listed.sequence) next.reset();
    done.push_back(read.inner(visitor, next));
  }
  return done;
}

}  // namespace postring::spool
