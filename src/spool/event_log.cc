#include "spool/event_log.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <optional>
#include <span>
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
#include "spool/event_segments.h"

namespace postring::spool {
namespace {

static_assert(kEventUnsyncedMax < kEventReserveStep);

// Looked at by one piece of offload: those that have an index cost a search a page or two.
constexpr size_t kReadFiles = 2;
constexpr size_t kFindFiles = 32;

// No file was made, and none was harmed: it can be tried again.
bool passes(int error) { return error == EMFILE || error == ENFILE || error == ENOMEM; }

}  // namespace

struct EventLog::State {
  using Segment = EventSegments::Segment;
  // Entries that become one block.
  struct Piece {
    std::string raw;
    std::vector<uint32_t> keys;  // one an entry
    uint64_t first = 0;
  };
  struct PageRead {
    std::optional<uint32_t> key;  // of find()
    uint64_t from = 0;
    uint64_t bytes_max = 0;
    ReadCallback callback;
    int tries = 0;
  };
  using SyncCallback = std::move_only_function<void(bool)>;

  State(Loop& loop_, std::string folder_, EventLogOptions options_)
      : loop(loop_),
        folder(std::move(folder_)),
        set_aside(loop_, folder),
        segments(loop_, folder, options_) {
    written.bind<&State::on_written>(this);
    synced.bind<&State::on_synced>(this);
    retry.bind<&State::on_retry>(this);
    read_retry.bind<&State::read_again>(this);
  }
  ~State() {
    *alive = false;
    if (file >= 0) close_descriptor(file);
  }

  Result<void> recover();

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
  void read_page(PageRead asked);
  void on_page(PageRead asked, EventPage page);
  void read_again();

  Loop& loop;
  std::string folder;
  EventReserve set_aside;
  EventSegments segments;    // the last is the one written to, where `file` is open
  int file = -1;
  uint64_t next_number = 1;  // of the next append
  uint64_t durable_end = 1;  // numbers below it are durable
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
  Timer retry;
  std::vector<PageRead> reads_again;  // of what could not be read
  Timer read_retry;
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
  auto next = segments.recover(*names);
  if (!next) return std::unexpected(next.error());
  next_number = *next;
  durable_end = *next;
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
  if (!segments.last_takes(bytes.size())) return start_segment({});
  write_rest();
}

void EventLog::State::start_segment(std::string reserved) {
  NewEventSegment made;
  made.reserved = std::move(reserved);
  made.path = folder + "/" + event_segment_name(bytes_first);
  Segment segment;
  segment.first = bytes_first;
  segment.begun = loop.wall_now();
  segment.changed = loop.wall_now();
  segment.path = made.path;
  segment.bytes_max = !made.reserved.empty() ? kEventReserveStep : UINT64_MAX;
  // One of the same first entry holds none that is durable: it is begun again.
  bool again = !segments.empty() && segments.last().first == bytes_first;
  if (again) {
    mark(Mark::events_begun_again);
    segments.pop_last();
  }
  if (file >= 0) close_descriptor(std::exchange(file, -1));
  if (!segments.empty() && !again) {
    made.before = segments.last().path;
    made.before_bytes = segments.last().bytes;
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
  segments.push(std::move(segment));
  if (!has_header) {
    bytes.insert(0, encode_event_header({kEventFormatVersion, bytes_first, loop.wall_now()}));
  }
  has_header = true;
  write_rest();
}

void EventLog::State::write_rest() {
  auto rest = std::as_bytes(std::span(bytes)).subspan(bytes_written);
  loop.ring().write(written, file, rest, segments.last().bytes + bytes_written);
}

void EventLog::State::on_written(int32_t result) {
  if (result < 0 && is_disk_full(-result)) return on_full();
  if (result <= 0) return fail_all();
  bytes_written += static_cast<size_t>(result);
  if (bytes_written < bytes.size()) return write_rest();
  loop.ring().sync(synced, file, segments.last().bytes, bytes.size());
}

void EventLog::State::on_synced(int32_t result) {
  if (result < 0) return fail_all();
  segments.last().bytes += bytes.size();
  segments.last().changed = loop.wall_now();
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

void EventLog::State::read_page(PageRead wanted) {
  uint64_t oldest = segments.oldest(durable_end);
  if (wanted.from == 0) wanted.from = oldest;
  if (wanted.from < oldest) {
    EventsGone gone{oldest, oldest - wanted.from};
    loop.defer([callback = std::move(wanted.callback), gone]() mutable {
      callback(std::unexpected(gone));
    });
    return;
  }
  size_t count = wanted.key ? kFindFiles : kReadFiles;
  auto read = [files = segments.files(wanted.from, durable_end, count), end = durable_end,
               from = wanted.from, bytes_max = wanted.bytes_max, key = wanted.key] {
    return key ? find_events(files, from, end, bytes_max, *key)
               : read_events(files, from, end, bytes_max);
  };
  loop.offload().run(std::move(read), [this, alive = alive,
                                       wanted = std::move(wanted)](EventPage page) mutable {
    if (*alive) on_page(std::move(wanted), std::move(page));
  });
}

void EventLog::State::on_page(PageRead wanted, EventPage page) {
  if (page.error == 0) return wanted.callback(std::move(page));
  if (++wanted.tries < kEventReadTries && !closing) {
    reads_again.push_back(std::move(wanted));
    if (!read_retry.armed()) loop.timers().arm(read_retry, loop.now() + kEventRetry);
    return;
  }
  page.first = page.next = page.behind;
  wanted.callback(std::move(page));
}

void EventLog::State::read_again() {
  for (PageRead& wanted : std::exchange(reads_again, {})) read_page(std::move(wanted));
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
  return state_->segments.oldest(state_->durable_end);
}
uint64_t EventLog::end() const {
  return state_->durable_end;
}

uint64_t EventLog::bytes() const {
  return state_->segments.bytes();
}

void EventLog::read(uint64_t from, uint64_t bytes_max, ReadCallback callback) {
  state_->read_page({std::nullopt, from, bytes_max, std::move(callback)});
}

void EventLog::find(uint32_t key, uint64_t from, uint64_t bytes_max, ReadCallback callback) {
  state_->read_page({key, from, bytes_max, std::move(callback)});
}

void EventLog::set_retention(Duration keep, uint64_t keep_bytes) {
  state_->segments.set_retention(keep, keep_bytes);
}

void EventLog::close(std::move_only_function<void(bool)> callback) {
  State& s = *state_;
  give_up_waiting();
  sync_soon(std::move(callback));
  s.closing = true;
  s.set_aside.stop();
  s.segments.stop();
  s.loop.timers().disarm(s.read_retry);
  s.read_again();
}

}  // namespace postring::spool
