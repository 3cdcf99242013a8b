#include "spool/event_reader.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "io/file.h"
#include "io/socket.h"

namespace postring::spool {
namespace {

// An open segment, read by position.
class Reader {
 public:
  Reader(const std::string& path, OpenMode mode) {
    if (auto opened = open_file(path, mode)) file_ = *opened;
  }
  ~Reader() {
    if (file_ >= 0) close_descriptor(file_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  bool is_open() const { return file_ >= 0; }
  int file() const { return file_; }
  // Fewer bytes only where the file ends or cannot be read.
  std::string read(uint64_t offset, size_t size) const {
    std::string bytes(size, '\0');
    auto got = read_at(file_, std::as_writable_bytes(std::span(bytes)), offset);
    bytes.resize(got.value_or(0));
    return bytes;
  }

 private:
  int file_ = -1;
};

struct Walk {
  const EventFile& file;
  const Reader& reader;
  uint64_t at = kEventHeaderSize;
};

// The block header at walk.at; nothing at the end or where there is none.
std::optional<EventBlockHeader> next_header(const Walk& walk) {
  if (walk.at + kEventBlockHeaderSize > walk.file.bytes) return std::nullopt;
  auto header = decode_event_block_header(walk.reader.read(walk.at, kEventBlockHeaderSize));
  if (!header || walk.at + kEventBlockHeaderSize + header->size > walk.file.bytes) {
    return std::nullopt;
  }
  return header;
}

// Adds the block's entries from `from` on; false where it is damaged.
bool add_block(const Walk& walk, const EventBlockHeader& header, uint64_t from,
               std::vector<std::string>& raws, std::vector<size_t>& skips) {
  auto raw = decode_event_block(header,
                                walk.reader.read(walk.at, kEventBlockHeaderSize + header.size));
  if (!raw || !split_events(*raw, header.entries)) return false;
  raws.push_back(std::move(*raw));
  skips.push_back(from > header.first ? from - header.first : 0);
  return true;
}

// By its checksum: a start looks at all blocks of a segment, and has no use for what is in them.
bool is_whole(const Walk& walk, const EventBlockHeader& header) {
  return is_event_block(header, walk.reader.read(walk.at, kEventBlockHeaderSize + header.size));
}

// A bad block with a good one behind it is damage, which is left for readers to be told about; what
// a crash tore has nothing good behind it.
bool goes_on_behind(Walk walk, const EventBlockHeader& bad) {
  walk.at += kEventBlockHeaderSize + bad.size;
  auto header = next_header(walk);
  return header && header->first == bad.first + bad.entries && is_whole(walk, *header);
}

// Joins blocks into one page whose entries point into its bytes.
void join(EventPage& page, const std::vector<std::string>& raws, const std::vector<size_t>& skips) {
  size_t size = 0;
  for (const std::string& raw : raws) size += raw.size();
  page.bytes.reserve(size);
  for (const std::string& raw : raws) page.bytes.insert(page.bytes.end(), raw.begin(), raw.end());
  std::string_view left(page.bytes.data(), page.bytes.size());
  for (size_t i = 0; i < raws.size(); ++i) {
    std::string_view raw = left.substr(0, raws[i].size());
    left.remove_prefix(raw.size());
    size_t skip = skips[i];
    while (!raw.empty()) {
      uint32_t length = 0;
      std::memcpy(&length, raw.data(), sizeof(length));
      if (skip > 0) {
        --skip;
      } else {
        page.entries.push_back(raw.substr(sizeof(length), length));
      }
      raw.remove_prefix(sizeof(length) + length);
    }
  }
}

}  // namespace

EventPage read_events(const std::vector<EventFile>& files, uint64_t from, uint64_t end,
                      uint64_t bytes_max) {
  EventPage page;
  page.first = from;
  page.next = from;
  std::vector<std::string> raws;
  std::vector<size_t> skips;
  uint64_t bytes = 0;
  for (const EventFile& file : files) {
    Reader reader(file.path, OpenMode::read);
    if (!reader.is_open()) break;
    Walk walk{file, reader};
    while (bytes < bytes_max && page.next < end) {
      auto header = next_header(walk);
      if (!header) break;
      uint64_t behind = header->first + header->entries;
      if (behind > page.next) {
        if (add_block(walk, *header, page.next, raws, skips)) {
          bytes += header->raw_size;
        } else if (raws.empty()) {
          page.first = behind;
          page.problem = file.path + " is damaged at byte " + std::to_string(walk.at) + ": " +
                         std::to_string(header->entries) + " events cannot be read";
        } else {
          break;  // the page ends before the damage
        }
        page.next = behind;
      }
      walk.at += kEventBlockHeaderSize + header->size;
    }
  }
  join(page, raws, skips);
  return page;
}

Result<ScannedEvents> scan_event_file(const std::string& path, bool blocks) {
  Reader reader(path, OpenMode::read_write);
  if (!reader.is_open()) return fail(path + " cannot be opened");
  auto size = file_size(reader.file());
  if (!size) return fail(path + " cannot be read: " + std::strerror(size.error()));
  ScannedEvents scanned;
  scanned.header = decode_event_header(reader.read(0, kEventHeaderSize));
  if (!scanned.header) return scanned;
  scanned.good_bytes = *size;
  scanned.next = scanned.header->first;
  if (!blocks) return scanned;
  EventFile file{path, scanned.header->first, *size};
  Walk walk{file, reader};
  while (auto header = next_header(walk)) {
    if (header->first != scanned.next) break;
    if (!is_whole(walk, *header) && !goes_on_behind(walk, *header)) break;
    scanned.next = header->first + header->entries;
    walk.at += kEventBlockHeaderSize + header->size;
  }
  scanned.good_bytes = walk.at;
  if (walk.at < *size) {
    if (auto cut = resize_file(reader.file(), walk.at); !cut) {
      return fail(path + " cannot be cut: " + std::strerror(cut.error()));
    }
  }
  // Readers may be told of it: so it must be durable, even if a sync of it failed.
  uint64_t begin = walk.at - std::min(walk.at, kEventUnsyncedMax);
  if (auto done = make_durable(reader.file(), begin, walk.at); !done) {
    return fail(path + " cannot be written: " + std::strerror(done.error()));
  }
  return scanned;
}

}  // namespace postring::spool
