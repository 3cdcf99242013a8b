// The record frame and the segment header: what lies on disk, without what it means.
//
// A segment is a file of fixed size. It starts with a header, records follow without gaps, and what
// is behind the last record is zero:
//
//     offset  size
//          0     8  magic "postring"
//          8     4  format version (kFormatVersion); a newer one is refused by name
//         12     4  size of this header (kSegmentHeaderSize)
//         16     4  slice number
//         20     4  sequence of the segment in its slice, from 1, never reused
//         24     8  salt, drawn when the segment was made
//         32     8  created, UTC in microseconds
//         40     8  size of the file in bytes
//         48     8  id of the spool
//         56     4  zero
//         60     4  crc32c of bytes 0 to 59
//
// A record starts at a multiple of 8:
//
//          0     4  crc32c of bytes 4 to 7 + the payload, seeded with the salt and the offset
//          4     4  length of the payload in the lower 24 bits, type in the upper 8
//          8     n  payload, then zeros up to a multiple of 8
//
// The seed makes a record valid in its own place only: neither bytes of an older file in a recycled
// block, nor a record that a submitter hid in his values, can pass for one.
//
// All numbers are little-endian. Format versions: 1 is the first.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

namespace postring::spool {

constexpr uint32_t kFormatVersion = 1;
constexpr uint32_t kSegmentHeaderSize = 64;
constexpr uint32_t kRecordHeaderSize = 8;
constexpr uint32_t kRecordAlignment = 8;
constexpr uint32_t kPayloadMax = 1u << 20;

// Types of records. The log itself writes and understands skip, seal and follow only; the others
// are spelled in records.h. Numbers are never reused.
enum class RecordType : uint8_t {
  none = 0,    // what a zero says: no record here
  skip = 1,    // padding before a sync; may say how far the segment was durable
  seal = 2,    // the last record of a full segment, with the number of records before it
  follow = 3,  // the first record of a segment: since when, and where the one before ended
  recipient = 4,
  batch_commit = 5,
  batch_discard = 6,
  outcome = 7,
  folded = 8,
  sums = 9,
  seen = 10,
  entry = 11,
  entry_erased = 12,
};
constexpr uint8_t kRecordTypeMax = 63;  // what a newer version of this format may add

// For people: "recipient", "type 17".
std::string name_of(RecordType type);

// Where a record is in its slice. Segment 0 is nowhere.
struct Position {
  uint32_t segment = 0;
  uint32_t offset = 0;

  constexpr bool is_set() const { return segment != 0; }
  constexpr uint64_t packed() const { return static_cast<uint64_t>(segment) << 32 | offset; }
  static constexpr Position unpack(uint64_t packed) {
    return {static_cast<uint32_t>(packed >> 32), static_cast<uint32_t>(packed)};
  }
  constexpr auto operator<=>(const Position&) const = default;
};

struct RecordView {
  RecordType type = RecordType::none;
  std::string_view payload;
  Position position;
};

// Bytes that a record with such a payload takes in a segment.
constexpr uint64_t record_size(uint64_t payload_size) {
  uint64_t size = kRecordHeaderSize + payload_size + kRecordAlignment - 1;
  return size - size % kRecordAlignment;
}

struct SegmentHeader {
  uint32_t format = kFormatVersion;
  uint32_t slice = 0;
  uint32_t sequence = 0;
  uint64_t salt = 0;
  WallTime created;
  uint64_t size = 0;
  uint64_t spool_id = 0;

  // The seed of the segment's checksums.
  uint32_t seed() const;
};

// kSegmentHeaderSize bytes.
std::string encode_header(const SegmentHeader& header);
// The error says what is wrong with the bytes, without the file's name: "is not a segment of
// postring", "was written by a newer postring (format 3); this one reads up to 1".
Result<SegmentHeader> decode_header(std::string_view bytes);

// Writes the record into `out`, which has record_size(payload.size()) bytes.
void write_record(char* out, uint32_t seed, uint32_t offset, RecordType type,
                  std::string_view payload);

enum class RecordCheck : uint8_t {
  good,
  end,        // zeros: no record was written here
  cut_off,    // plausible, but it does not end within `bytes`
  bad,        // not a record
};

// Looks at what starts at bytes[0], which is `offset` in its segment. Sets the view's type and
// payload where it is good, and the payload's size (with no data) where it is cut off.
RecordCheck check_record(std::string_view bytes, uint32_t seed, uint32_t offset, RecordView& view);

// The offset (in the segment) of the first good record at or behind `from`, where bytes[0] is
// `offset`; for going on behind damage.
std::optional<uint32_t> find_record(std::string_view bytes, uint32_t seed, uint32_t offset,
                                    uint32_t from);

}  // namespace postring::spool
