// The blocks and headers of event segments as bytes (spool/event_log.h draws them).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace postring::spool {

constexpr size_t kEventHeaderSize = 48;
constexpr size_t kEventBlockHeaderSize = 28;  // without the keys behind it
constexpr uint32_t kEventVersionWithoutKeys = 1;

struct EventHeader {
  uint32_t version = 0;
  uint64_t first = 0;
  WallTime created;
};
std::string encode_event_header(const EventHeader& header);
std::optional<EventHeader> decode_event_header(std::string_view bytes);

struct EventBlockHeader {
  uint32_t checksum = 0;
  uint32_t size = 0;  // of the frame
  uint32_t raw_size = 0;
  uint32_t entries = 0;
  uint64_t first = 0;
  uint32_t head_checksum = 0;
  uint64_t head_bytes = 0;  // before the frame: header and keys

  uint64_t bytes() const { return head_bytes + size; }  // of the whole block
  uint64_t next() const { return first + entries; }
};

// `raw` is the frame's content: entries with their lengths; one key each.
std::string encode_event_block(std::string_view raw, std::span<const uint32_t> keys,
                               uint64_t first);
// Only the header's own bounds are judged; nothing where it cannot be one. It is read from
// kEventBlockHeaderSize bytes, or fewer at the end of a segment of the version without keys.
std::optional<EventBlockHeader> decode_event_block_header(std::string_view bytes, uint32_t version);
// The block is as it was written, by its checksum.
bool is_event_block(const EventBlockHeader& header, std::string_view block);
// The keys, from the block's first head_bytes bytes; nothing where they are damaged or there are
// none.
std::optional<std::vector<uint32_t>> decode_event_keys(const EventBlockHeader& header,
                                                       std::string_view head);
// The content of a whole block; nothing where it is damaged.
std::optional<std::string> decode_event_block(const EventBlockHeader& header,
                                              std::string_view block);
// Splits a content; nothing where it is not made of `count` entries.
std::optional<std::vector<std::string_view>> split_events(std::string_view raw, uint32_t count);

}  // namespace postring::spool
