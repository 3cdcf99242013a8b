#include "spool/event_log.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "io/file.h"
#include "io/socket.h"
#include "spool/event_block.h"
#include "spool/event_reader.h"

namespace postring::spool {
namespace {

constexpr std::string_view kSuffix = ".events";

std::string file_name(uint64_t first) {
  std::string digits = std::to_string(first);
  return std::string(20 - digits.size(), '0') + digits + std::string(kSuffix);
}

}  // namespace

struct EventLog::State {
  struct Segment {
    uint64_t first = 0;
    uint64_t bytes = 0;  // durable ones
    WallTime changed;    // of the last block
    std::string path;
  };
  using SyncCallback = std::move_only_function<void(bool)>;

  State(Loop& loop_, std::string folder_, EventLogOptions options_)
      : loop(loop_), folder(std::move(folder_)), options(options_) {
    written.bind<&State::on_written>(this);
    synced.bind<&State::on_synced>(this);
    retention.bind<&State::apply_retention>(this);
  }
  ~State() {
    *alive = false;
    if (file >= 0) close_descriptor(file);
  }

  Result<void> recover();
  Result<void> recover_segment(const std::string& name, bool last);
  Result<void> start_segment();

  void write_next();
  void write_rest();
  void on_written(int32_t result);
  void on_synced(int32_t result);
  void finish(bool ok);
  void fail_all();
  void apply_retention();
  std::vector<EventFile> files_from(uint64_t from) const;

  Loop& loop;
  std::string folder;
  EventLogOptions options;
  std::deque<Segment> segments;  // oldest first; the last is the one written to
  int file = -1;
  uint64_t next_number = 1;  // of the next append
  uint64_t durable_end = 1;  // numbers below it are durable
  bool poisoned = false;
  bool closing = false;

  std::string raw;  // entries appended since the last block was taken
  uint32_t raw_entries = 0;
  std::vector<SyncCallback> waiting;  // for what is in `raw` or at work
  std::vector<SyncCallback> at_work;
  std::string block;
  size_t block_written = 0;
  uint64_t block_end = 0;
  bool busy = false;
  bool asked = false;
  Completion written, synced;
  Timer retention;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

Result<void> EventLog::State::recover() {
  if (auto made = make_folder(folder); !made) {
    return fail("the events' folder " + folder + " cannot be made: " + std::strerror(made.error()));
  }
  auto names = list_folder(folder);
  if (!names) return fail(folder + " cannot be read: " + std::strerror(names.error()));
  std::erase_if(*names, [](const std::string& name) { return !name.ends_with(kSuffix); });
  for (size_t i = 0; i < names->size(); ++i) {
    auto recovered = recover_segment((*names)[i], i + 1 == names->size());
    if (!recovered) return recovered;
  }
  if (auto started = start_segment(); !started) return started;
  apply_retention();
  return {};
}

// Older segments are trusted to hold what their successor's first number says; only the last one is
// read through, and cut where it stops being good.
Result<void> EventLog::State::recover_segment(const std::string& name, bool last) {
  std::string path = folder + "/" + name;
  auto scanned = scan_event_file(path, last);
  if (!scanned) return std::unexpected(scanned.error());
  if (!scanned->header) {
    // The file was made and its header never became durable: it holds nothing.
    if (last) return remove_file(path) ? Result<void>{} : fail(path + " cannot be removed");
    return fail(path + " is not an event segment of postring");
  }
  if (scanned->header->version > kEventFormatVersion) {
    return fail(path + " was written by a newer postring (events format " +
                std::to_string(scanned->header->version) + "); this one reads up to " +
                std::to_string(kEventFormatVersion));
  }
  if (!segments.empty()) segments.back().changed = scanned->header->created;
  segments.push_back({scanned->header->first, scanned->good_bytes, scanned->header->created, path});
  next_number = std::max(next_number, scanned->header->first);
  if (last) next_number = std::max(next_number, scanned->next);
  durable_end = next_number;
  return {};
}

Result<void> EventLog::State::start_segment() {
  if (file >= 0) close_descriptor(std::exchange(file, -1));
  std::string path = folder + "/" + file_name(next_number);
  // A segment of the same first entry holds no entry: it is begun again.
  if (!segments.empty() && segments.back().first == next_number) {
    (void)remove_file(segments.back().path);
    segments.pop_back();
  }
  EventHeader header{kEventFormatVersion, next_number, loop.wall_now()};
  std::string bytes = encode_event_header(header);
  if (auto written_file = write_whole_file(path, bytes, 0600); !written_file) {
    return fail("the event segment " + path +
                " cannot be made: " + std::strerror(written_file.error()));
  }
  auto opened = open_file(path, OpenMode::read_write);
  if (!opened) return fail(path + " cannot be opened: " + std::strerror(opened.error()));
  file = *opened;
  segments.push_back({next_number, bytes.size(), loop.wall_now(), path});
  return {};
}

void EventLog::State::write_next() {
  if (busy || poisoned || !asked) return;
  asked = false;
  at_work = std::exchange(waiting, {});
  if (raw_entries == 0) return finish(true);
  busy = true;
  if (segments.back().bytes >= options.segment_bytes) {
    next_number -= raw_entries;  // those in `raw` belong to the new segment
    auto started = start_segment();
    next_number += raw_entries;
    if (!started) return fail_all();
    apply_retention();
  }
  block_end = next_number;
  block = encode_event_block(raw, raw_entries, next_number - raw_entries);
  raw.clear();
  raw_entries = 0;
  block_written = 0;
  write_rest();
}

void EventLog::State::write_rest() {
  auto rest = std::as_bytes(std::span(block)).subspan(block_written);
  loop.ring().write(written, file, rest, segments.back().bytes + block_written);
}

void EventLog::State::on_written(int32_t result) {
  if (result <= 0) return fail_all();
  block_written += static_cast<size_t>(result);
  if (block_written < block.size()) return write_rest();
  loop.ring().sync(synced, file, segments.back().bytes, block.size());
}

void EventLog::State::on_synced(int32_t result) {
  if (result < 0) return fail_all();
  segments.back().bytes += block.size();
  segments.back().changed = loop.wall_now();
  durable_end = block_end;
  busy = false;
  finish(true);
  write_next();
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
  for (size_t i = 0; i < segments.size(); ++i) {
    bool holds = i + 1 == segments.size() || segments[i + 1].first > from;
    if (holds) files.push_back({segments[i].path, segments[i].first, segments[i].bytes});
    if (files.size() == 2) break;
  }
  return files;
}

EventLog::EventLog(std::unique_ptr<State> state) : state_(std::move(state)) {}
EventLog::~EventLog() = default;

Result<std::unique_ptr<EventLog>> EventLog::open(Loop& loop, std::string folder,
                                                 EventLogOptions options) {
  auto state = std::make_unique<State>(loop, std::move(folder), options);
  if (auto recovered = state->recover(); !recovered) return std::unexpected(recovered.error());
  return std::unique_ptr<EventLog>(new EventLog(std::move(state)));
}

void EventLog::append(std::string_view entry) {
  State& s = *state_;
  CHECK(!s.closing);
  CHECK(entry.size() <= kEventEntryMax);
  ByteWriter writer(s.raw);
  writer.fixed<uint32_t>(static_cast<uint32_t>(entry.size()));
  writer.raw(entry);
  ++s.raw_entries;
  ++s.next_number;
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
uint64_t EventLog::oldest() const {
  return state_->segments.front().first;
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
  State& s = *state_;
  if (from == 0) from = oldest();
  if (from < oldest()) {
    EventsGone gone{oldest(), oldest() - from};
    s.loop.defer(
        [callback = std::move(callback), gone]() mutable { callback(std::unexpected(gone)); });
    return;
  }
  uint64_t end = s.durable_end;
  s.loop.offload().run([files = s.files_from(from), from, end,
                        bytes_max] { return read_events(files, from, end, bytes_max); },
                       [callback = std::move(callback), alive = s.alive](EventPage page) mutable {
                         if (*alive) callback(std::move(page));
                       });
}

void EventLog::set_retention(Duration keep, uint64_t keep_bytes) {
  state_->options.keep = keep;
  state_->options.keep_bytes = keep_bytes;
  state_->apply_retention();
}

void EventLog::close(std::move_only_function<void(bool)> callback) {
  State& s = *state_;
  sync_soon(std::move(callback));
  s.closing = true;
  s.loop.timers().disarm(s.retention);
}

}  // namespace postring::spool
