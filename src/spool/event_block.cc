#include "spool/event_block.h"

#include <zstd.h>

#include <cstring>
#include <span>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"

namespace postring::spool {
namespace {

constexpr std::string_view kMagic = "postring events\n";
// Fast: a block is compressed on the worker, between two deliveries.
constexpr int kCompressionLevel = 1;
constexpr uint32_t kRawSizeMax = 64u << 20;
constexpr size_t kHeadChecksumAt = 24;

// Of what a search goes by, so that it need not read the frame: all of the head but its checksums.
uint32_t head_checksum_of(std::string_view head) {
  uint32_t checksum = crc32c(head.substr(4, kHeadChecksumAt - 4));
  return crc32c(head.substr(kEventBlockHeaderSize), checksum);
}

}  // namespace

std::string encode_event_header(const EventHeader& header) {
  std::string bytes(kMagic);
  ByteWriter writer(bytes);
  writer.fixed<uint32_t>(header.version);
  writer.fixed<uint32_t>(0);
  writer.fixed<uint64_t>(header.first);
  writer.fixed<int64_t>(header.created.us);
  writer.fixed<uint32_t>(0);
  writer.fixed<uint32_t>(crc32c(bytes));
  CHECK(bytes.size() == kEventHeaderSize);
  return bytes;
}

std::optional<EventHeader> decode_event_header(std::string_view bytes) {
  if (bytes.size() < kEventHeaderSize || !bytes.starts_with(kMagic)) return std::nullopt;
  ByteReader reader(bytes.substr(kMagic.size(), kEventHeaderSize - kMagic.size()));
  EventHeader header;
  header.version = reader.fixed<uint32_t>();
  reader.fixed<uint32_t>();
  header.first = reader.fixed<uint64_t>();
  header.created.us = reader.fixed<int64_t>();
  reader.fixed<uint32_t>();
  if (reader.fixed<uint32_t>() != crc32c(bytes.substr(0, kEventHeaderSize - 4))) {
    return std::nullopt;
  }
  return header;
}

std::string encode_event_block(std::string_view raw, std::span<const uint32_t> keys,
                               uint64_t first) {
  std::string head;
  size_t head_bytes = kEventBlockHeaderSize + keys.size_bytes();
  std::string block;
  size_t bound = ZSTD_compressBound(raw.size());
  size_t size = 0;
  // Compressed in its place: blocks have megabytes when mail flows fast.
  block.resize_and_overwrite(head_bytes + bound, [&](char* bytes, size_t) {
    size = ZSTD_compress(bytes + head_bytes, bound, raw.data(), raw.size(), kCompressionLevel);
    CHECK(!ZSTD_isError(size));
    return head_bytes + size;
  });
  ByteWriter writer(head);
  writer.fixed<uint32_t>(0);
  writer.fixed<uint32_t>(static_cast<uint32_t>(size));
  writer.fixed<uint32_t>(static_cast<uint32_t>(raw.size()));
  writer.fixed<uint32_t>(static_cast<uint32_t>(keys.size()));
  writer.fixed<uint64_t>(first);
  writer.fixed<uint32_t>(0);
  for (uint32_t key : keys) writer.fixed<uint32_t>(key);
  CHECK(head.size() == head_bytes);
  uint32_t head_checksum = head_checksum_of(head);
  std::memcpy(head.data() + kHeadChecksumAt, &head_checksum, sizeof(head_checksum));
  block.replace(0, head_bytes, head);
  uint32_t checksum = crc32c(std::string_view(block).substr(sizeof(uint32_t)));
  std::memcpy(block.data(), &checksum, sizeof(checksum));
  return block;
}

std::optional<EventBlockHeader> decode_event_block_header(std::string_view bytes,
                                                          uint32_t version) {
  ByteReader reader(bytes);
  EventBlockHeader header;
  header.checksum = reader.fixed<uint32_t>();
  header.size = reader.fixed<uint32_t>();
  header.raw_size = reader.fixed<uint32_t>();
  header.entries = reader.fixed<uint32_t>();
  header.first = reader.fixed<uint64_t>();
  header.head_bytes = kHeadChecksumAt;
  if (version > kEventVersionWithoutKeys) {
    header.head_checksum = reader.fixed<uint32_t>();
    header.head_bytes = kEventBlockHeaderSize + header.entries * sizeof(uint32_t);
  }
  bool plausible = reader.ok() && header.size > 0 && header.entries > 0 && header.first > 0 &&
                   header.raw_size <= kRawSizeMax &&
                   header.entries <= header.raw_size / sizeof(uint32_t) &&
                   header.size <= ZSTD_compressBound(header.raw_size);
  if (!plausible) return std::nullopt;
  return header;
}

std::optional<std::vector<uint32_t>> decode_event_keys(const EventBlockHeader& header,
                                                       std::string_view head) {
  if (header.head_bytes < kEventBlockHeaderSize || head.size() != header.head_bytes ||
      head_checksum_of(head) != header.head_checksum) {
    return std::nullopt;
  }
  std::vector<uint32_t> keys(header.entries);
  std::memcpy(keys.data(), head.data() + kEventBlockHeaderSize, keys.size() * sizeof(uint32_t));
  return keys;
}

bool is_event_block(const EventBlockHeader& header, std::string_view block) {
  return block.size() == header.bytes() &&
         crc32c(block.substr(4)) == header.checksum;
}

std::optional<std::string> decode_event_block(const EventBlockHeader& header,
                                              std::string_view block) {
  if (!is_event_block(header, block)) return std::nullopt;
  std::string_view frame = block.substr(header.head_bytes);
  std::string raw(header.raw_size, '\0');
  size_t size = ZSTD_decompress(raw.data(), raw.size(), frame.data(), frame.size());
  if (ZSTD_isError(size) || size != raw.size()) return std::nullopt;
  return raw;
}

std::optional<std::vector<std::string_view>> split_events(std::string_view raw, uint32_t count) {
  std::vector<std::string_view> entries;
  entries.reserve(count);
  ByteReader reader(raw);
  for (uint32_t i = 0; i < count; ++i) {
    auto size = reader.fixed<uint32_t>();
    entries.push_back(reader.raw(size));
  }
  if (!reader.done()) return std::nullopt;
  return entries;
}

}  // namespace postring::spool
