#include "spool/event_index.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "io/file.h"
#include "io/socket.h"
#include "spool/event_walk.h"

namespace postring::spool {
namespace {

constexpr std::string_view kMagic = "postring keys..\n";
constexpr uint32_t kVersion = 1;

uint32_t key_of(uint64_t pair) {
  return static_cast<uint32_t>(pair >> 32);
}

std::string encode_header(const EventFile& file, uint64_t pages) {
  std::string bytes(kMagic);
  ByteWriter writer(bytes);
  writer.fixed<uint32_t>(kVersion);
  writer.fixed<uint32_t>(static_cast<uint32_t>(pages));
  writer.fixed<uint64_t>(file.bytes);
  writer.fixed<uint64_t>(file.next);
  writer.fixed<uint32_t>(0);
  writer.fixed<uint32_t>(crc32c(bytes));
  CHECK(bytes.size() == kEventIndexHeaderSize);
  return bytes;
}

// All pairs of the segment, in order. Where a part of it cannot be indexed, an errno or 0.
Result<std::vector<uint64_t>, int> pairs_of(const EventFile& file) {
  EventWalk walk(file.path, file.bytes);
  auto not_possible = [&walk] { return std::unexpected(walk.error()); };
  if (!walk.header() || walk.header()->version <= kEventVersionWithoutKeys) return not_possible();
  std::vector<uint64_t> pairs;
  uint64_t number = walk.header()->first;
  while (number < file.next) {
    auto header = walk.block_header();
    if (!header || header->first != number || walk.at() > UINT32_MAX) return not_possible();
    auto keys = decode_event_keys(*header, walk.head(*header));
    if (!keys) return not_possible();
    for (uint32_t key : *keys) pairs.push_back(uint64_t{key} << 32 | walk.at());
    number = header->next();
    walk.pass(*header);
  }
  std::ranges::sort(pairs);
  pairs.erase(std::ranges::unique(pairs).begin(), pairs.end());
  return pairs;
}

// An index that is open.
class Index {
 public:
  explicit Index(const EventFile& file) {
    auto opened = open_file(event_index_path(file.path), OpenMode::read);
    if (!opened) return;
    file_ = *opened;
    std::string header = read(0, kEventIndexHeaderSize);
    ByteReader reader(header);
    reader.raw(kMagic.size() + sizeof(kVersion));
    pages_ = reader.fixed<uint32_t>();
    if (header != encode_header(file, pages_)) pages_ = 0;
    bytes_ = file_size(file_).value_or(0);
  }
  ~Index() {
    if (file_ >= 0) close_descriptor(file_);
  }
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  size_t pages() const { return pages_; }  // 0: there is none that fits
  uint64_t bytes() const { return bytes_; }
  std::optional<std::vector<uint64_t>> page(size_t number) const {
    return decode_event_index_page(
        read(kEventIndexHeaderSize + number * kEventIndexPageSize, kEventIndexPageSize));
  }

 private:
  std::string read(uint64_t at, size_t size) const {
    std::string bytes(size, '\0');
    auto got = read_at(file_, std::as_writable_bytes(std::span(bytes)), at);
    bytes.resize(got.value_or(0));
    return bytes;
  }

  int file_ = -1;
  uint32_t pages_ = 0;
  uint64_t bytes_ = 0;
};

// The first page whose last key is not below `key`; pages() where there is none. Steps away from
// where an even spread would have it, wider each time, then halves.
std::optional<size_t> first_page(const Index& index, uint32_t key) {
  size_t low = 0, high = index.pages(), step = 1;
  size_t at = uint64_t{key} * index.pages() >> 32;
  while (low < high) {
    auto page = index.page(at);
    if (!page) return std::nullopt;
    bool right = key_of(page->back()) < key;
    if (!right && key_of(page->front()) < key) return at;
    (right ? low : high) = right ? at + 1 : at;
    if (low == high) break;
    size_t far = right ? std::min(low + step - 1, high - 1) : high - std::min(step, high - low);
    at = step > high - low ? low + (high - low) / 2 : far;
    step *= 2;
  }
  return low;
}

}  // namespace

std::string event_index_path(const std::string& segment_path) {
  CHECK(segment_path.ends_with(kEventSuffix));
  std::string path = segment_path.substr(0, segment_path.size() - kEventSuffix.size());
  return path + std::string(kEventIndexSuffix);
}

std::string encode_event_index_page(std::span<const uint64_t> pairs) {
  CHECK(!pairs.empty() && pairs.size() <= kEventIndexPagePairs);
  std::string page;
  ByteWriter writer(page);
  writer.fixed<uint32_t>(0);
  writer.fixed<uint32_t>(static_cast<uint32_t>(pairs.size()));
  for (uint64_t pair : pairs) {
    writer.fixed<uint32_t>(key_of(pair));
    writer.fixed<uint32_t>(static_cast<uint32_t>(pair));
  }
  uint32_t checksum = crc32c(std::string_view(page).substr(sizeof(uint32_t)));
  std::memcpy(page.data(), &checksum, sizeof(checksum));
  return page;
}

std::optional<std::vector<uint64_t>> decode_event_index_page(std::string_view page) {
  ByteReader reader(page);
  auto checksum = reader.fixed<uint32_t>();
  auto count = reader.fixed<uint32_t>();
  bool good = reader.ok() && count > 0 && page.size() == (size_t{count} + 1) * sizeof(uint64_t) &&
              checksum == crc32c(page.substr(sizeof(checksum)));
  if (!good) return std::nullopt;
  std::vector<uint64_t> pairs(count);
  for (uint64_t& pair : pairs) {
    auto key = reader.fixed<uint32_t>();
    pair = uint64_t{key} << 32 | reader.fixed<uint32_t>();
  }
  return pairs;
}

Result<uint64_t, int> make_event_index(const EventFile& file) {
  auto pairs = pairs_of(file);
  if (!pairs) return std::unexpected(pairs.error());
  if (pairs->empty()) return std::unexpected(0);
  size_t pages = (pairs->size() + kEventIndexPagePairs - 1) / kEventIndexPagePairs;
  std::string bytes = encode_header(file, pages);
  bytes.reserve(bytes.size() + pages * kEventIndexPageSize);
  for (std::span<const uint64_t> rest = *pairs; !rest.empty();) {
    size_t count = std::min(rest.size(), kEventIndexPagePairs);
    bytes += encode_event_index_page(rest.first(count));
    rest = rest.subspan(count);
  }
  std::string path = event_index_path(file.path);
  if (auto written = write_whole_file(path, bytes, 0600); !written) {
    return std::unexpected(written.error());
  }
  return bytes.size();
}

std::optional<uint64_t> event_index_bytes(const EventFile& file) {
  Index index(file);
  if (index.pages() == 0) return std::nullopt;
  return index.bytes();
}

std::optional<std::vector<uint32_t>> find_event_blocks(const EventFile& file, uint32_t key) {
  Index index(file);
  if (index.pages() == 0) return std::nullopt;
  auto number = first_page(index, key);
  if (!number) return std::nullopt;
  std::vector<uint32_t> blocks;
  for (size_t at = *number; at < index.pages(); ++at) {
    auto page = index.page(at);
    if (!page) return std::nullopt;
    auto from = std::ranges::lower_bound(*page, uint64_t{key} << 32);
    for (; from != page->end() && key_of(*from) == key; ++from) {
      blocks.push_back(static_cast<uint32_t>(*from));
    }
    if (from != page->end()) break;
  }
  return blocks;
}

}  // namespace postring::spool
