#include "spool/event_reader.h"

#include <algorithm>
#include <cstring>

#include "io/file.h"
#include "spool/event_index.h"
#include "spool/event_page.h"
#include "spool/event_walk.h"

namespace postring::spool {
namespace {

// Adds what is wanted of the block here; false where it is damaged.
bool add_block(EventWalk& walk, const EventBlockHeader& header, EventPageBuilder& page) {
  auto raw = decode_event_block(header, walk.block(header));
  return raw && page.add(std::move(*raw), header.first, header.entries);
}

bool add_found(EventWalk& walk, const EventBlockHeader& header, uint32_t key,
               EventPageBuilder& page) {
  bool has_keys = walk.header()->version > kEventVersionWithoutKeys;
  if (!has_keys) return add_block(walk, header, page);
  auto keys = decode_event_keys(header, walk.head(header));
  if (!keys) return false;
  std::vector<uint32_t> chosen;
  auto skip = static_cast<ptrdiff_t>(page.next() - header.first);
  auto at = keys->begin() + skip;
  while ((at = std::find(at, keys->end(), key)) != keys->end()) {
    chosen.push_back(static_cast<uint32_t>(at++ - keys->begin()));
  }
  if (!chosen.empty()) {
    auto raw = decode_event_block(header, walk.block(header));
    if (!raw || !page.add_chosen(*raw, header.entries, chosen)) return false;
  }
  page.pass(header.next());
  return true;
}

// Goes through the blocks of a segment that hold what the page still wants. `add` says whether one
// was good. Entries are numbered without a gap: a header that says otherwise is none, and hides
// the rest.
template <typename Add>
void go_through(const EventFile& file, EventWalk& walk, EventPageBuilder& page, const Add& add) {
  uint64_t number = walk.header() ? walk.header()->first : 0;
  while (!page.full()) {
    auto header = walk.block_header();
    if (!header || header->first != number || header->next() > file.next) break;
    number = header->next();
    bool wanted = number > page.next();
    if (wanted && !add(walk, *header, page)) {
      if (walk.error() != 0) break;
      page.miss(number, file.path, walk.at());
    }
    walk.pass(*header);
  }
  if (page.full() || page.next() >= file.next) return;
  if (walk.error() != 0) return page.stop(file, walk.error());
  page.miss(file.next, file.path, walk.at());
}

// Adds what the blocks that an index names hold; false where the segment does not agree with it.
bool add_indexed(const EventFile& file, const std::vector<uint32_t>& blocks, uint32_t key,
                 EventPageBuilder& page) {
  if (!blocks.empty()) {
    EventWalk walk(file.path, file.bytes);
    for (uint32_t at : blocks) {
      walk.go_to(at);
      auto header = walk.block_header();
      bool good = header && decode_event_keys(*header, walk.head(*header));
      if (!good || header->next() > file.next) return false;
      if (header->next() <= page.next()) continue;
      if (header->first > page.next()) page.pass(header->first);
      if (!add_found(walk, *header, key, page)) return false;
      if (page.full()) return true;
    }
  }
  page.pass(file.next);
  return true;
}

// By its checksum: a start looks at all blocks of a segment, and has no use for what is in them.
bool is_whole(EventWalk& walk, const EventBlockHeader& header) {
  return is_event_block(header, walk.block(header));
}

// A bad block with a good one behind it is damage, which is left for readers to be told about; what
// a crash tore has nothing good behind it.
bool goes_on_behind(EventWalk& walk, const EventBlockHeader& bad) {
  uint64_t here = walk.at();
  walk.pass(bad);
  auto header = walk.block_header();
  bool good = header && header->first == bad.next() && is_whole(walk, *header);
  walk.go_to(here);
  return good;
}

}  // namespace

EventPage read_events(const std::vector<EventFile>& files, uint64_t from, uint64_t end,
                      uint64_t bytes_max) {
  EventPageBuilder page(from, end, bytes_max);
  for (const EventFile& file : files) {
    if (page.full()) break;
    EventWalk walk(file.path, file.bytes);
    go_through(file, walk, page, add_block);
  }
  return page.finish();
}

EventPage find_events(const std::vector<EventFile>& files, uint64_t from, uint64_t end,
                      uint64_t bytes_max, uint32_t key) {
  EventPageBuilder page(from, end, bytes_max);
  for (const EventFile& file : files) {
    if (page.full()) break;
    auto blocks = find_event_blocks(file, key);
    if (blocks && add_indexed(file, *blocks, key, page)) continue;
    EventWalk walk(file.path, file.bytes);
    go_through(file, walk, page,
               [key](EventWalk& there, const EventBlockHeader& header, EventPageBuilder& found) {
                 return add_found(there, header, key, found);
               });
    break;
  }
  return page.finish();
}

Result<ScannedEvents> scan_event_file(const std::string& path, bool blocks) {
  EventWalk walk(path, UINT64_MAX, OpenMode::read_write);
  if (!walk.is_open()) return fail(path + " cannot be opened");
  auto unread = [&] { return fail(path + " cannot be read: " + std::strerror(walk.error())); };
  if (walk.error() != 0) return unread();
  ScannedEvents scanned;
  scanned.header = walk.header();
  if (!scanned.header) return scanned;
  scanned.good_bytes = walk.bytes();
  scanned.next = scanned.header->first;
  bool newer = scanned.header->version > kEventFormatVersion;
  if (!blocks || newer) return scanned;
  while (auto header = walk.block_header()) {
    if (header->first != scanned.next) break;
    if (!is_whole(walk, *header) && !goes_on_behind(walk, *header)) break;
    scanned.next = header->next();
    walk.pass(*header);
  }
  // What the disk does not give is not torn: it is not cut off.
  if (walk.error() != 0) return unread();
  scanned.good_bytes = walk.at();
  if (walk.at() < walk.bytes()) {
    if (auto cut = resize_file(walk.file(), walk.at()); !cut) {
      return fail(path + " cannot be cut: " + std::strerror(cut.error()));
    }
  }
  // Readers may be told of it: so it must be durable, even if a sync of it failed.
  uint64_t begin = walk.at() - std::min(walk.at(), kEventUnsyncedMax);
  if (auto done = make_durable(walk.file(), begin, walk.at()); !done) {
    return fail(path + " cannot be written: " + std::strerror(done.error()));
  }
  return scanned;
}

}  // namespace postring::spool
