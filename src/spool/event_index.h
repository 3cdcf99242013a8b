// The index of a finished event segment: in which of its blocks there are entries of a key.
//
//   make_event_index(file);                        // writes "….keys" beside "….events"
//   auto blocks = find_event_blocks(file, key);    // where they begin; nothing: there is no index
//
// It can be made again at any time, so nothing is lost with it: one that is absent, damaged or of
// another state of the segment is as none. Blocking, for helper threads.
//
//     header  "postring keys..\n" version:u32 pages:u32 segment_bytes:u64 next:u64 zero:u32
//             crc32c:u32
//     page    crc32c:u32 count:u32 (key:u32 at:u32)*count; all but the last are full
//
// Pairs are in order over all pages, each once; `at` is the block's first byte in the segment. A
// checksum covers its page behind itself, that of the header what is before it. A look-up reads the
// header and, keys being hashes, one or two pages.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "spool/event_segment.h"

namespace postring::spool {

constexpr std::string_view kEventIndexSuffix = ".keys";
constexpr size_t kEventIndexHeaderSize = 48;
constexpr size_t kEventIndexPageSize = 4'096;  // of a full one
constexpr size_t kEventIndexPagePairs = (kEventIndexPageSize - 8) / 8;

// "….keys" for "….events".
std::string event_index_path(const std::string& segment_path);

// Bytes written. The error is an errno where reading or writing failed and can be tried again, else
// 0: the segment has no keys, is damaged or too large.
Result<uint64_t, int> make_event_index(const EventFile& file);

// Of an index that fits the file.
std::optional<uint64_t> event_index_bytes(const EventFile& file);

// Ascending. Nothing where there is no index that fits the file.
std::optional<std::vector<uint32_t>> find_event_blocks(const EventFile& file, uint32_t key);

// A page of at most kEventIndexPagePairs pairs, key << 32 | at.
std::string encode_event_index_page(std::span<const uint64_t> pairs);
// Nothing where it is damaged.
std::optional<std::vector<uint64_t>> decode_event_index_page(std::string_view page);

}  // namespace postring::spool
