#include "spool/spares.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "base/check.h"
#include "base/mark.h"
#include "io/file.h"
#include "io/socket.h"
#include "spool/disk_space.h"
#include "spool/segment.h"

namespace postring::spool {
namespace {

constexpr std::string_view kReservePrefix = "reserve-";

Result<uint64_t, int> size_of_file(const std::string& path) {
  auto file = open_file(path, OpenMode::read);
  if (!file) return std::unexpected(file.error());
  auto size = file_size(*file);
  close_descriptor(*file);
  return size;
}

// Opens the file where nothing but its header was ever written to it.
Result<int, int> open_untouched(const std::string& path, uint64_t size) {
  auto scanner = SegmentScanner::open(path);
  if (!scanner || scanner->file_size() != size) return std::unexpected(EINVAL);
  if (scanner->content_end(kSegmentHeaderSize) > kSegmentHeaderSize) return std::unexpected(EINVAL);
  return open_file(path, OpenMode::read_write);
}

Result<int, int> allocate(const std::string& path, uint64_t size) {
  if (file_exists(path)) {
    if (auto removed = remove_file(path); !removed) return std::unexpected(removed.error());
  }
  auto file = open_file(path, OpenMode::create);
  if (!file) return file;
  auto allocated = preallocate_file(*file, size);
  if (allocated) return file;
  close_descriptor(*file);
  // What there is of it would only keep the disk full.
  (void)remove_file(path);
  return std::unexpected(allocated.error());
}

// What was set aside is made a segment's file; the space is its own already. On failure it stays
// what it was.
Result<int, int> allocate_reserved(const std::string& reserved, const std::string& path,
                                   uint64_t size) {
  auto file = open_file(reserved, OpenMode::read_write);
  if (!file) return file;
  auto done = preallocate_file(*file, size);
  if (done) done = rename_file(reserved, path);
  if (done) return file;
  close_descriptor(*file);
  return std::unexpected(done.error());
}

Result<void, int> give_name(const std::string& from, const std::string& to,
                            const std::string& folder) {
  if (auto renamed = rename_file(from, to); !renamed) return renamed;
  return sync_folder(folder);
}

}  // namespace

Spares::Spares(Loop& loop, std::string folder, const SegmentHeader& pattern,
               uint32_t next_sequence, std::function<void()> changed)
    : loop_(loop),
      folder_(std::move(folder)),
      pattern_(pattern),
      next_sequence_(next_sequence),
      changed_(std::move(changed)),
      self_(std::make_shared<Spares*>(this)) {
  retry_.bind<&Spares::on_retry>(this);
}

Spares::~Spares() {
  *self_ = nullptr;
  if (retry_.armed()) loop_.timers().disarm(retry_);
  if (making_.file >= 0) close_descriptor(making_.file);
  for (const Spare& spare : ready_) close_descriptor(spare.file);
}

template <typename Work, typename Done>
void Spares::offload(Work work, Done done) {
  loop_.offload().run(std::move(work), [self = self_, done = std::move(done)](auto result) {
    if (*self != nullptr) done(std::move(result));
  });
}

void Spares::adopt(const std::string& path, const SegmentHeader& header) {
  CHECK(header.sequence < next_sequence_);
  adopted_.push_back({path, header});
}

bool Spares::adopt_reserved(const std::string& path) {
  std::string_view name = std::string_view(path).substr(folder_.size() + 1);
  if (!name.starts_with(kReservePrefix)) return false;
  auto size = size_of_file(path);
  if (!size || *size != pattern_.size) return false;
  uint32_t number = 0;
  name.remove_prefix(kReservePrefix.size());
  std::from_chars(name.data(), name.data() + name.size(), number);
  next_reserve_ = std::max(next_reserve_, number + 1);
  reserved_.push_back(path);
  return true;
}

void Spares::set_target(size_t target) {
  target_ = target;
  advance();
}

void Spares::set_reserved_target(size_t target) {
  if (std::exchange(reserved_target_known_, true) && target == reserved_target_) return;
  reserved_target_ = target;
  advance();
}

bool Spares::keeps_next() const {
  size_t missing = target_ > ready_.size() ? target_ - ready_.size() : 0;
  return disk_full_ && reserved_.size() < reserved_target_ + missing + 1;
}

std::string Spares::reserve_path() {
  std::string name = segment_name(next_reserve_++);
  name.replace(name.size() - kSegmentSuffix.size(), kSegmentSuffix.size(), kNewSegmentSuffix);
  return folder_ + "/" + std::string(kReservePrefix) + name;
}

void Spares::keep(const std::string& path) {
  reserved_.push_back(path);
  changed_();
  advance();
}

void Spares::poke() {
  if (error_ == 0) return;
  error_ = 0;
  advance();
}

void Spares::stop() {
  stopped_ = true;
  if (retry_.armed()) loop_.timers().disarm(retry_);
}

Spare Spares::take() {
  CHECK(!ready_.empty());
  Spare spare = std::move(ready_.front());
  ready_.pop_front();
  advance();
  return spare;
}

void Spares::advance() {
  if (stopped_ || step_ != Step::idle) return;
  bool wanted = ready_.size() < target_ || !adopted_.empty();
  if (error_ != 0) {
    // The disk gives nothing new; what was set aside is for this.
    if (!disk_full_ || reserved_.empty() || !wanted) return;
    if (adopted_.empty()) return begin_segment();
    return remake_adopted();
  }
  // Older files first: sequences are used in order.
  if (!adopted_.empty()) return start_adopting();
  bool reserve_wanted = reserved_target_ > 0 && reserved_.size() < reserved_target_ + 1;
  // Setting aside is quick, but nothing at all can be appended without a spare.
  if (reserve_wanted && !(wanted && ready_.empty())) return start_reserving();
  if (wanted) return begin_segment();
  if (reserved_target_known_ && reserved_.size() > reserved_target_ + 2) start_releasing();
}

void Spares::start_reserving() {
  step_ = Step::reserving;
  made_of_reserve_ = false;
  std::string path = reserve_path();
  offload([path, size = pattern_.size] { return reserve_space(path, size); },
          [this, path](Result<void, int> result) { on_reserved(path, result); });
}

void Spares::on_reserved(const std::string& path, Result<void, int> result) {
  if (!result) return fail_with(result.error());
  step_ = Step::idle;
  disk_full_ = false;
  reserved_.push_back(path);
  changed_();
  advance();
}

void Spares::start_releasing() {
  step_ = Step::releasing;
  offload([path = reserved_.back()] { return remove_file(path); },
          [this](Result<void, int>) {
            step_ = Step::idle;
            changed_();
            advance();
          });
  reserved_.pop_back();
}

void Spares::start_adopting() {
  step_ = Step::adopting;
  making_.path = adopted_.front().path;
  making_.header = adopted_.front().header;
  adopted_.pop_front();
  offload([path = making_.path, size = pattern_.size] { return open_untouched(path, size); },
          [this](Result<int, int> file) { on_adopted(file); });
}

void Spares::on_adopted(Result<int, int> file) {
  if (file) {
    making_.file = *file;
    on_named({});
    return;
  }
  adopted_.push_front({making_.path, making_.header});
  remake_adopted();
}

// It is not as it should be, and nothing in it ever counted: its place in the row is made anew.
void Spares::remake_adopted() {
  mark(Mark::spare_made_anew);
  making_.header = pattern_;
  making_.header.sequence = adopted_.front().header.sequence;
  adopted_.pop_front();
  start_allocating();
}

// A new one at the end of the row.
void Spares::begin_segment() {
  making_.header = pattern_;
  making_.header.sequence = next_sequence_++;
  start_allocating();
}

void Spares::start_allocating() {
  step_ = Step::allocating;
  CHECK(making_.file < 0);
  making_.header.salt = loop_.random().next();
  making_.header.created = loop_.wall_now();
  making_.path = folder_ + "/" + segment_name(making_.header.sequence);
  std::string path = making_.path + std::string(kNewSegmentSuffix);
  made_of_reserve_ = error_ != 0 && disk_full_ && !reserved_.empty();
  if (made_of_reserve_) {
    mark(Mark::segment_from_reserve);
    offload([from = reserved_.front(), path, size = pattern_.size] {
              return allocate_reserved(from, path, size);
            },
            [this, from = reserved_.front()](Result<int, int> file) {
              if (!file) reserved_.push_front(from);
              on_allocated(file);
            });
    reserved_.pop_front();
    return;
  }
  offload([path, size = pattern_.size] { return allocate(path, size); },
          [this](Result<int, int> file) { on_allocated(file); });
}

void Spares::on_allocated(Result<int, int> file) {
  if (!file) return fail_with(file.error());
  making_.file = *file;
  step_ = Step::heading;
  header_bytes_ = encode_header(making_.header);
  completion_.bind<&Spares::on_headed>(this);
  loop_.ring().write(completion_, making_.file, std::as_bytes(std::span(header_bytes_)), 0);
}

void Spares::on_headed(int32_t result) {
  if (result < 0) return fail_with(-result);
  if (static_cast<size_t>(result) != header_bytes_.size()) return fail_with(EIO);
  step_ = Step::syncing;
  completion_.bind<&Spares::on_synced>(this);
  loop_.ring().sync(completion_, making_.file, 0, making_.header.size);
}

void Spares::on_synced(int32_t result) {
  if (result < 0) return fail_with(-result);
  step_ = Step::naming;
  std::string from = making_.path + std::string(kNewSegmentSuffix);
  offload([from, to = making_.path, folder = folder_] { return give_name(from, to, folder); },
          [this](Result<void, int> named) { on_named(named); });
}

void Spares::on_named(Result<void, int> result) {
  if (!result) return fail_with(result.error());
  step_ = Step::idle;
  if (!made_of_reserve_) disk_full_ = false;
  ready_.push_back(std::exchange(making_, {}));
  changed_();
  advance();
}

void Spares::fail_with(int error) {
  if (making_.file >= 0) close_descriptor(making_.file);
  making_.file = -1;
  // Its number is used again by the next try: the row stays without gaps, and what lies under that
  // number is made anew.
  if (step_ != Step::reserving) {
    if (making_.header.sequence + 1 == next_sequence_) {
      --next_sequence_;
    } else {
      adopted_.push_front({making_.path, making_.header});
    }
  }
  step_ = Step::idle;
  making_ = {};
  error_ = error;
  disk_full_ = is_disk_full(error);
  if (!stopped_) loop_.timers().arm(retry_, loop_.now() + kSpareRetry);
  changed_();
  // From what was set aside, where that is of use.
  if (!made_of_reserve_) advance();
}

void Spares::on_retry() { poke(); }

}  // namespace postring::spool
