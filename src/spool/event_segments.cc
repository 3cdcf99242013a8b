#include "spool/event_segments.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "base/mark.h"
#include "io/file.h"
#include "spool/event_index.h"
#include "spool/event_reader.h"

namespace postring::spool {
namespace {

// Of the disk's room an index takes half at most: it has less than twice its segment's bytes.
constexpr uint64_t kRoomInSegments = 4;
// Of `keep`: how long a segment is written to.
constexpr int kKeepParts = 16;

// The index that is there already, or a new one where there is room for it.
Result<uint64_t, int> index_of(const EventFile& file, const std::string& folder) {
  if (auto bytes = event_index_bytes(file)) return *bytes;
  auto room = free_space(folder);
  if (!room) return std::unexpected(room.error());
  if (*room < kRoomInSegments * file.bytes) return std::unexpected(ENOSPC);
  return make_event_index(file);
}

}  // namespace

EventSegments::EventSegments(Loop& loop, std::string folder, EventLogOptions options)
    : loop_(loop), folder_(std::move(folder)), options_(options) {
  minute_.bind<&EventSegments::on_minute>(this);
}

// ---- the start ----------------------------------------------------------------------------------

Result<uint64_t> EventSegments::recover(const std::vector<std::string>& all_names) {
  std::vector<std::string> names = all_names;
  std::erase_if(names, [](const std::string& name) { return !name.ends_with(kEventSuffix); });
  if (auto removed = remove_unbegun(names); !removed) return std::unexpected(removed.error());
  for (const std::string& name : names) {
    auto recovered = recover_segment(name, name == names.back());
    if (!recovered) return std::unexpected(recovered.error());
  }
  remove_stray_indexes(all_names);
  on_minute();
  return next_number_;
}

// The last file was made and its header never became durable: it holds nothing, and the one before
// it is the one that was written to.
Result<void> EventSegments::remove_unbegun(std::vector<std::string>& names) {
  if (names.empty()) return {};
  std::string path = folder_ + "/" + names.back();
  auto scanned = scan_event_file(path, false);
  if (!scanned) return std::unexpected(scanned.error());
  if (scanned->header) return {};
  mark(Mark::events_not_begun);
  if (!remove_file(path)) return fail(path + " cannot be removed");
  names.pop_back();
  return {};
}

// Older segments are trusted to hold what their successor's first number says; only the last one is
// read through, and cut where it stops being good.
Result<void> EventSegments::recover_segment(const std::string& name, bool last) {
  std::string path = folder_ + "/" + name;
  auto scanned = scan_event_file(path, last);
  if (!scanned) return std::unexpected(scanned.error());
  if (!scanned->header) return fail(path + " is not an event segment of postring");
  if (scanned->header->version > kEventFormatVersion) {
    return fail(path + " was written by a newer postring (events format " +
                std::to_string(scanned->header->version) + "); this one reads up to " +
                std::to_string(kEventFormatVersion));
  }
  if (!segments_.empty()) segments_.back().changed = scanned->header->created;
  Segment segment;
  segment.first = scanned->header->first;
  segment.bytes = scanned->good_bytes;
  segment.begun = scanned->header->created;
  segment.changed = scanned->header->created;
  segment.path = std::move(path);
  segments_.push_back(std::move(segment));
  next_number_ = std::max(next_number_, scanned->header->first);
  if (last) next_number_ = std::max(next_number_, scanned->next);
  return {};
}

// Those without a finished segment, and what was being written.
void EventSegments::remove_stray_indexes(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    bool index = name.ends_with(kEventIndexSuffix);
    if (!index && !name.ends_with(std::string(kEventIndexSuffix) + ".new")) continue;
    uint64_t first = 0;
    std::from_chars(name.data(), name.data() + name.size(), first);
    const Segment* segment = index ? find(first) : nullptr;
    if (segment != nullptr && segment != &segments_.back()) continue;
    (void)remove_file(folder_ + "/" + name);
  }
}

// ---- what there is ------------------------------------------------------------------------------

void EventSegments::push(Segment segment) {
  segments_.push_back(std::move(segment));
  apply_retention();
  index_next();
}

bool EventSegments::last_takes(uint64_t bytes) const {
  const Segment& last = segments_.back();
  return last.bytes < options_.segment_bytes && last.bytes + bytes <= last.bytes_max &&
         loop_.wall_now() - last.begun <= options_.keep / kKeepParts;
}

uint64_t EventSegments::bytes() const {
  uint64_t total = 0;
  for (const Segment& segment : segments_) total += segment.bytes + segment.index_bytes;
  return total;
}

std::vector<EventFile> EventSegments::files(uint64_t from, uint64_t end, size_t count) const {
  std::vector<EventFile> files;
  auto behind = std::ranges::upper_bound(segments_, from, {}, &Segment::first);
  auto at = behind == segments_.begin() ? behind : behind - 1;
  for (; at != segments_.end() && files.size() < count; ++at) {
    uint64_t next = at + 1 == segments_.end() ? end : (at + 1)->first;
    if (next > from) files.push_back({at->path, at->bytes, next});
  }
  return files;
}

EventSegments::Segment* EventSegments::find(uint64_t first) {
  auto found = std::ranges::lower_bound(segments_, first, {}, &Segment::first);
  return found != segments_.end() && found->first == first ? &*found : nullptr;
}

// ---- retention ----------------------------------------------------------------------------------

void EventSegments::set_retention(Duration keep, uint64_t keep_bytes) {
  options_.keep = keep;
  options_.keep_bytes = keep_bytes;
  apply_retention();
}

void EventSegments::on_minute() {
  apply_retention();
  index_next();
  if (!stopped_) loop_.timers().arm(minute_, loop_.now() + Duration::minutes(1));
}

void EventSegments::apply_retention() {
  uint64_t total = bytes();
  WallTime before = loop_.wall_now() - options_.keep;
  while (segments_.size() > 1) {
    const Segment& oldest = segments_.front();
    if (total <= options_.keep_bytes && oldest.changed >= before) return;
    total -= oldest.bytes + oldest.index_bytes;
    remove_first();
  }
}

// What cannot be removed is only space; it is found again at the next start.
void EventSegments::remove_first() {
  const Segment& oldest = segments_.front();
  (void)remove_file(oldest.path);
  (void)remove_file(event_index_path(oldest.path));
  segments_.pop_front();
}

void EventSegments::stop() {
  stopped_ = true;
  loop_.timers().disarm(minute_);
}

// ---- indexes ------------------------------------------------------------------------------------

void EventSegments::index_next() {
  if (indexing_ || stopped_) return;
  for (size_t i = 0; i + 1 < segments_.size(); ++i) {
    const Segment& segment = segments_[i];
    if (segment.index != Segment::Index::unknown) continue;
    indexing_ = true;
    EventFile file{segment.path, segment.bytes, segments_[i + 1].first};
    loop_.offload().run(
        [file, folder = folder_] { return index_of(file, folder); },
        [this, alive = alive_, first = segment.first](Result<uint64_t, int> made) {
          if (*alive) on_indexed(first, made);
        });
    return;
  }
}

void EventSegments::on_indexed(uint64_t first, Result<uint64_t, int> made) {
  indexing_ = false;
  Segment* segment = find(first);
  // Its retention ended meanwhile.
  if (segment == nullptr) {
    (void)remove_file(event_index_path(folder_ + "/" + event_segment_name(first)));
    return index_next();
  }
  if (!made && made.error() != 0) return;
  segment->index = made ? Segment::Index::there : Segment::Index::not_possible;
  segment->index_bytes = made.value_or(0);
  index_next();
}

}  // namespace postring::spool
