// EventWalk: an event segment, block by block. Blocking, for helper threads and for recovery.
//
//   EventWalk walk(file.path, file.bytes);
//   while (auto header = walk.block_header()) {
//     auto raw = decode_event_block(*header, walk.block(*header));
//     walk.pass(*header);
//   }
//
// Headers are judged by their bounds alone; what is read of a block is for the caller to check.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "io/file.h"
#include "spool/event_block.h"

namespace postring::spool {

class EventWalk {
 public:
  // Reads no further than `bytes`, or the file's end. Stands at the first block.
  explicit EventWalk(const std::string& path, uint64_t bytes = UINT64_MAX,
                     OpenMode mode = OpenMode::read);
  ~EventWalk();
  EventWalk(const EventWalk&) = delete;
  EventWalk& operator=(const EventWalk&) = delete;

  bool is_open() const { return file_ >= 0; }
  int file() const { return file_; }
  uint64_t bytes() const { return bytes_; }
  int error() const { return error_; }  // errno of what failed: opening, or a read; or 0
  // Nothing where the file is not open, is none of ours, or has no header yet.
  const std::optional<EventHeader>& header() const { return header_; }

  uint64_t at() const { return at_; }
  // Of the block here; nothing at the end, or where there is none.
  std::optional<EventBlockHeader> block_header();
  // The block here, or its header and keys. Shorter where it cannot be read; until the next call.
  std::string_view block(const EventBlockHeader& header) { return view(at_, header.bytes()); }
  std::string_view head(const EventBlockHeader& header) { return view(at_, header.head_bytes); }
  void pass(const EventBlockHeader& header) { at_ += header.bytes(); }
  void go_to(uint64_t at) { at_ = at; }

 private:
  std::string_view view(uint64_t offset, uint64_t size);

  int file_ = -1;
  uint64_t bytes_ = 0;
  int error_ = 0;
  std::optional<EventHeader> header_;
  uint64_t at_ = kEventHeaderSize;
  std::string buffer_;  // what lies from buffer_at_ on
  uint64_t buffer_at_ = 0;
};

}  // namespace postring::spool
