// A segment as a file: its name, and reading it from front to end.
//
//   auto scanner = SegmentScanner::open("/spool/slice-00001/0000000007.seg");
//   auto stop = scanner->walk([](const RecordView& record) { ... });
//   if (stop != SegmentStop::seal) ... scanner->offset() is where the good records end
//
// Blocks; for recovery and offline tools. Parts that the disk cannot read count as bad bytes. No
// allocation per record; a record's view holds during its visit.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "spool/record.h"

namespace postring::spool {

constexpr std::string_view kSegmentSuffix = ".seg";
constexpr std::string_view kNewSegmentSuffix = ".new";

// "0000000007.seg", and back: nothing where the name is not one.
std::string segment_name(uint32_t sequence);
std::optional<uint32_t> parse_segment_name(std::string_view name);

// What a follow record says of the segment before; sequence 0: there was none.
struct Follow {
  uint32_t sequence = 0;
  uint32_t end = 0;
  uint64_t records = 0;
  WallTime opened;  // when this segment, not the one before, got its first record
};
std::string encode_follow(const Follow& follow);
std::optional<Follow> decode_follow(std::string_view payload);

// The payload of a skip record that fills `size` bytes (a multiple of 8, at least 8): how far the
// segment was durable, then zeros; and back: 0 where it says nothing.
std::string encode_skip(uint32_t size, uint32_t durable);
uint32_t decode_skip(std::string_view payload);

std::string encode_seal(uint64_t records);
std::optional<uint64_t> decode_seal(std::string_view payload);

// Two sectors are behind the header as soon as a second sync may say that the first was one.
constexpr size_t kSegmentStartBytes = 4'096 - kSegmentHeaderSize;

// What a segment's first bytes say.
struct SegmentStart {
  SegmentHeader header;
  uint64_t file_size = 0;
  std::optional<Follow> follow;  // nothing: it has no records (or a damaged first one)
  bool has_bytes = false;        // other than zeros, within kSegmentStartBytes behind the header
};
enum class StartProblem : uint8_t { none, unreadable, refused, damaged };
struct StartResult {
  StartProblem problem = StartProblem::none;
  SegmentStart start;
  std::string words;  // a sentence with the file's name, where there is a problem
};
StartResult read_segment_start(const std::string& path);

enum class SegmentStop : uint8_t {
  seal,      // behind the seal: the segment is whole
  zeros,     // nothing was written here
  bad,       // bytes that are no record, or one that does not end within the file
  file_end,  // the file ends here
};

class SegmentScanner {
 public:
  // The error is a sentence with the file's name.
  static Result<SegmentScanner> open(const std::string& path);
  SegmentScanner(SegmentScanner&& other) noexcept;
  SegmentScanner& operator=(SegmentScanner&& other) noexcept;
  ~SegmentScanner();

  const SegmentHeader& header() const { return header_; }
  uint64_t file_size() const { return file_size_; }
  // Where the next record is looked for.
  uint32_t offset() const { return offset_; }

  // Visits the good records from here to the first thing that is none; seal, skip and follow too.
  template <typename Visitor>
  SegmentStop walk(Visitor&& visitor);

  // Moves on to the next good record behind here; false, and unmoved, where there is none.
  bool skip_damage();
  void seek(uint32_t offset) { offset_ = offset; }
  // The end of the last byte that is not zero at or behind `from`; `from` where all are.
  uint64_t content_end(uint64_t from);

  // Of what was walked so far.
  uint64_t records() const { return records_; }  // without the seal
  uint32_t durable_mark() const { return durable_mark_; }
  std::optional<uint64_t> sealed_records() const { return sealed_records_; }

 private:
  // Two of the largest records fit: behind the start of any record one is seen as a whole.
  static constexpr uint64_t kWindowBytes = 2 * (uint64_t{kPayloadMax} + 4'096);

  SegmentScanner() = default;
  // Makes the window start at `from` and hold `size` bytes (or all to the file's end); false where
  // that shows nothing new.
  bool load(uint64_t from, uint64_t size = kWindowBytes);
  std::string_view window_from(uint64_t offset) const {
    if (offset < window_begin_ || offset > window_begin_ + window_size_) return {};
    uint64_t skip = offset - window_begin_;
    return {window_.get() + skip, window_size_ - skip};
  }
  // Looks at the record here, moving the window where it must; its view, where it is good.
  SegmentStop look(RecordView& view, bool& good);
  void note(const RecordView& view);

  int file_ = -1;
  uint64_t file_size_ = 0;
  SegmentHeader header_;
  uint32_t seed_ = 0;
  uint32_t offset_ = kSegmentHeaderSize;
  uint64_t records_ = 0;
  uint32_t durable_mark_ = 0;
  std::optional<uint64_t> sealed_records_;
  std::unique_ptr<char[]> window_;
  uint64_t window_begin_ = 0;
  uint64_t window_size_ = 0;
};

template <typename Visitor>
SegmentStop SegmentScanner::walk(Visitor&& visitor) {
  for (;;) {
    RecordView view;
    std::string_view here = window_from(offset_);
    if (check_record(here, seed_, offset_, view) != RecordCheck::good) {
      bool good = false;
      SegmentStop stop = look(view, good);
      if (!good) return stop;
    }
    view.position = {header_.sequence, offset_};
    offset_ += static_cast<uint32_t>(record_size(view.payload.size()));
    if (view.type <= RecordType::follow) note(view);
    if (view.type == RecordType::seal) {
      visitor(view);
      return SegmentStop::seal;
    }
    ++records_;
    visitor(view);
  }
}

}  // namespace postring::spool
