// The event log: a block and a page of an index of any entries decode to what was encoded, no
// flipped bit goes unseen, and bytes that nobody wrote are refused or read within their bounds.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "require.h"
#include "spool/event_block.h"
#include "spool/event_index.h"
#include "spool/event_log.h"

namespace {

using namespace postring::spool;

struct Entries {
  std::string raw;  // with their lengths
  std::vector<std::string_view> texts;
  std::vector<uint32_t> keys;
};

// Cut by the bytes themselves.
Entries entries_of(std::string_view bytes) {
  Entries entries;
  while (!bytes.empty()) {
    auto byte = static_cast<uint8_t>(bytes[0]);
    size_t size = std::min<size_t>(bytes.size(), 1 + byte % 32);
    auto length = static_cast<uint32_t>(size);
    entries.raw.append(reinterpret_cast<const char*>(&length), sizeof(length));
    entries.raw.append(bytes.substr(0, size));
    entries.texts.push_back(bytes.substr(0, size));
    entries.keys.push_back(byte * 0x01010101u);
    bytes.remove_prefix(size);
  }
  return entries;
}

void write_and_read(std::string_view bytes, uint64_t flip) {
  Entries entries = entries_of(bytes);
  std::string block = encode_event_block(entries.raw, entries.keys, 7);
  auto header = decode_event_block_header(block, kEventFormatVersion);
  REQUIRE(header && header->bytes() == block.size() && header->first == 7);
  std::string_view head = std::string_view(block).substr(0, header->head_bytes);
  REQUIRE(decode_event_keys(*header, head) == entries.keys);
  auto raw = decode_event_block(*header, block);
  REQUIRE(raw && split_events(*raw, header->entries) == entries.texts);

  size_t at = flip % block.size();
  block[at] = static_cast<char>(block[at] ^ (1 << flip / block.size() % 8));
  auto damaged = decode_event_block_header(block, kEventFormatVersion);
  if (!damaged) return;
  REQUIRE(!is_event_block(*damaged, block));
  bool of_the_head = at >= sizeof(damaged->checksum) && at < header->head_bytes;
  std::string_view its_head = std::string_view(block).substr(0, damaged->head_bytes);
  REQUIRE(decode_event_keys(*damaged, its_head).has_value() == !of_the_head);
}

void write_and_read_index(std::string_view bytes, uint64_t flip) {
  std::vector<uint64_t> pairs;
  for (char byte : bytes.substr(0, kEventIndexPagePairs)) {
    pairs.push_back(static_cast<uint8_t>(byte) * 0x0101010101010101u);
  }
  std::string page = encode_event_index_page(pairs);
  REQUIRE(decode_event_index_page(page) == pairs);
  size_t at = flip % page.size();
  page[at] = static_cast<char>(page[at] ^ (1 << flip / page.size() % 8));
  REQUIRE(!decode_event_index_page(page));
}

void read_any(std::string_view bytes) {
  (void)decode_event_header(bytes);
  (void)decode_event_index_page(bytes);
  for (uint32_t version : {kEventVersionWithoutKeys, kEventFormatVersion}) {
    auto header = decode_event_block_header(bytes, version);
    if (!header) continue;
    auto keys = decode_event_keys(*header, bytes.substr(0, header->head_bytes));
    REQUIRE(!keys || keys->size() == header->entries);
    auto raw = decode_event_block(*header, bytes.substr(0, header->bytes()));
    if (raw) (void)split_events(*raw, header->entries);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  // A copy of its own, so that reading past it is seen.
  std::vector<char> copy(data + 3, data + size);
  std::string_view bytes(copy.data(), copy.size());
  uint64_t flip = data[0] | data[1] << 8 | data[2] << 16;
  write_and_read(bytes, flip);
  write_and_read_index(bytes, flip);
  read_any(bytes);
  return 0;
}
