// The blocks and headers of event segments as bytes (spool/event_log.h draws them).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace postring::spool {

constexpr size_t kEventHeaderSize = 48;
constexpr size_t kEventBlockHeaderSize = 24;

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
};

// `raw` is the frame's content: entries with their lengths.
std::string encode_event_block(std::string_view raw, uint32_t entries, uint64_t first);
// Only the header's own bounds are judged; nothing where it cannot be one.
std::optional<EventBlockHeader> decode_event_block_header(std::string_view bytes);
// The block is as it was written, by its checksum.
bool is_event_block(const EventBlockHeader& header, std::string_view block);
// The content of a whole block; nothing where it is damaged.
std::optional<std::string> decode_event_block(const EventBlockHeader& header,
                                              std::string_view block);
// Splits a content; nothing where it is not made of `count` entries.
std::optional<std::vector<std::string_view>> split_events(std::string_view raw, uint32_t count);

}  // namespace postring::spool
