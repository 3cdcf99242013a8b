// KeyedLog: named values, durable in a log of their own; the newest of a name counts.
//
//   auto log = KeyedLog::open(loop, folder, options, [&](auto key, auto value) { ... });
//   (*log)->put("campaign/1", bytes);
//   (*log)->sync([](bool ok) { ... });       // ok: everything put and erased before is durable
//
// Names and where their values lie are in memory, the values are not: who put them has them. What
// is overwritten or erased is reclaimed, oldest segment first, in the background; not beyond one in
// which a value that counts cannot be read any more. After a failure
// (failed()) every sync says false and nothing is kept any more.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/loop.h"
#include "io/timers.h"
#include "spool/log.h"

namespace postring::engine {

constexpr size_t kWaitingMax = 65'536;

class KeyedLog {
 public:
  using Visitor = std::function<void(std::string_view key, std::string_view value)>;

  // Blocks while it reads; then gives the newest value of every name that is left to the visitor,
  // by name. The error names the file and what is wrong.
  static Result<std::unique_ptr<KeyedLog>> open(Loop& loop, std::string folder,
                                                spool::LogOptions options, const Visitor& visitor);
  ~KeyedLog();

  // False where it cannot be written: the disk is full, or the log failed. While the log prepares
  // room, what is put waits here, in order, at most kWaitingMax records.
  bool put(const std::string& key, std::string_view value);
  bool erase(const std::string& key);
  // The callback runs in a later turn.
  void sync(std::move_only_function<void(bool ok)> callback);
  bool failed() const { return log_->poisoned(); }
  // Called once, soon after it failed, whether anybody asked for a sync or not.
  void when_failed(Job call) { on_failure_ = std::move(call); }
  size_t count() const { return places_.size(); }

  void close(std::move_only_function<void(bool ok)> callback);

 private:
  explicit KeyedLog(Loop& loop);
  void tick();
  bool write(spool::RecordType type, const std::string& key);
  bool append(spool::RecordType type, const std::string& key, std::string_view payload);
  void write_waiting();
  void tell_failure();
  void sync_log(std::move_only_function<void(bool ok)> callback);
  void copy(const spool::RecordView& record);
  bool oldest_is_damaged() const;
  void scanned(bool ok);

  Loop& loop_;
  std::unique_ptr<spool::Log> log_;
  std::map<std::string, spool::Position, std::less<>> places_;
  std::shared_ptr<KeyedLog*> self_;
  std::string scratch_;
  struct Waiting {
    spool::RecordType type;
    std::string key, payload;
  };
  std::deque<Waiting> waiting_;
  std::vector<std::move_only_function<void(bool ok)>> waiting_syncs_;  // for all that waits
  Timer timer_;
  Job on_failure_;
  bool reclaiming_ = false;
  bool copied_all_ = false;
  bool closing_ = false;
  std::move_only_function<void(bool ok)> close_callback_;  // close() waits for what waits
  spool::Position copies_end_;
};

}  // namespace postring::engine
