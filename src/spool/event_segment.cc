#include "spool/event_segment.h"

#include "io/file.h"
#include "io/socket.h"

namespace postring::spool {
namespace {

Result<void, int> cut(const std::string& path, uint64_t bytes) {
  auto file = open_file(path, OpenMode::read_write);
  if (!file) return std::unexpected(file.error());
  auto done = resize_file(*file, bytes);
  close_descriptor(*file);
  return done;
}

}  // namespace

std::string event_segment_name(uint64_t first) {
  std::string digits = std::to_string(first);
  return std::string(20 - digits.size(), '0') + digits + std::string(kEventSuffix);
}

Result<int, int> make_event_segment(const NewEventSegment& segment, const std::string& folder) {
  if (!segment.before.empty()) {
    if (auto done = cut(segment.before, segment.before_bytes); !done) {
      return std::unexpected(done.error());
    }
  }
  if (!segment.reserved.empty()) {
    if (auto named = rename_file(segment.reserved, segment.path); !named) {
      return std::unexpected(named.error());
    }
  }
  auto file = open_file(segment.path, OpenMode::create_or_open);
  if (!file) return file;
  auto synced = sync_folder(folder);
  if (synced) return file;
  close_descriptor(*file);
  return std::unexpected(synced.error());
}

}  // namespace postring::spool
