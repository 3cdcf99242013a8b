// Reading, scanning and unlinking of a Log.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/mark.h"
#include "io/socket.h"
#include "spool/log_state.h"
#include "spool/slice_reader.h"

namespace postring::spool {
namespace {

// Behind damage, the search looks at windows in whose first half every record begins that ends
// within the window.
constexpr uint32_t kSearchBytes = 2 * (kPayloadMax + 4'096);
constexpr size_t kBufferKeptBytes = 64 * 1'024;

std::span<std::byte> writable(std::string& buffer, size_t from, size_t size) {
  return std::as_writable_bytes(std::span(buffer.data() + from, size));
}

}  // namespace

Segment* Log::State::find(uint32_t sequence) {
  auto found = std::lower_bound(
      segments.begin(), segments.end(), sequence,
      [](const Segment& segment, uint32_t wanted) { return segment.header.sequence < wanted; });
  if (found == segments.end() || found->header.sequence != sequence) return nullptr;
  return &*found;
}

Result<void, int> Log::State::ensure_file(Segment& segment) {
  if (segment.file >= 0) return {};
  auto file = open_file(segment.path, OpenMode::read);
  if (!file) return std::unexpected(file.error());
  segment.file = *file;
  return {};
}

bool Log::State::ensure_map(Segment& segment) {
  if (!segment.map.bytes().empty()) return true;
  if (!ensure_file(segment)) return false;
  auto map = FileMap::map(segment.file, segment.file_size);
  if (!map) return false;
  segment.map = std::move(*map);
  return true;
}

uint64_t Log::State::stream_of(Position position) const {
  const Segment* segment = const_cast<State*>(this)->find(position.segment);
  if (segment != nullptr) return segment->stream_begin + position.offset;
  bool older = segments.empty() || position.segment < segments.front().header.sequence;
  return older ? 0 : UINT64_MAX;
}

std::optional<std::string_view> Log::State::staged(Position position,
                                                   const Segment& segment) const {
  if (chunks.empty()) return std::nullopt;
  if (segment.stream_begin + position.offset < chunks.front().stream_begin) return std::nullopt;
  for (const Chunk& chunk : chunks) {
    if (chunk.segment != position.segment || position.offset < chunk.offset) continue;
    uint32_t skip = position.offset - chunk.offset;
    if (skip < chunk.size) return std::string_view(chunk.bytes.get() + skip, chunk.size - skip);
  }
  return std::nullopt;
}

std::optional<RecordView> Log::State::read(Position position) {
  Segment* segment = find(position.segment);
  if (segment == nullptr) return std::nullopt;
  if (position.offset < kSegmentHeaderSize || position.offset >= segment->end) return std::nullopt;
  RecordView view;
  view.position = position;
  std::string_view bytes;
  if (auto here = staged(position, *segment)) {
    bytes = *here;
  } else {
    if (!ensure_map(*segment)) return std::nullopt;
    auto mapped = segment->map.bytes();
    bytes = {reinterpret_cast<const char*>(mapped.data()), mapped.size()};
    bytes = bytes.substr(0, segment->end).substr(position.offset);
  }
  if (check_record(bytes, segment->seed, position.offset, view) != RecordCheck::good) {
    return std::nullopt;
  }
  return view;
}

void Log::State::read_async(Position position, ReadCallback callback) {
  Segment* segment = find(position.segment);
  bool on_disk = segment != nullptr && position.offset >= kSegmentHeaderSize &&
                 position.offset < segment->end && !staged(position, *segment);
  if (!on_disk) {
    loop.defer([alive = self, position, callback = std::move(callback)]() mutable {
      if (*alive != nullptr) callback((*alive)->read(position));
    });
    return;
  }
  if (free_slots.empty()) {
    waiting_reads.push_back({position, std::move(callback)});
    return;
  }
  start_cold_read(position, std::move(callback));
}

void Log::State::start_cold_read(Position position, ReadCallback callback) {
  mark(Mark::cold_read);
  size_t slot = free_slots.back();
  free_slots.pop_back();
  if (cold_reads[slot] == nullptr) {
    cold_reads[slot] = std::make_unique<ColdRead>();
    cold_reads[slot]->log = this;
    cold_reads[slot]->slot = slot;
    cold_reads[slot]->completion.bind<&ColdRead::on_read>(cold_reads[slot].get());
    cold_reads[slot]->retry.bind<&ColdRead::on_retry>(cold_reads[slot].get());
  }
  ColdRead& read = *cold_reads[slot];
  read.position = position;
  read.callback = std::move(callback);
  read.filled = 0;
  read.tries = 0;
  read.size = kColdReadBytes;
  submit_cold_read(read);
}

void ColdRead::on_read(int32_t result) { log->on_cold_read(*this, result); }
void ColdRead::on_retry() { log->submit_cold_read(*this); }

// Reads on until the buffer holds `read.size` bytes or the segment ends.
void Log::State::submit_cold_read(ColdRead& read) {
  Segment* segment = find(read.position.segment);
  if (segment == nullptr) return end_cold_read(read, std::nullopt);
  if (auto open = ensure_file(*segment); !open) return cold_read_failed(read, open.error());
  uint32_t size = std::min(read.size, segment->end - read.position.offset);
  if (size <= read.filled) return end_cold_read(read, std::nullopt);
  read.buffer.resize(size);
  loop.ring().read(read.completion, segment->file,
                   writable(read.buffer, read.filled, size - read.filled),
                   read.position.offset + read.filled);
}

// A record that only cannot be read now is not damaged: nothing may be decided from that.
void Log::State::cold_read_failed(ColdRead& read, int error) {
  bool passes = error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN ||
                error == EINTR;
  if (!passes && ++read.tries >= kColdReadTries) return end_cold_read(read, std::nullopt);
  mark(Mark::cold_read_again);
  loop.timers().arm(read.retry, loop.now() + kColdReadRetry);
}

void Log::State::on_cold_read(ColdRead& read, int32_t result) {
  Segment* segment = find(read.position.segment);
  if (segment == nullptr || result == 0) return end_cold_read(read, std::nullopt);
  if (result < 0) return cold_read_failed(read, -result);
  read.filled += static_cast<uint32_t>(result);
  RecordView view;
  view.position = read.position;
  std::string_view bytes(read.buffer.data(), read.filled);
  switch (check_record(bytes, segment->seed, read.position.offset, view)) {
    case RecordCheck::good: return end_cold_read(read, view);
    case RecordCheck::cut_off:
      read.size = static_cast<uint32_t>(record_size(view.payload.size()));
      return submit_cold_read(read);
    case RecordCheck::end:
    case RecordCheck::bad: return end_cold_read(read, std::nullopt);
  }
}

void Log::State::end_cold_read(ColdRead& read, std::optional<RecordView> view) {
  // The place is free only afterwards: the view is in its buffer.
  auto callback = std::move(read.callback);
  callback(view);
  if (read.buffer.capacity() > kBufferKeptBytes) std::string().swap(read.buffer);
  free_slots.push_back(read.slot);
  if (!waiting_reads.empty()) {
    WaitingRead next = std::move(waiting_reads.front());
    waiting_reads.pop_front();
    start_cold_read(next.position, std::move(next.callback));
  }
  try_close();
}

void Log::State::start_scan(uint32_t sequence, RecordVisitor visitor,
                            std::move_only_function<void(bool)> done) {
  CHECK(!scan.active, "one scan at a time");
  Segment* segment = find(sequence);
  CHECK(segment != nullptr);
  CHECK(segment->sealed);
  CHECK(segment->stream_end() <= durable, "only what is durable is scanned");
  scan.active = true;
  scan.readable = true;
  scan.at = {sequence, kSegmentHeaderSize};
  scan.visitor = std::move(visitor);
  scan.done = std::move(done);
  scan.kept = 0;
  scan.searching = false;
  if (!ensure_file(*segment)) scan.readable = false;
  scan_more();
}

void Log::State::scan_more() {
  Segment& segment = *find(scan.at.segment);
  uint32_t from = scan.at.offset + scan.kept;
  uint32_t wanted = scan.searching ? kSearchBytes - scan.kept : kScanBytes;
  wanted = std::min(wanted, segment.end - from);
  if (segment.file < 0 || wanted == 0) {
    if (wanted == 0 && scan.kept > 0) note_scan_damage(scan.at.offset, segment.end);
    loop.defer([alive = self] {
      if (*alive != nullptr) (*alive)->end_scan();
    });
    return;
  }
  if (scan.buffer.size() < scan.kept + wanted) scan.buffer.resize(scan.kept + wanted);
  loop.ring().read(scan.completion, segment.file, writable(scan.buffer, scan.kept, wanted), from);
}

void Log::State::on_scanned(int32_t result) {
  if (result <= 0) {
    scan.readable = false;
    return end_scan();
  }
  uint32_t filled = scan.kept + static_cast<uint32_t>(result);
  uint32_t begin = scan.at.offset;
  while (visit_scanned(filled - (scan.at.offset - begin))) {
  }
  uint32_t used = scan.at.offset - begin;
  CHECK(used <= filled);
  scan.kept = filled - used;
  // visit_scanned() moves what is left to the front as it goes on.
  scan_more();
}

// Visits the records in the buffer's first `filled` bytes, which begin at scan.at. True where a
// search found a place to go on at.
bool Log::State::visit_scanned(uint32_t filled) {
  Segment& segment = *find(scan.at.segment);
  uint32_t used = 0;
  bool again = false;
  std::string_view bytes(scan.buffer.data(), filled);
  while (!scan.searching && used < filled) {
    RecordView view;
    view.position = {scan.at.segment, scan.at.offset + used};
    RecordCheck check =
        check_record(bytes.substr(used), segment.seed, view.position.offset, view);
    if (check == RecordCheck::cut_off) break;
    if (check != RecordCheck::good) {
      scan.searching = true;
      scan.damage_begin = view.position.offset;
      break;
    }
    if (view.type > RecordType::follow) scan.visitor(view);
    used += static_cast<uint32_t>(record_size(view.payload.size()));
  }
  if (scan.searching) {
    uint32_t begin = scan.at.offset;
    bool to_the_end = begin + filled >= segment.end;
    if (filled >= kSearchBytes || to_the_end) {
      uint32_t from = begin + used;
      auto found = find_record(bytes, segment.seed, begin, from);
      if (found) {
        scan.searching = false;
        again = true;
        used = *found - begin;
        note_scan_damage(scan.damage_begin, *found);
      } else {
        if (to_the_end) note_scan_damage(scan.damage_begin, segment.end);
        used = to_the_end ? filled : std::max(used, kSearchBytes / 2);
      }
    }
  }
  std::memmove(scan.buffer.data(), scan.buffer.data() + used, filled - used);
  scan.at.offset += used;
  return again;
}

// What recovery did not say yet.
void Log::State::note_scan_damage(uint32_t begin, uint32_t end) {
  const std::string& path = find(scan.at.segment)->path;
  for (const Damage& known : recovery.damage) {
    if (known.file == path && known.offset == begin) return;
  }
  recovery.damage.push_back(damage_of(path, begin, end));
}

void Log::State::end_scan() {
  scan.active = false;
  auto done = std::move(scan.done);
  scan.visitor = nullptr;
  std::string().swap(scan.buffer);
  done(scan.readable);
  try_close();
}

void Log::State::unlink_oldest(Position copies_end, std::move_only_function<void(bool)> done) {
  CHECK(!unlinking, "one segment is unlinked at a time");
  CHECK(!segments.empty());
  Segment& oldest = segments.front();
  CHECK(oldest.sealed, "the segment is still appended to");
  CHECK(oldest.stream_end() <= durable);
  CHECK(!scan.active || scan.at.segment != oldest.header.sequence, "the segment is being read");
  CHECK(!copies_end.is_set() || stream_of(copies_end) < durable, "the copies must be durable");
  unlinking = true;
  bool keeps = oldest.file_size == options.segment_bytes && spares->keeps_next();
  std::string kept = keeps ? spares->reserve_path() : "";
  loop.offload().run(
      [path = oldest.path, kept, folder = folder] {
        auto gone = kept.empty() ? remove_file(path) : rename_file(path, kept);
        // Another time only the folder's sync failed.
        bool was_gone = !gone && gone.error() == ENOENT;
        bool ok = (gone || was_gone) && sync_folder(folder).has_value();
        return std::pair(ok, was_gone ? std::string() : kept);
      },
      [alive = self, done = std::move(done)](std::pair<bool, std::string> gone) mutable {
        if (*alive != nullptr) (*alive)->on_unlinked(gone.first, gone.second, std::move(done));
      });
}

void Log::State::on_unlinked(bool ok, const std::string& kept,
                             std::move_only_function<void(bool)> done) {
  unlinking = false;
  if (ok) {
    Segment& oldest = segments.front();
    if (oldest.file >= 0) close_descriptor(oldest.file);
    segments.pop_front();
    ++counters.segments_deleted;
    if (!kept.empty()) spares->keep(kept);
    spares->poke();
    tell_room();
  }
  done(ok);
  try_close();
}

std::optional<RecordView> Log::read(Position position) { return state_->read(position); }

bool Log::is_warm(Position position) const {
  uint64_t stream = state_->stream_of(position);
  if (stream + state_->options.tail_window_bytes < state_->appended || stream == 0) return false;
  Segment* segment = state_->find(position.segment);
  // What cannot be mapped now is read as cold records are, and that waits.
  return segment != nullptr && (state_->staged(position, *segment) || state_->ensure_map(*segment));
}

void Log::read_async(Position position, ReadCallback callback) {
  state_->read_async(position, std::move(callback));
}

size_t Log::segment_count() const { return state_->segments.size(); }

namespace {

SegmentInfo info_of(const Segment& segment, uint64_t durable) {
  return {segment.header.sequence, segment.end, segment.opened, segment.records,
          segment.sealed && segment.stream_end() <= durable};
}

}  // namespace

std::optional<SegmentInfo> Log::oldest() const {
  if (state_->segments.empty()) return std::nullopt;
  return info_of(state_->segments.front(), state_->durable);
}

std::optional<SegmentInfo> Log::segment(uint32_t sequence) const {
  Segment* found = state_->find(sequence);
  if (found == nullptr) return std::nullopt;
  return info_of(*found, state_->durable);
}

void Log::for_each_record(uint32_t sequence, RecordVisitor visitor,
                          std::move_only_function<void(bool ok)> done) {
  state_->start_scan(sequence, std::move(visitor), std::move(done));
}

void Log::unlink_oldest(Position copies_end, std::move_only_function<void(bool ok)> done) {
  state_->unlink_oldest(copies_end, std::move(done));
}

}  // namespace postring::spool
