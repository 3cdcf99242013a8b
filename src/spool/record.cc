#include "spool/record.h"

#include <fmt/core.h>

#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"

namespace postring::spool {
namespace {

constexpr std::string_view kMagic = "postring";
constexpr uint32_t kLengthMask = 0xffffff;
constexpr uint32_t kSmallPayload = 4'096;
constexpr unsigned kLargeSumsMax = 1'000;

std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

uint32_t load_word(const char* at) {
  uint32_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

struct FrameHeader {
  uint32_t checksum = 0;
  uint32_t length = 0;
  uint8_t type = 0;

  explicit FrameHeader(const char* at)
      : checksum(load_word(at)),
        length(load_word(at + 4) & kLengthMask),
        type(static_cast<uint8_t>(load_word(at + 4) >> 24)) {}
  bool zero() const { return checksum == 0 && length == 0 && type == 0; }
  bool plausible() const { return type != 0 && type <= kRecordTypeMax && length <= kPayloadMax; }
};

uint32_t checksum_of(std::string_view type_length_payload, uint32_t seed, uint32_t offset) {
  return crc32c(as_bytes(type_length_payload), seed ^ offset);
}

}  // namespace

std::string name_of(RecordType type) {
  switch (type) {
    case RecordType::none: return "nothing";
    case RecordType::skip: return "skip";
    case RecordType::seal: return "seal";
    case RecordType::follow: return "follow";
    case RecordType::recipient: return "recipient";
    case RecordType::batch_commit: return "batch commit";
    case RecordType::batch_discard: return "batch discard";
    case RecordType::outcome: return "outcome";
    case RecordType::folded: return "folded recipient";
    case RecordType::sums: return "sums";
    case RecordType::seen: return "seen";
    case RecordType::entry: return "entry";
    case RecordType::entry_erased: return "entry erased";
  }
  return fmt::format("type {}", static_cast<unsigned>(type));
}

uint32_t SegmentHeader::seed() const {
  std::string identity;
  ByteWriter writer(identity);
  writer.fixed(salt);
  writer.fixed(spool_id);
  writer.fixed(slice);
  writer.fixed(sequence);
  return crc32c(as_bytes(identity));
}

std::string encode_header(const SegmentHeader& header) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.raw(kMagic);
  writer.fixed(header.format);
  writer.fixed(kSegmentHeaderSize);
  writer.fixed(header.slice);
  writer.fixed(header.sequence);
  writer.fixed(header.salt);
  writer.fixed(header.created.us);
  writer.fixed(header.size);
  writer.fixed(header.spool_id);
  writer.fixed(uint32_t{0});
  writer.fixed(crc32c(as_bytes(bytes)));
  CHECK(bytes.size() == kSegmentHeaderSize);
  return bytes;
}

Result<SegmentHeader> decode_header(std::string_view bytes) {
  if (bytes.size() < kSegmentHeaderSize || bytes.substr(0, kMagic.size()) != kMagic) {
    return fail("is not a segment of postring");
  }
  ByteReader reader(bytes.substr(kMagic.size(), kSegmentHeaderSize - kMagic.size()));
  SegmentHeader header;
  header.format = reader.fixed<uint32_t>();
  auto header_size = reader.fixed<uint32_t>();
  if (header.format > kFormatVersion) {
    return fail(fmt::format("was written by a newer postring (format {}); this one reads up to {}",
                            header.format, kFormatVersion));
  }
  if (header.format == 0 || header_size != kSegmentHeaderSize) {
    return fail("has a damaged header");
  }
  header.slice = reader.fixed<uint32_t>();
  header.sequence = reader.fixed<uint32_t>();
  header.salt = reader.fixed<uint64_t>();
  header.created.us = reader.fixed<int64_t>();
  header.size = reader.fixed<uint64_t>();
  header.spool_id = reader.fixed<uint64_t>();
  reader.fixed<uint32_t>();
  auto checksum = reader.fixed<uint32_t>();
  if (checksum != crc32c(as_bytes(bytes.substr(0, kSegmentHeaderSize - 4)))) {
    return fail("has a damaged header");
  }
  return header;
}

void write_record(char* out, uint32_t seed, uint32_t offset, RecordType type,
                  std::string_view payload) {
  CHECK(payload.size() <= kPayloadMax);
  CHECK(offset % kRecordAlignment == 0);
  uint32_t word = static_cast<uint32_t>(payload.size()) | static_cast<uint32_t>(type) << 24;
  std::memcpy(out + 4, &word, sizeof(word));
  // A view into an older record may be what is copied, never what is overwritten.
  if (!payload.empty()) std::memcpy(out + kRecordHeaderSize, payload.data(), payload.size());
  size_t end = kRecordHeaderSize + payload.size();
  std::memset(out + end, 0, record_size(payload.size()) - end);
  uint32_t checksum = checksum_of({out + 4, 4 + payload.size()}, seed, offset);
  std::memcpy(out, &checksum, sizeof(checksum));
}

RecordCheck check_record(std::string_view bytes, uint32_t seed, uint32_t offset,
                         RecordView& view) {
  if (bytes.size() < kRecordHeaderSize) return RecordCheck::cut_off;
  FrameHeader header(bytes.data());
  if (!header.plausible()) return header.zero() ? RecordCheck::end : RecordCheck::bad;
  view.type = static_cast<RecordType>(header.type);
  if (bytes.size() < record_size(header.length)) {
    view.payload = std::string_view(nullptr, header.length);
    return RecordCheck::cut_off;
  }
  if (checksum_of(bytes.substr(4, 4 + header.length), seed, offset) != header.checksum) {
    return RecordCheck::bad;
  }
  view.payload = bytes.substr(kRecordHeaderSize, header.length);
  return RecordCheck::good;
}

std::optional<uint32_t> find_record(std::string_view bytes, uint32_t seed, uint32_t offset,
                                    uint32_t from) {
  CHECK(from >= offset);
  uint64_t end = offset + bytes.size();
  unsigned large_sums = 0;
  uint64_t at = (uint64_t{from} + kRecordAlignment - 1) & ~uint64_t{kRecordAlignment - 1};
  for (; at + kRecordHeaderSize <= end; at += kRecordAlignment) {
    std::string_view here = bytes.substr(at - offset);
    FrameHeader header(here.data());
    if (!header.plausible()) continue;
    uint64_t size = record_size(header.length);
    if (size > here.size()) continue;
    // Summing the payloads of all chance hits could take minutes in a segment of noise: after some,
    // a large record counts only where what follows looks like a record too, or is nothing.
    if (header.length > kSmallPayload && here.size() - size >= kRecordHeaderSize) {
      FrameHeader next(here.data() + size);
      bool follows = next.plausible() || next.zero();
      if (!follows && large_sums++ >= kLargeSumsMax) continue;
    }
    RecordView view;
    auto place = static_cast<uint32_t>(at);
    if (check_record(here, seed, place, view) == RecordCheck::good) return place;
  }
  return std::nullopt;
}

}  // namespace postring::spool
