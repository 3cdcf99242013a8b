#include "spool/event_walk.h"

#include <algorithm>
#include <span>

#include "io/socket.h"

namespace postring::spool {
namespace {

// Read at a time: many small blocks, and little of a large one that is passed over.
constexpr uint64_t kViewBytes = 4'096;

}  // namespace

EventWalk::EventWalk(const std::string& path, uint64_t bytes, OpenMode mode) {
  auto opened = open_file(path, mode);
  if (!opened) {
    error_ = opened.error();
    return;
  }
  file_ = *opened;
  auto size = file_size(file_);
  if (!size) error_ = size.error();
  bytes_ = std::min(bytes, size.value_or(0));
  header_ = decode_event_header(view(0, kEventHeaderSize));
}

EventWalk::~EventWalk() {
  if (file_ >= 0) close_descriptor(file_);
}

std::optional<EventBlockHeader> EventWalk::block_header() {
  if (!header_ || at_ >= bytes_) return std::nullopt;
  auto header = decode_event_block_header(view(at_, kEventBlockHeaderSize), header_->version);
  if (!header || header->bytes() > bytes_ - at_) return std::nullopt;
  return header;
}

std::string_view EventWalk::view(uint64_t offset, uint64_t size) {
  if (offset >= bytes_) return {};
  size = std::min(size, bytes_ - offset);
  bool there = offset >= buffer_at_ && offset + size <= buffer_at_ + buffer_.size();
  if (!there) {
    buffer_.resize(std::min(std::max(size, kViewBytes), bytes_ - offset));
    auto got = read_at(file_, std::as_writable_bytes(std::span(buffer_)), offset);
    if (!got) error_ = got.error();
    buffer_.resize(got.value_or(0));
    buffer_at_ = offset;
  }
  std::string_view buffered = buffer_;
  return buffered.substr(std::min(offset - buffer_at_, buffered.size()), size);
}

}  // namespace postring::spool
