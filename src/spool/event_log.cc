#include "spool/event_log.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mark.h"
#include "io/file.h"
#include "io/socket.h"
#include "spool/disk_space.h"
#include "spool/event_block.h"
#include "spool/event_reader.h"
#include "spool/event_reserve.h"
#include "spool/event_segment.h"

namespace postring::spool {
namespace {

static_assert(kEventUnsyncedMax < kEventReserveStep);

// No file was made, and none was harmed: it can be tried again.
bool passes(int error) { return error == EMFILE || error == ENFILE || error == ENOMEM; }

}  // namespace

struct EventLog::State {
  struct Segment {
    uint64_t first = 0;
    uint64_t bytes = 0;  // durable ones
    WallTime changed;    // of the last block
    std::string path;
    uint64_t bytes_max = 0;  // takes no block that would go beyond
  };
  // Entries that become one block.
  struct Piece {
    std::string raw;
    std::vector<uint32_t> keys;  // one an entry
    uint64_t first = 0;
  };
  using SyncCallback = std::move_only_function<void(bool)>;

  State(Loop& loop_, std::string folder_, EventLogOptions options_)
      : loop(loop_), folder(std::move(folder_)), options(options_), set_aside(loop_, folder) {
    written.bind<&State::on_written>(this);
    synced.bind<&State::on_synced>(this);
    retention.bind<&State::apply_retention>(this);
    retry.bind<&State::on_retry>(this);
  }
  ~State() {
    *alive = false;
    if (file >= 0) close_descriptor(file);
  }

  Result<void> recover();
  Result<void> remove_unbegun(std::vector<std::string>& names);
  Result<void> recover_segment(const std::string& name, bool last);

  void append(std::string_view entry, uint32_t key);
  void write_next();
  void place_block();
  void start_segment(std::string reserved);
  void on_segment(Segment segment, Result<int, int> made);
  void write_rest();
  void on_written(int32_t result);
  void on_synced(int32_t result);
  void on_full();
  void try_later();
  void give_up();
  void on_retry();
  void finish(bool ok);
  void fail_all();
  void apply_retention();
  std::vector<EventFile> files_from(uint64_t from) const;
  template <typename Read>
  void read_page(uint64_t from, ReadCallback callback, Read read);

  Loop& loop;
  std::string folder;
  EventLogOptions options;
  EventReserve set_aside;
  std::deque<Segment> segments;  // oldest first; the last is the one written to, where there is one
  int file = -1;                 // the last segment's
  uint64_t next_number = 1;      // of the next append
  uint64_t durable_end = 1;      // numbers below it are durable
  bool poisoned = false;
  bool closing = false;
  bool gives_up = false;
  bool gave_up = false;
  bool waits_for_room = false;

  std::deque<Piece> pieces;           // appended since the last block was taken
  std::vector<SyncCallback> waiting;  // for what is in `pieces` or at work
  std::vector<SyncCallback> at_work;
  std::string bytes;  // of the write at work: blocks, in a new segment behind its header
  size_t bytes_written = 0;
  uint64_t bytes_first = 0;  // the first entry in them
  uint64_t bytes_end = 0;
  bool has_header = false;
  bool busy = false;
  bool asked = false;
  Completion written, synced;
  Timer retention;
  Timer retry;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

Result<void> EventLog::State::recover() {
  if (auto made = make_folder(folder); !made) {
    return fail("the events' folder " + folder + " cannot be made: " + std::strerror(made.error()));
  }
  auto names = list_folder(folder);
  if (!names) return fail(folder + " cannot be read: " + std::strerror(names.error()));
  for (const std::string& name : *names) {
    if (EventReserve::is_reserve(name)) set_aside.adopt(name);
  }
  std::erase_if(*names, [](const std::string& name) { return !name.ends_with(kEventSuffix); });
  if (auto removed = remove_unbegun(*names); !removed) return removed;
  for (size_t i = 0; i < names->size(); ++i) {
    auto recovered = recover_segment((*names)[i], i + 1 == names->size());
    if (!recovered) return recovered;
  }
  apply_retention();
  return {};
}

// The last file was made and its header never became durable: it holds nothing, and the one before
// it is the one that was written to.
Result<void> EventLog::State::remove_unbegun(std::vector<std::string>& names) {
  if (names.empty()) return {};
  std::string path = folder + "/" + names.back();
  auto scanned = scan_event_file(path, false);
  if (!scanned) return std::unexpected(scanned.error());
  if (scanned->header) return {};
  mark(Mark::events_not_begun);
  if (!remove_file(path)) return fail(path + " cannot be removed");
  names.pop_back();
  return {};
}

// Older segments are trusted to hold what their successor's first number says; only the last one is
// read through, and cut where it stops being good.
Result<void> EventLog::State::recover_segment(const std::string& name, bool last) {
  std::string path = folder + "/" + name;
  auto scanned = scan_event_file(path, last);
  if (!scanned) return std::unexpected(scanned.error());
  if (!scanned->header) return fail(path + " is not an event segment of postring");
  if (scanned->header->version > kEventFormatVersion) {
    return fail(path + " was written by a newer postring (events format " +
                std::to_string(scanned->header->version) + "); this one reads up to " +
                std::to_string(kEventFormatVersion));
  }
  if (!segments.empty()) segments.back().changed = scanned->header->created;
  segments.push_back(
      {scanned->header->first, scanned->good_bytes, scanned->header->created, path, 0});
  next_number = std::max(next_number, scanned->header->first);
  if (last) next_number = std::max(next_number, scanned->next);
  durable_end = next_number;
  return {};
}

void EventLog::State::append(std::string_view entry, uint32_t key) {
  bool fits = !pieces.empty() && pieces.back().raw.size() + entry.size() <= kEventBlockBytes;
  if (!fits) pieces.push_back({{}, {}, next_number});
  Piece& piece = pieces.back();
  ByteWriter writer(piece.raw);
  writer.fixed<uint32_t>(static_cast<uint32_t>(entry.size()));
  writer.raw(entry);
  piece.keys.push_back(key);
  ++next_number;
}

void EventLog::State::write_next() {
  if (busy || poisoned || !asked) return;
  if (pieces.empty()) {
    asked = false;
    at_work = std::exchange(waiting, {});
    return finish(true);
  }
  busy = true;
  bytes.clear();
  has_header = false;
  bytes_first = pieces.front().first;
  while (!pieces.empty()) {
    Piece& piece = pieces.front();
    // A block is larger than its content and keys only where that does not compress.
    size_t size = piece.raw.size() + piece.keys.size() * sizeof(uint32_t);
    if (!bytes.empty() && bytes.size() + size > kEventWriteBytes) break;
    bytes += encode_event_block(piece.raw, piece.keys, piece.first);
    bytes_end = piece.first + piece.keys.size();
    pieces.pop_front();
  }
  if (pieces.empty()) {
    asked = false;
    at_work = std::exchange(waiting, {});
  }
  place_block();
}

// Where the bytes go: behind the last segment's, or to a new one.
void EventLog::State::place_block() {
  bytes_written = 0;
  if (file < 0) return start_segment({});
  const Segment& last = segments.back();
  bool fits = last.bytes < options.segment_bytes && last.bytes + bytes.size() <= last.bytes_max;
  if (!fits) return start_segment({});
  write_rest();
}

void EventLog::State::start_segment(std::string reserved) {
  NewEventSegment made;
  made.reserved = std::move(reserved);
  made.path = folder + "/" + event_segment_name(bytes_first);
  uint64_t bytes_max = !made.reserved.empty() ? kEventReserveStep : UINT64_MAX;
  Segment segment{bytes_first, 0, loop.wall_now(), made.path, bytes_max};
  // One of the same first entry holds none that is durable: it is begun again.
  bool again = !segments.empty() && segments.back().first == bytes_first;
  if (again) {
    mark(Mark::events_begun_again);
    segments.pop_back();
  }
  if (file >= 0) close_descriptor(std::exchange(file, -1));
  if (!segments.empty() && !again) {
    made.before = segments.back().path;
    made.before_bytes = segments.back().bytes;
  }
  loop.offload().run(
      [made, folder = folder] { return make_event_segment(made, folder); },
      [this, alive = alive, segment = std::move(segment)](Result<int, int> opened) mutable {
        if (*alive) return on_segment(std::move(segment), opened);
        if (opened) close_descriptor(*opened);
      });
}

void EventLog::State::on_segment(Segment segment, Result<int, int> made) {
  if (!made && is_disk_full(made.error())) return on_full();
  if (!made && passes(made.error())) return try_later();
  if (!made) return fail_all();
  file = *made;
  segments.push_back(std::move(segment));
  if (!has_header) {
    bytes.insert(0, encode_event_header({kEventFormatVersion, bytes_first, loop.wall_now()}));
  }
  has_header = true;
  apply_retention();
  write_rest();
}

void EventLog::State::write_rest() {
  auto rest = std::as_bytes(std::span(bytes)).subspan(bytes_written);
  loop.ring().write(written, file, rest, segments.back().bytes + bytes_written);
}

void EventLog::State::on_written(int32_t result) {
  if (result < 0 && is_disk_full(-result)) return on_full();
  if (result <= 0) return fail_all();
  bytes_written += static_cast<size_t>(result);
  if (bytes_written < bytes.size()) return write_rest();
  loop.ring().sync(synced, file, segments.back().bytes, bytes.size());
}

void EventLog::State::on_synced(int32_t result) {
  if (result < 0) return fail_all();
  segments.back().bytes += bytes.size();
  segments.back().changed = loop.wall_now();
  durable_end = bytes_end;
  busy = false;
  waits_for_room = false;
  finish(true);
  write_next();
}

// The same bytes again, in what was set aside for this, or later.
void EventLog::State::on_full() {
  bytes_written = 0;
  std::string reserved = set_aside.take();
  if (!reserved.empty()) {
    mark(Mark::events_from_reserve);
    return start_segment(std::move(reserved));
  }
  mark(Mark::events_waited);
  waits_for_room = true;
  try_later();
}

void EventLog::State::try_later() {
  if (gives_up) return give_up();
  loop.timers().arm(retry, loop.now() + kEventRetry);
}

void EventLog::State::give_up() {
  mark(Mark::events_given_up);
  gave_up = true;
  fail_all();
}

void EventLog::State::on_retry() {
  if (file >= 0) return write_rest();
  start_segment({});
}

void EventLog::State::finish(bool ok) {
  loop.defer([callbacks = std::exchange(at_work, {}), ok]() mutable {
    for (SyncCallback& callback : callbacks) callback(ok);
  });
}

void EventLog::State::fail_all() {
  poisoned = true;
  busy = false;
  for (SyncCallback& callback : waiting) at_work.push_back(std::move(callback));
  waiting.clear();
  finish(false);
}

void EventLog::State::apply_retention() {
  uint64_t total = 0;
  for (const Segment& segment : segments) total += segment.bytes;
  WallTime before = loop.wall_now() - options.keep;
  while (segments.size() > 1 && (total > options.keep_bytes || segments.front().changed < before)) {
    // What cannot be removed is only space; it is found again at the next start.
    (void)remove_file(segments.front().path);
    total -= segments.front().bytes;
    segments.pop_front();
  }
  if (!closing) loop.timers().arm(retention, loop.now() + Duration::minutes(1));
}

std::vector<EventFile> EventLog::State::files_from(uint64_t from) const {
  std::vector<EventFile> files;
  for (size_t i = 0; i < segments.size() && files.size() < 2; ++i) {
    uint64_t next = i + 1 == segments.size() ? durable_end : segments[i + 1].first;
    if (next > from) files.push_back({segments[i].path, segments[i].bytes, next});
  }
  return files;
}

// `read` makes the page, blocking, of files, a first and an end.
template <typename Read>
void EventLog::State::read_page(uint64_t from, ReadCallback callback, Read read) {
  uint64_t oldest = segments.empty() ? durable_end : segments.front().first;
  if (from == 0) from = oldest;
  if (from < oldest) {
    EventsGone gone{oldest, oldest - from};
    loop.defer(
        [callback = std::move(callback), gone]() mutable { callback(std::unexpected(gone)); });
    return;
  }
  loop.offload().run([files = files_from(from), from, end = durable_end,
                      read] { return read(files, from, end); },
                     [callback = std::move(callback), alive = alive](EventPage page) mutable {
                       if (*alive) callback(std::move(page));
                     });
}

EventLog::EventLog(std::unique_ptr<State> state) : state_(std::move(state)) {}
EventLog::~EventLog() = default;

Result<std::unique_ptr<EventLog>> EventLog::open(Loop& loop, std::string folder,
                                                 EventLogOptions options) {
  auto state = std::make_unique<State>(loop, std::move(folder), options);
  if (auto recovered = state->recover(); !recovered) return std::unexpected(recovered.error());
  return std::unique_ptr<EventLog>(new EventLog(std::move(state)));
}

void EventLog::append(std::string_view entry, uint32_t key) {
  CHECK(!state_->closing);
  CHECK(entry.size() <= kEventEntryMax);
  state_->append(entry, key);
}

void EventLog::sync_soon(std::move_only_function<void(bool)> callback) {
  State& s = *state_;
  s.waiting.push_back(std::move(callback));
  if (s.poisoned) return s.fail_all();
  s.asked = true;
  s.write_next();
}

bool EventLog::poisoned() const {
  return state_->poisoned;
}
bool EventLog::disk_full() const {
  return state_->waits_for_room;
}
void EventLog::reserve(uint64_t bytes) {
  if (!state_->closing) state_->set_aside.set_target(bytes);
}
void EventLog::give_up_waiting() {
  State& s = *state_;
  s.gives_up = true;
  if (!s.retry.armed()) return;
  s.loop.timers().disarm(s.retry);
  s.give_up();
}
bool EventLog::gave_up() const {
  return state_->gave_up;
}
uint64_t EventLog::oldest() const {
  const State& s = *state_;
  return s.segments.empty() ? s.durable_end : s.segments.front().first;
}
uint64_t EventLog::end() const {
  return state_->durable_end;
}

uint64_t EventLog::bytes() const {
  uint64_t total = 0;
  for (const State::Segment& segment : state_->segments) total += segment.bytes;
  return total;
}

void EventLog::read(uint64_t from, uint64_t bytes_max, ReadCallback callback) {
  state_->read_page(from, std::move(callback),
                    [bytes_max](const std::vector<EventFile>& files, uint64_t first, uint64_t end) {
                      return read_events(files, first, end, bytes_max);
                    });
}

void EventLog::find(uint32_t key, uint64_t from, uint64_t bytes_max, ReadCallback callback) {
  state_->read_page(
      from, std::move(callback),
      [key, bytes_max](const std::vector<EventFile>& files, uint64_t first, uint64_t end) {
        return find_events(files, first, end, bytes_max, key);
      });
}

void EventLog::set_retention(Duration keep, uint64_t keep_bytes) {
  state_->options.keep = keep;
  state_->options.keep_bytes = keep_bytes;
  state_->apply_retention();
}

void EventLog::roll() {
  // Of a segment without a durable block, the write under way goes there all the same.
  if (!state_->segments.empty()) state_->segments.back().bytes_max = 0;
}

void EventLog::close(std::move_only_function<void(bool)> callback) {
  State& s = *state_;
  give_up_waiting();
  sync_soon(std::move(callback));
  s.closing = true;
  s.set_aside.stop();
  s.loop.timers().disarm(s.retention);
}

}  // namespace postring::spool
