#include "spool/log.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/mark.h"
#include "io/socket.h"
#include "spool/log_state.h"

namespace postring::spool {
namespace {

// The largest record with a seal behind it must fit behind header and follow record.
constexpr uint64_t kSegmentOverhead = 2 * kSyncAlignment;

constexpr uint64_t up_to_sync_alignment(uint64_t offset) {
  return (offset + kSyncAlignment - 1) / kSyncAlignment * kSyncAlignment;
}

}  // namespace

const char* name_of(AppendError error) {
  switch (error) {
    case AppendError::no_room_yet: return "no room yet";
    case AppendError::disk_full: return "disk full";
    case AppendError::poisoned: return "poisoned";
    case AppendError::too_large: return "too large";
  }
  return "?";
}

Log::State::State(Loop& loop_, std::string folder_, LogOptions options_)
    : loop(loop_),
      folder(std::move(folder_)),
      options(options_),
      self(std::make_shared<State*>(this)) {
  for (size_t slot = kColdReadsMax; slot > 0; --slot) free_slots.push_back(slot - 1);
  write_completion.bind<&State::on_written>(this);
  sync_completion.bind<&State::on_synced>(this);
  scan.completion.bind<&State::on_scanned>(this);
}

Log::State::~State() {
  *self = nullptr;
  for (Segment& segment : segments) {
    if (segment.file >= 0) close_descriptor(segment.file);
  }
}

size_t Log::State::floor_of(Room room) const {
  switch (room) {
    case Room::submission: return options.reserve_segments;
    case Room::outcome: return std::min(options.reserve_segments, 1u);
    case Room::reclaim: return 0;
  }
  return 0;
}

// On a full disk nothing comes to what is here; the ends of segments are not always of use.
uint64_t Log::State::room_left(Room room) const {
  if (!spares->disk_full()) return UINT64_MAX;
  uint64_t usable = options.segment_bytes - 2 * kSegmentOverhead;
  size_t here = spares->ready() + spares->reserved();
  size_t floor = floor_of(room);
  uint64_t left = has_active() ? active_left() : 0;
  return left + (here > floor ? here - floor : 0) * usable;
}

uint64_t Log::State::active_left() const {
  const Segment& last = segments.back();
  return last.capacity() - last.end;
}

Result<void, AppendError> Log::State::refuse(uint64_t bytes, Room room) const {
  if (is_poisoned) return std::unexpected(AppendError::poisoned);
  uint64_t usable = options.segment_bytes - kSegmentOverhead;
  uint64_t left = has_active() ? active_left() : 0;
  size_t rolls = bytes <= left ? 0 : static_cast<size_t>((bytes + usable - 1) / usable);
  size_t floor = floor_of(room);
  size_t ready = spares->ready();
  // Submission keeps the whole reserve even while it fits the segment at hand.
  bool enough = room == Room::submission ? ready >= floor + rolls && spares->enough_reserved()
                                         : rolls == 0 || ready >= floor + rolls;
  if (!enough) {
    return std::unexpected(spares->disk_full() ? AppendError::disk_full
                                               : AppendError::no_room_yet);
  }
  if (staged_bytes + bytes > kStagedBytesMax) return std::unexpected(AppendError::no_room_yet);
  return {};
}

Result<Position, AppendError> Log::State::append(RecordType type, std::string_view payload,
                                                 Room room) {
  CHECK(!closing, "appending to a log that is closing");
  CHECK(type > RecordType::follow, "this type is the log's own");
  uint64_t size = record_size(payload.size());
  if (payload.size() > kPayloadMax || size > options.segment_bytes - kSegmentOverhead) {
    return std::unexpected(AppendError::too_large);
  }
  if (auto room_left = refuse(size, room); !room_left) {
    return std::unexpected(room_left.error());
  }
  if (!has_active()) {
    open_next();
  } else if (active().end + size > active().capacity() || is_too_old(active(), room)) {
    seal();
    open_next();
  }
  return put(type, payload);
}

// Only where a spare is there for the asking: age never makes an append fail.
bool Log::State::is_too_old(const Segment& segment, Room room) const {
  if (loop.wall_now() - segment.opened < options.segment_age_max) return false;
  return spares->ready() > floor_of(room);
}

Position Log::State::put(RecordType type, std::string_view payload) {
  Segment& segment = active();
  auto size = static_cast<uint32_t>(record_size(payload.size()));
  Position position{segment.header.sequence, segment.end};
  write_record(stage(size), segment.seed, segment.end, type, payload);
  segment.end += size;
  ++segment.records;
  counters.bytes_appended += size;
  appended = segment.stream_end();
  return position;
}

// Room for a record at the active segment's end. A chunk that is being written may grow behind what
// the kernel was given: its bytes never move.
char* Log::State::stage(uint32_t size) {
  Segment& segment = active();
  bool fits = !chunks.empty() && chunks.back().segment == segment.header.sequence &&
              chunks.back().capacity - chunks.back().size >= size;
  if (!fits) {
    Chunk chunk;
    chunk.segment = segment.header.sequence;
    chunk.offset = segment.end;
    chunk.stream_begin = segment.stream_end();
    chunk.capacity = std::max(size, kChunkBytes);
    if (chunk.capacity == kChunkBytes && !free_chunks.empty()) {
      chunk.bytes = std::move(free_chunks.back());
      free_chunks.pop_back();
    } else {
      chunk.bytes = std::make_unique_for_overwrite<char[]>(chunk.capacity);
    }
    chunks.push_back(std::move(chunk));
  }
  Chunk& chunk = chunks.back();
  CHECK(chunk.offset + chunk.size == segment.end);
  char* place = chunk.bytes.get() + chunk.size;
  chunk.size += size;
  staged_bytes += size;
  return place;
}

void Log::State::seal() {
  uint64_t records = active().records;
  put(RecordType::seal, encode_seal(records));
  active().records = records;
  active().sealed = true;
}

void Log::State::open_next() {
  Follow follow;
  if (!segments.empty()) {
    const Segment& last = segments.back();
    follow = {last.header.sequence, last.end, last.records, {}};
  }
  follow.opened = loop.wall_now();
  Spare spare = spares->take();
  Segment segment;
  segment.header = spare.header;
  segment.path = std::move(spare.path);
  segment.file_size = spare.header.size;
  segment.seed = spare.header.seed();
  segment.stream_begin = next_stream;
  segment.file = spare.file;
  segment.opened = follow.opened;
  next_stream += segment.file_size;
  segments.push_back(std::move(segment));
  put(RecordType::follow, encode_follow(follow));
}

// Fills the sector, so that what the coming sync covers is never written again.
void Log::State::pad() {
  if (!has_active()) return;
  Segment& segment = active();
  uint64_t end = up_to_sync_alignment(segment.end);
  CHECK(end <= segment.capacity());
  if (end == segment.end) return;
  auto size = static_cast<uint32_t>(end - segment.end);
  uint64_t durable_here = durable > segment.stream_begin ? durable - segment.stream_begin : 0;
  put(RecordType::skip, encode_skip(size, static_cast<uint32_t>(durable_here)));
}

void Log::State::turn_end() {
  if (!is_poisoned) pump();
}

void Log::State::pump() {
  // A round begins: whoever asked so far is in it.
  if (!waiters.empty() && round_target == 0) {
    if (waiters.back().target > durable) pad();
    round_target = std::max(appended, waiters.back().target);
  }
  start_write();
  start_sync();
}

void Log::State::start_write() {
  if (is_poisoned || write_completion.busy() || chunks.empty()) return;
  Chunk& chunk = chunks.front();
  if (chunk.segment != writing_segment) {
    // The segment before must be durable as a whole first.
    if (durable < written) return;
    writing_segment = chunk.segment;
    durable = written = chunk.stream_begin;
  }
  Segment* segment = find(chunk.segment);
  CHECK(segment != nullptr);
  std::string_view text(chunk.bytes.get() + chunk.written, chunk.size - chunk.written);
  auto bytes = std::as_bytes(std::span(text));
  uint32_t offset = chunk.offset + chunk.written;
  bool ends_round = round_target != 0 && chunk.stream_begin + chunk.size >= round_target;
  if (!ends_round || sync_completion.busy()) {
    loop.ring().write(write_completion, segment->file, bytes, offset);
    return;
  }
  sync_upto = round_target;
  loop.ring().write_then_sync(write_completion, segment->file, bytes, offset, sync_completion,
                              sync_range(*segment));
}

// What the sync that ends at sync_upto has to cover.
SyncRange Log::State::sync_range(const Segment& segment) const {
  return {durable - segment.stream_begin, sync_upto - durable};
}

void Log::State::on_written(int32_t result) {
  if (result <= 0) return poison("a write", result == 0 ? EIO : -result);
  bool was_behind = staged_bytes > kStagedBytesMax / 2;
  Chunk& chunk = chunks.front();
  chunk.written += static_cast<uint32_t>(result);
  CHECK(chunk.written <= chunk.size);
  written = chunk.stream_begin + chunk.written;
  staged_bytes -= static_cast<uint32_t>(result);
  if (chunk.written == chunk.size) {
    if (chunk.capacity == kChunkBytes && free_chunks.size() < kChunksKept) {
      free_chunks.push_back(std::move(chunk.bytes));
    }
    chunks.pop_front();
  }
  pump();
  if (was_behind && staged_bytes <= kStagedBytesMax / 2) tell_room();
  try_close();
}

void Log::State::start_sync() {
  if (is_poisoned || sync_completion.busy() || durable == written) return;
  bool round_is_written = round_target != 0 && written >= round_target;
  bool next_segment_waits = !chunks.empty() && chunks.front().segment != writing_segment;
  if (!round_is_written && !next_segment_waits) return;
  Segment* segment = find(writing_segment);
  CHECK(segment != nullptr);
  // No further than the round: what came behind it is acknowledged by the next, which pads first.
  sync_upto = round_is_written ? round_target : written;
  SyncRange range = sync_range(*segment);
  loop.ring().sync(sync_completion, segment->file, range.offset, range.length);
}

void Log::State::on_synced(int32_t result) {
  // Its write was short or failed: that is known, or will be.
  if (result == -ECANCELED) {
    mark(Mark::sync_without_write);
    if (!is_poisoned) pump();
    return try_close();
  }
  if (result < 0) return poison("a sync", -result);
  durable = sync_upto;
  ++counters.syncs;
  finish_waiters();
  if (!is_poisoned) pump();
  try_close();
}

void Log::State::finish_waiters() {
  if (round_target != 0 && durable >= round_target) round_target = 0;
  while (!waiters.empty() && waiters.front().target <= durable) {
    auto callback = std::move(waiters.front().callback);
    waiters.pop_front();
    callback(true);
  }
}

void Log::State::poison(const char* what, int error) {
  mark(Mark::log_poisoned);
  is_poisoned = true;
  poison_words = fmt::format("{} in {} failed: {}", what, folder, std::strerror(error));
  round_target = 0;
  std::deque<SyncWaiter> failed;
  failed.swap(waiters);
  for (SyncWaiter& waiter : failed) waiter.callback(false);
  tell_room();
  try_close();
}

// Others than submission may go on earlier; all find out by trying.
void Log::State::tell_room() {
  std::vector<std::function<void()>> told;
  told.swap(room_waiters);
  for (auto& callback : told) {
    loop.defer([callback = std::move(callback), alive = self] {
      if (*alive != nullptr) callback();
    });
  }
}

bool Log::State::quiet() const {
  bool staged_left = !chunks.empty() && !is_poisoned;
  return !staged_left && !write_completion.busy() && !sync_completion.busy() && waiters.empty() &&
         !spares->busy() && !scan.active && !unlinking && waiting_reads.empty() &&
         free_slots.size() == kColdReadsMax;
}

void Log::State::try_close() {
  if (!closing || !close_callback || !quiet()) return;
  loop.defer([callback = std::move(close_callback), ok = !is_poisoned]() mutable { callback(ok); });
  close_callback = nullptr;
}

Log::Log(std::unique_ptr<State> state) : state_(std::move(state)) {}
Log::~Log() = default;

const Recovery& Log::recovery() const { return state_->recovery; }

Result<Position, AppendError> Log::append(RecordType type, std::string_view payload, Room room) {
  return state_->append(type, payload, room);
}

const LogCounters& Log::counters() const { return state_->counters; }

Result<void, AppendError> Log::check_room(uint64_t bytes, Room room) const {
  return state_->refuse(bytes, room);
}

uint64_t Log::room_left(Room room) const { return state_->room_left(room); }

void Log::when_room(std::function<void()> callback) {
  state_->room_waiters.push_back(std::move(callback));
}

void Log::sync_soon(std::move_only_function<void(bool ok)> callback) {
  State& state = *state_;
  if (state.is_poisoned || state.appended <= state.durable) {
    state.loop.defer([callback = std::move(callback), self = state.self,
                      ok = !state.is_poisoned]() mutable {
      if (*self != nullptr) callback(ok);
    });
    return;
  }
  state.waiters.push_back({state.appended, std::move(callback)});
}

bool Log::is_durable(Position position) const {
  return state_->stream_of(position) < state_->durable;
}

bool Log::poisoned() const { return state_->is_poisoned; }

Result<void, AppendError> Log::roll() {
  State& state = *state_;
  if (!state.has_active()) return {};
  if (state.is_poisoned) return std::unexpected(AppendError::poisoned);
  state.seal();
  return {};
}

uint64_t Log::segment_bytes() const { return state_->options.segment_bytes; }

uint64_t Log::bytes_on_disk() const {
  return bytes_of_segments() + state_->spares->ready() * segment_bytes();
}

uint64_t Log::bytes_of_segments() const {
  uint64_t bytes = 0;
  for (const Segment& segment : state_->segments) bytes += segment.file_size;
  return bytes;
}

void Log::reserve_for_outcomes(uint64_t bytes) {
  uint64_t usable = state_->options.segment_bytes - kSegmentOverhead;
  uint64_t segments = std::min<uint64_t>((bytes + usable - 1) / usable, kReservedFilesMax);
  // All that stand ready but reclaim's are for outcomes already.
  uint64_t ready = std::max(state_->options.reserve_segments, 1u) - 1;
  uint64_t files = segments > ready ? segments - ready : 0;
  if (state_->closing) return;
  state_->spares->set_reserved_target(static_cast<size_t>(files));
  bool waited_for = !state_->room_waiters.empty();
  if (waited_for && state_->refuse(kRecordHeaderSize, Room::submission)) state_->tell_room();
}

bool Log::disk_full() const {
  const Spares& spares = *state_->spares;
  bool only_reserve = spares.ready() <= state_->options.reserve_segments;
  return spares.disk_full() && (only_reserve || !spares.enough_reserved());
}

void Log::close(std::move_only_function<void(bool ok)> callback) {
  State& state = *state_;
  CHECK(!state.closing);
  state.closing = true;
  state.spares->stop();
  state.close_callback = std::move(callback);
  // Who waits for room learns that none comes any more.
  state.tell_room();
  if (!state.is_poisoned && state.appended > state.durable) {
    state.waiters.push_back({state.appended, [](bool) {}});
  }
  state.try_close();
}

}  // namespace postring::spool
