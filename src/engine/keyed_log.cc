#include "engine/keyed_log.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/mark.h"
#include "spool/records.h"

namespace postring::engine {
namespace {

constexpr Duration kReclaimLook = Duration::seconds(5);
// Fewer segments are not worth the copying.
constexpr size_t kSegmentsKept = 3;

}  // namespace

KeyedLog::KeyedLog(Loop& loop) : loop_(loop), self_(std::make_shared<KeyedLog*>(this)) {
  timer_.bind<&KeyedLog::tick>(this);
}

KeyedLog::~KeyedLog() = default;

Result<std::unique_ptr<KeyedLog>> KeyedLog::open(Loop& loop, std::string folder,
                                                 spool::LogOptions options,
                                                 const Visitor& visitor) {
  std::unique_ptr<KeyedLog> keyed(new KeyedLog(loop));
  std::map<std::string, std::string, std::less<>> values;
  std::string wrong;
  auto log = spool::Log::open(loop, folder, options, [&](const spool::RecordView& view) {
    if (view.type == spool::Entry::kType) {
      spool::Entry entry;
      if (!decode(view.payload, entry)) {
        wrong = "an entry that this version does not understand";
        return;
      }
      values[std::string(entry.key)] = entry.value;
      keyed->places_[std::string(entry.key)] = view.position;
    } else if (view.type == spool::EntryErased::kType) {
      spool::EntryErased entry;
      if (!decode(view.payload, entry)) {
        wrong = "an erasure that this version does not understand";
        return;
      }
      std::string key(entry.key);
      values.erase(key);
      keyed->places_.erase(key);
    }
  });
  if (!log) return std::unexpected(log.error());
  if (!wrong.empty()) return fail(folder + ": " + wrong);
  keyed->log_ = std::move(*log);
  const auto& damage = keyed->log_->recovery().damage;
  if (!damage.empty()) return fail(damage.front().file + ": " + damage.front().what);
  for (const auto& [key, value] : values) visitor(key, value);
  loop.timers().arm(keyed->timer_, loop.now() + kReclaimLook);
  return keyed;
}

bool KeyedLog::put(const std::string& key, std::string_view value) {
  scratch_.clear();
  spool::encode(spool::Entry{key, value}, scratch_);
  return write(spool::Entry::kType, key);
}

bool KeyedLog::erase(const std::string& key) {
  if (waiting_.empty() && !places_.contains(key)) return true;
  scratch_.clear();
  spool::encode(spool::EntryErased{key}, scratch_);
  return write(spool::EntryErased::kType, key);
}

// What is in scratch_, now or when there is room.
bool KeyedLog::write(spool::RecordType type, const std::string& key) {
  if (closing_) return false;
  if (waiting_.empty() && append(type, key, scratch_)) return true;
  bool room_comes = !log_->poisoned() && !log_->disk_full();
  if (!room_comes || waiting_.size() == kWaitingMax) return false;
  mark(Mark::control_write_waited);
  waiting_.push_back({type, key, scratch_});
  if (waiting_.size() > 1) return true;
  log_->when_room([weak = std::weak_ptr<KeyedLog*>(self_)] {
    if (auto self = weak.lock()) (*self)->write_waiting();
  });
  return true;
}

bool KeyedLog::append(spool::RecordType type, const std::string& key, std::string_view payload) {
  auto place = log_->append(type, payload, spool::Room::outcome);
  if (!place) return false;
  if (type == spool::Entry::kType) {
    places_[key] = *place;
  } else {
    places_.erase(key);
  }
  return true;
}

void KeyedLog::write_waiting() {
  while (!waiting_.empty()) {
    const Waiting& next = waiting_.front();
    if (!append(next.type, next.key, next.payload)) break;
    waiting_.pop_front();
  }
  bool stuck = log_->poisoned() || log_->disk_full();
  if (!waiting_.empty() && !stuck) {
    log_->when_room([weak = std::weak_ptr<KeyedLog*>(self_)] {
      if (auto self = weak.lock()) (*self)->write_waiting();
    });
    return;
  }
  bool all_written = waiting_.empty();
  waiting_.clear();
  for (auto& callback : std::exchange(waiting_syncs_, {})) {
    if (all_written) {
      sync_log(std::move(callback));
    } else {
      loop_.defer([callback = std::move(callback)]() mutable { callback(false); });
    }
  }
  if (close_callback_) log_->close(std::move(close_callback_));
}

void KeyedLog::sync(std::move_only_function<void(bool ok)> callback) {
  if (waiting_.empty()) return sync_log(std::move(callback));
  waiting_syncs_.push_back(std::move(callback));
}

void KeyedLog::sync_log(std::move_only_function<void(bool ok)> callback) {
  log_->sync_soon([weak = std::weak_ptr<KeyedLog*>(self_), callback = std::move(callback)](
                      bool ok) mutable {
    callback(ok);
    if (auto self = weak.lock()) (*self)->tell_failure();
  });
}

void KeyedLog::tell_failure() {
  if (failed() && on_failure_) std::exchange(on_failure_, nullptr)();
}

// An erasure need not be copied: nothing older than the oldest segment could bring its name back.
void KeyedLog::copy(const spool::RecordView& record) {
  spool::Entry entry;
  if (record.type != spool::Entry::kType || !decode(record.payload, entry)) return;
  auto known = places_.find(entry.key);
  if (known == places_.end() || known->second != record.position) return;
  // The scan goes on to its end while the log closes.
  if (closing_) return;
  auto place = log_->append(spool::Entry::kType, record.payload, spool::Room::reclaim);
  if (!place) {
    copied_all_ = false;
    return;
  }
  known->second = *place;
  copies_end_ = *place;
}

// Whether a value that counts was not among what could be read of the oldest segment.
bool KeyedLog::oldest_is_damaged() const {
  auto oldest = log_->oldest();
  return oldest && std::ranges::any_of(places_, [&](const auto& entry) {
           return entry.second.segment == oldest->sequence;
         });
}

void KeyedLog::scanned(bool ok) {
  // It is kept, and reclaim ends here: the next start names the damage.
  if (ok && copied_all_ && !closing_ && oldest_is_damaged()) return;
  if (!ok || !copied_all_ || closing_) {
    reclaiming_ = false;
    return;
  }
  std::weak_ptr<KeyedLog*> weak = self_;
  log_->sync_soon([weak](bool synced) {
    auto self = weak.lock();
    if (!self) return;
    KeyedLog& keyed = **self;
    if (!synced) return keyed.tell_failure();
    if (keyed.closing_) return;
    mark(Mark::control_reclaimed);
    keyed.log_->unlink_oldest(keyed.copies_end_, [weak](bool) {
      if (auto again = weak.lock()) (*again)->reclaiming_ = false;
    });
  });
}

void KeyedLog::tick() {
  if (closing_) return;
  // What was put without a sync: nobody else would learn of it.
  if (failed()) return tell_failure();
  loop_.timers().arm(timer_, loop_.now() + kReclaimLook);
  auto oldest = log_->oldest();
  if (reclaiming_ || !oldest || !oldest->sealed || log_->segment_count() <= kSegmentsKept) return;
  reclaiming_ = true;
  copied_all_ = true;
  copies_end_ = {};
  std::weak_ptr<KeyedLog*> weak = self_;
  log_->for_each_record(
      oldest->sequence, [this](const spool::RecordView& record) { copy(record); },
      [weak](bool ok) {
        if (auto self = weak.lock()) (*self)->scanned(ok);
      });
}

void KeyedLog::close(std::move_only_function<void(bool ok)> callback) {
  closing_ = true;
  if (waiting_.empty()) return log_->close(std::move(callback));
  close_callback_ = std::move(callback);
}

}  // namespace postring::engine
