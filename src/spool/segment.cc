#include "spool/segment.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "io/file.h"
#include "io/socket.h"

namespace postring::spool {
namespace {

// Read at a time while all is well: what was just read is still in the processor's own cache.
constexpr uint64_t kStepBytes = 256 * 1'024;
constexpr uint64_t kReadPieceBytes = 4'096;
constexpr size_t kNameDigits = 10;

// By memcmp, which is many times faster than a look at each byte.
bool all_zero(std::string_view bytes) {
  if (bytes.empty()) return true;
  return bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

// Fills the buffer from the file; pieces that cannot be read become 0xff, which is never a record.
size_t read_or_mark(int file, std::span<std::byte> buffer, uint64_t offset) {
  if (auto size = read_at(file, buffer, offset)) return *size;
  size_t done = 0;
  while (done < buffer.size()) {
    auto piece = buffer.subspan(done, std::min<size_t>(kReadPieceBytes, buffer.size() - done));
    auto size = read_at(file, piece, offset + done);
    if (!size) std::memset(piece.data(), 0xff, piece.size());
    if (size && *size < piece.size()) return done + *size;
    done += piece.size();
  }
  return done;
}

}  // namespace

std::string segment_name(uint32_t sequence) {
  return fmt::format("{:010}{}", sequence, kSegmentSuffix);
}

std::optional<uint32_t> parse_segment_name(std::string_view name) {
  if (name.size() != kNameDigits + kSegmentSuffix.size()) return std::nullopt;
  if (name.substr(kNameDigits) != kSegmentSuffix) return std::nullopt;
  uint32_t sequence = 0;
  auto [end, error] = std::from_chars(name.data(), name.data() + kNameDigits, sequence);
  if (error != std::errc() || end != name.data() + kNameDigits) return std::nullopt;
  if (sequence == 0) return std::nullopt;
  return sequence;
}

std::string encode_follow(const Follow& follow) {
  std::string payload;
  ByteWriter writer(payload);
  writer.varint(follow.sequence);
  writer.varint(follow.end);
  writer.varint(follow.records);
  writer.fixed(follow.opened.us);
  return payload;
}

std::optional<Follow> decode_follow(std::string_view payload) {
  ByteReader reader(payload);
  uint64_t sequence = reader.varint();
  uint64_t end = reader.varint();
  uint64_t records = reader.varint();
  WallTime opened{reader.fixed<int64_t>()};
  if (!reader.done() || sequence > UINT32_MAX || end > UINT32_MAX) return std::nullopt;
  return Follow{static_cast<uint32_t>(sequence), static_cast<uint32_t>(end), records, opened};
}

std::string encode_skip(uint32_t size, uint32_t durable) {
  CHECK(size >= kRecordHeaderSize);
  CHECK(size % kRecordAlignment == 0);
  std::string payload;
  size_t payload_size = size - kRecordHeaderSize;
  if (payload_size >= sizeof(durable)) ByteWriter(payload).fixed(durable);
  payload.resize(payload_size);
  return payload;
}

uint32_t decode_skip(std::string_view payload) {
  return payload.size() < sizeof(uint32_t) ? 0 : ByteReader(payload).fixed<uint32_t>();
}

std::string encode_seal(uint64_t records) {
  std::string payload;
  ByteWriter(payload).varint(records);
  return payload;
}

std::optional<uint64_t> decode_seal(std::string_view payload) {
  ByteReader reader(payload);
  uint64_t records = reader.varint();
  if (!reader.done()) return std::nullopt;
  return records;
}

Result<SegmentScanner> SegmentScanner::open(const std::string& path) {
  SegmentScanner scanner;
  auto file = open_file(path, OpenMode::read);
  if (!file) return fail(fmt::format("cannot open {}: {}", path, std::strerror(file.error())));
  scanner.file_ = *file;
  auto size = postring::file_size(*file);
  if (!size) return fail(fmt::format("cannot read {}: {}", path, std::strerror(size.error())));
  scanner.file_size_ = *size;
  scanner.window_ = std::make_unique_for_overwrite<char[]>(kWindowBytes);
  scanner.load(0, kStepBytes);
  auto header = decode_header(scanner.window_from(0));
  if (!header) return fail(fmt::format("{} {}", path, header.error().message));
  scanner.header_ = *header;
  scanner.seed_ = header->seed();
  return scanner;
}

SegmentScanner::SegmentScanner(SegmentScanner&& other) noexcept { *this = std::move(other); }

SegmentScanner& SegmentScanner::operator=(SegmentScanner&& other) noexcept {
  if (file_ >= 0) close_descriptor(file_);
  file_ = std::exchange(other.file_, -1);
  file_size_ = other.file_size_;
  header_ = other.header_;
  seed_ = other.seed_;
  offset_ = other.offset_;
  records_ = other.records_;
  durable_mark_ = other.durable_mark_;
  sealed_records_ = other.sealed_records_;
  window_ = std::move(other.window_);
  window_begin_ = other.window_begin_;
  window_size_ = other.window_size_;
  return *this;
}

SegmentScanner::~SegmentScanner() {
  if (file_ >= 0) close_descriptor(file_);
}

bool SegmentScanner::load(uint64_t from, uint64_t size) {
  uint64_t end = window_begin_ + window_size_;
  uint64_t kept = from >= window_begin_ && from < end ? end - from : 0;
  bool moved = from != window_begin_;
  if (moved && kept > 0) {
    std::memmove(window_.get(), window_.get() + (from - window_begin_), kept);
  }
  window_begin_ = from;
  window_size_ = kept;
  if (kept >= size) return moved;
  auto buffer = std::as_writable_bytes(std::span(window_.get() + kept, size - kept));
  window_size_ += read_or_mark(file_, buffer, from + kept);
  return moved || window_size_ > kept;
}

SegmentStop SegmentScanner::look(RecordView& view, bool& good) {
  RecordCheck check = check_record(window_from(offset_), seed_, offset_, view);
  for (uint64_t size : {kStepBytes, kWindowBytes}) {
    if (check != RecordCheck::cut_off || !load(offset_, size)) continue;
    check = check_record(window_from(offset_), seed_, offset_, view);
  }
  switch (check) {
    case RecordCheck::good: good = true; return SegmentStop::bad;
    case RecordCheck::end: return SegmentStop::zeros;
    case RecordCheck::bad: return SegmentStop::bad;
    case RecordCheck::cut_off: break;
  }
  return offset_ >= file_size_ ? SegmentStop::file_end : SegmentStop::bad;
}

void SegmentScanner::note(const RecordView& view) {
  if (view.type == RecordType::skip) {
    durable_mark_ = std::max(durable_mark_, decode_skip(view.payload));
  } else if (view.type == RecordType::seal) {
    sealed_records_ = decode_seal(view.payload);
  }
}

bool SegmentScanner::skip_damage() {
  uint64_t at = offset_ + kRecordAlignment;
  while (at + kRecordHeaderSize <= file_size_) {
    load(at);
    auto place = static_cast<uint32_t>(at);
    if (auto found = find_record(window_from(at), seed_, place, place)) {
      offset_ = *found;
      return true;
    }
    if (window_begin_ + window_size_ >= file_size_) return false;
    // Records that begin in the first half of the window end in it: none begins there.
    at += kWindowBytes / 2;
  }
  return false;
}

uint64_t SegmentScanner::content_end(uint64_t from) {
  uint64_t end = from;
  for (uint64_t at = from; at < file_size_; at = window_begin_ + window_size_) {
    load(at, kStepBytes);
    if (window_size_ == 0) break;
    std::string_view bytes = window_from(at);
    if (all_zero(bytes)) continue;
    end = at + bytes.find_last_not_of('\0') + 1;
  }
  return end;
}

StartResult read_segment_start(const std::string& path) {
  StartResult result;
  auto file = open_file(path, OpenMode::read);
  if (!file) {
    result.problem = StartProblem::unreadable;
    result.words = fmt::format("cannot open {}: {}", path, std::strerror(file.error()));
    return result;
  }
  char bytes[kSegmentHeaderSize + kSegmentStartBytes];
  auto size = file_size(*file);
  auto got = read_at(*file, std::as_writable_bytes(std::span(bytes)), 0);
  close_descriptor(*file);
  std::string_view text(bytes, got ? *got : 0);
  auto header = decode_header(text);
  if (!header) {
    // A newer format is not damage: nothing may be done to the file.
    bool newer = header.error().message.find("newer") != std::string::npos;
    result.problem = newer ? StartProblem::refused : StartProblem::damaged;
    result.words = fmt::format("{} {}", path, header.error().message);
    return result;
  }
  result.start.header = *header;
  result.start.file_size = size ? *size : 0;
  RecordView view;
  text.remove_prefix(kSegmentHeaderSize);
  result.start.has_bytes = !all_zero(text);
  if (check_record(text, header->seed(), kSegmentHeaderSize, view) == RecordCheck::good &&
      view.type == RecordType::follow) {
    result.start.follow = decode_follow(view.payload);
  }
  return result;
}

}  // namespace postring::spool
