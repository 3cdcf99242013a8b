// A slice of the spool, written as the log writes and damaged as the input says: flipped bits,
// other bytes, lost sectors, files that are cut, missing, exchanged. Reading it and recovering it
// never end the program, and
//
//   - a record that is read is one that was written, in its own place, in order;
//   - a scanner reads every record that was not touched;
//   - recovery leaves one out only where it names the damage, or in a tail of which nothing says
//     that it was ever durable;
//   - recovering again finds the same, also after more was appended.

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../io/rig_base.h"
#include "base/crc32c.h"
#include "require.h"
#include "spool/log.h"
#include "spool/segment.h"
#include "spool/slice_reader.h"

namespace {

using namespace postring;
using namespace postring::spool;

constexpr size_t kSegmentsMax = 4;
constexpr size_t kBytesMax = 12'000;  // of one segment

class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}
  bool done() const { return bytes_.empty(); }
  uint8_t byte() {
    std::string_view one = take(1);
    return one.empty() ? uint8_t{0} : static_cast<uint8_t>(one[0]);
  }
  uint32_t word() { return byte() | uint32_t{byte()} << 8; }
  std::string_view take(size_t size) {
    std::string_view part = bytes_.substr(0, size);
    bytes_.remove_prefix(part.size());
    return part;
  }

 private:
  std::string_view bytes_;
};

struct Written {
  RecordType type = RecordType::none;
  std::string payload;
  bool operator==(const Written&) const = default;
};
using Records = std::map<Position, Written>;

struct File {
  SegmentHeader header;
  std::string written;  // what the log wrote
  std::string bytes;    // what is there
  Records records;
  uint64_t count = 0;
  uint32_t durable = kSegmentHeaderSize;
  bool is_missing = false;

  uint32_t end() const { return static_cast<uint32_t>(written.size()); }
  bool has_same(size_t from, size_t size) const {
    return bytes.size() >= from + size && written.compare(from, size, bytes, from, size) == 0;
  }
  bool has_header() const { return !is_missing && has_same(0, kSegmentHeaderSize); }
  bool has_record(Position place, const Written& record) const {
    return has_header() && has_same(place.offset, record_size(record.payload.size()));
  }
  bool has_follow() const { return has_record(records.begin()->first, records.begin()->second); }
  // A crash can leave the same of a file in the making.
  bool is_empty() const {
    return bytes.size() <= kSegmentHeaderSize && bytes.find_first_not_of('\0') == std::string::npos;
  }
  bool is_newer() const {
    if (is_missing || bytes.size() < kSegmentHeaderSize || !bytes.starts_with("postring"))
      return false;
    uint32_t format;
    std::memcpy(&format, bytes.data() + 8, sizeof(format));
    return format > kFormatVersion;
  }
  // Whether a record at or behind `from` says that more than `from` was durable once.
  bool says_durable(uint32_t from) const {
    return std::any_of(records.begin(), records.end(), [&](const auto& each) {
      const auto& [place, record] = each;
      if (record.type != RecordType::skip || record.payload.size() < 4) return false;
      uint32_t mark;
      std::memcpy(&mark, record.payload.data(), sizeof(mark));
      return place.offset >= from && mark > from && has_record(place, record);
    });
  }
};

// The slice as the log writes it: spool/log.cc in few lines.
class Writer {
 public:
  Writer(std::vector<File>& files, uint64_t salt) : files_(files), salt_(salt) {}

  void begin_segment() {
    File file;
    file.header.slice = 3;
    file.header.spool_id = 0x1234;
    file.header.sequence = files_.empty() ? 7 : files_.back().header.sequence + 1;
    // Whoever changes the input gets other checksums: none is found by trying.
    file.header.salt = salt_ + files_.size();
    file.header.size = kSegmentBytesMin;
    file.written = encode_header(file.header);
    Follow follow;
    if (!files_.empty()) {
      const File& last = files_.back();
      follow = {last.header.sequence, last.end(), last.count, {}};
    }
    files_.push_back(std::move(file));
    append(RecordType::follow, encode_follow(follow));
  }
  void append(RecordType type, std::string payload) {
    File& file = files_.back();
    uint32_t offset = file.end();
    file.written.resize(offset + record_size(payload.size()));
    write_record(file.written.data() + offset, file.header.seed(), offset, type, payload);
    file.records[{file.header.sequence, offset}] = {type, std::move(payload)};
    if (type != RecordType::seal) ++file.count;
  }
  void sync() {
    File& file = files_.back();
    uint32_t fill = (kSyncAlignment - file.end() % kSyncAlignment) % kSyncAlignment;
    if (fill > 0) append(RecordType::skip, encode_skip(fill, file.durable));
    file.durable = file.end();
  }
  void end_segment(bool sealed) {
    if (files_.size() == kSegmentsMax) return;
    if (sealed) append(RecordType::seal, encode_seal(files_.back().count));
    begin_segment();
  }
  bool is_full() const { return files_.back().end() > kBytesMax; }

 private:
  std::vector<File>& files_;
  uint64_t salt_;
};

struct Harm {
  uint8_t kind = 0;
  uint8_t file = 0;
  uint32_t at = 0;
  uint8_t more = 0;
  std::string bytes;
};

void apply(const Harm& harm, std::vector<File>& files) {
  File& file = files[harm.file % files.size()];
  std::string& bytes = file.bytes;
  if (bytes.empty()) return;
  size_t at = harm.at % bytes.size();
  switch (harm.kind) {
    case 0:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << harm.more % 8));
      break;
    case 1:
      bytes.replace(at, std::min(harm.bytes.size(), bytes.size() - at), harm.bytes);
      break;
    case 2:
      at = at / 512 * 512;
      std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(at),
                  std::min<size_t>(512, bytes.size() - at), '\0');
      break;
    case 3:
      bytes.resize(at);
      break;
    case 4: {
      File& other = files[harm.more % files.size()];
      if (harm.at % 3 == 0) file.is_missing = true;
      if (harm.at % 3 == 1 && &other != &file) bytes.swap(other.bytes);
      if (harm.at % 3 == 2)
        bytes.replace(at / 8 * 8, 64, other.bytes, at / 8 * 8 < other.bytes.size() ? at / 8 * 8 : 0,
                      64);
      break;
    }
    default:
      break;
  }
}

std::vector<File> make_slice(std::string_view bytes) {
  std::vector<File> files;
  std::vector<Harm> harms;
  auto span = std::as_bytes(std::span(bytes.data(), bytes.size()));
  Writer writer(files, uint64_t{crc32c(span)} << 32 | bytes.size());
  writer.begin_segment();
  Input input(bytes);
  while (!input.done()) {
    uint8_t op = input.byte() % 16;
    if (op >= 11) {
      Harm harm{static_cast<uint8_t>(op - 11), input.byte(), input.word(), input.byte(), ""};
      if (harm.kind == 1) harm.bytes = input.take(harm.more % 24);
      harms.push_back(std::move(harm));
    } else if (op >= 9) {
      writer.end_segment(op == 9);
    } else if (writer.is_full()) {
      continue;
    } else if (op >= 7) {
      writer.sync();
    } else if (op == 6) {
      writer.append(RecordType::entry, std::string(input.word() % 3'000, static_cast<char>(op)));
    } else {
      writer.append(static_cast<RecordType>(4 + op), std::string(input.take(input.byte() % 64)));
    }
  }
  for (File& file : files) file.bytes = file.written + std::string(1'024, '\0');
  for (const Harm& harm : harms) apply(harm, files);
  return files;
}

struct Seen {
  Records records;
  std::vector<Damage> damage;
};

RecordVisitor into(Seen& seen) {
  return [&seen](const RecordView& view) {
    REQUIRE(seen.records.empty() || seen.records.rbegin()->first < view.position);
    seen.records[view.position] = {view.type, std::string(view.payload)};
  };
}

bool is_named(const std::vector<Damage>& damage, const std::string& path, uint64_t from,
              uint64_t to) {
  return std::any_of(damage.begin(), damage.end(), [&](const Damage& each) {
    return each.file == path && each.offset <= from && each.offset + each.bytes >= to;
  });
}

class Trial {
 public:
  Trial(std::vector<File> files, std::string folder)
      : files_(std::move(files)), folder_(std::move(folder)) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    for (const File& file : files_) {
      if (file.is_missing) continue;
      std::ofstream(path_of(file), std::ios::binary) << file.bytes;
    }
  }

  void run(Loop& loop) {
    for (const File& file : files_) scan(file);
    auto listing = list_slice(folder_);
    bool newer =
        std::any_of(files_.begin(), files_.end(), [](const File& f) { return f.is_newer(); });
    REQUIRE(listing.has_value() == !newer);
    if (newer) {
      REQUIRE(!recover(loop, nullptr, false));
      return;
    }
    Seen seen;
    auto read = read_slice(*listing, seen.damage, into(seen));
    REQUIRE(read);
    judge(*listing, *read, seen);
    std::erase_if(seen.records,
                  [](const auto& each) { return each.second.type <= RecordType::follow; });
    REQUIRE(recover(loop, &seen, false));
    REQUIRE(recover(loop, &seen, true));
    REQUIRE(recover(loop, &seen, false));
  }

 private:
  std::string path_of(const File& file) const {
    return folder_ + "/" + segment_name(file.header.sequence);
  }

  void scan(const File& file) {
    if (file.is_missing) return;
    auto scanner = SegmentScanner::open(path_of(file));
    if (!scanner) REQUIRE(!file.has_header() && !scanner.error().message.empty());
    if (!scanner || !file.has_header()) return;
    Seen seen;
    do {
      if (scanner->walk(into(seen)) == SegmentStop::seal) break;
    } while (scanner->skip_damage());
    check_written(seen.records, file);
    for (const auto& [place, record] : file.records) {
      if (file.has_record(place, record)) REQUIRE(seen.records.contains(place));
    }
  }
  void check_written(const Records& seen, const File& file) {
    for (const auto& [place, record] : seen) {
      if (place.segment != file.header.sequence) continue;
      auto written = file.records.find(place);
      REQUIRE(written != file.records.end() && written->second == record);
    }
  }

  void judge(const SliceListing& listing, const std::vector<ReadSegment>& read, const Seen& seen) {
    for (const auto& [place, record] : seen.records) {
      REQUIRE(place.segment >= files_.front().header.sequence);
      REQUIRE(place.segment <= files_.back().header.sequence);
    }
    for (const File& file : files_) {
      check_written(seen.records, file);
      auto done = std::find_if(read.begin(), read.end(), [&](const ReadSegment& each) {
        return each.listed->sequence == file.header.sequence;
      });
      for (const auto& [place, record] : file.records) {
        if (seen.records.contains(place)) continue;
        if (done != read.end()) {
          judge_left_out(file, place, record_size(record.payload.size()), *done, seen);
        } else {
          judge_unread(file, listing, seen);
        }
      }
      if (done != read.end() && done->last) judge_tail(file, *done);
    }
  }
  void judge_left_out(const File& file, Position place, uint64_t size, const ReadSegment& done,
                      const Seen& seen) {
    if (is_named(seen.damage, path_of(file), place.offset, place.offset + size)) return;
    REQUIRE(place.offset >= done.end);
    if (done.last) return;
    // Where it ended, only the segment behind it knows: then that is what is named.
    const File& next = files_[file.header.sequence - files_.front().header.sequence + 1];
    REQUIRE(!next.has_follow() && !seen.damage.empty());
  }
  void judge_unread(const File& file, const SliceListing& listing, const Seen& seen) {
    if (file.is_missing || file.is_empty()) {
      bool more =
          !listing.segments.empty() && listing.segments.back().sequence > file.header.sequence;
      bool first =
          listing.segments.empty() || listing.segments.front().sequence > file.header.sequence;
      REQUIRE(first || !more || !seen.damage.empty());
    } else if (!file.has_header()) {
      REQUIRE(is_named(seen.damage, path_of(file), 0, kSegmentHeaderSize));
    } else {
      size_t trace = file.bytes.find_first_not_of('\0', kSegmentHeaderSize);
      REQUIRE(trace >= kSegmentHeaderSize + kSegmentStartBytes ||
              !file.says_durable(kSegmentHeaderSize));
    }
  }
  void judge_tail(const File& file, const ReadSegment& done) {
    REQUIRE(done.sealed || !file.says_durable(done.end));
    size_t end = file.bytes.find_last_not_of('\0') + 1;
    REQUIRE(done.torn_bytes == (done.sealed || end < done.end ? 0 : end - done.end));
  }

  // Whether it opens; what it finds is what was seen, and what it is given is seen from then on.
  bool recover(Loop& loop, Seen* seen, bool and_append) {
    LogOptions options;
    options.slice = 3;
    options.spool_id = 0x1234;
    options.segment_bytes = kSegmentBytesMin;
    options.reserve_segments = 0;
    Seen found;
    auto log = Log::open(loop, folder_, options, into(found));
    if (!log) {
      REQUIRE(!log.error().message.empty());
      return false;
    }
    REQUIRE(seen != nullptr && found.records == seen->records);
    const auto& damage = (*log)->recovery().damage;
    REQUIRE(std::equal(damage.begin(), damage.end(), seen->damage.begin(), seen->damage.end(),
                       [](const Damage& a, const Damage& b) {
                         return a.file == b.file && a.offset == b.offset && a.bytes == b.bytes &&
                                a.what == b.what;
                       }));
    while (and_append) {
      auto place = (*log)->append(RecordType::entry, "more", Room::outcome);
      REQUIRE(place || place.error() == AppendError::no_room_yet);
      if (place) seen->records[*place] = {RecordType::entry, "more"};
      if (place) break;
      loop.turn(Instant::never());
    }
    int closed = -1;
    (*log)->close([&closed](bool ok) { closed = ok; });
    while (closed < 0) loop.turn(Instant::never());
    REQUIRE(closed == 1);
    return true;
  }

  std::vector<File> files_;
  std::string folder_;
};

// In memory, where the machine has such a folder.
class Folder {
 public:
  Folder() {
    path_ = std::filesystem::is_directory("/dev/shm")
                ? "/dev/shm"
                : std::filesystem::temp_directory_path().string();
    path_ += "/postring-recovery-XXXXXX";
    REQUIRE(mkdtemp(path_.data()) != nullptr);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

// The loop keeps memory from one input to the next: looking for leaks behind each takes longer than
// all the rest.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Folder folder;
  static std::unique_ptr<Loop> loop;
  static unsigned trials = 0;
  // A loop remembers every log that it has had.
  if (trials++ % 64 == 0) loop = make_loop();
  Trial(make_slice(as_text(data, size)), folder.path() + "/slice").run(*loop);
  return 0;
}
