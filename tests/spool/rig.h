// What the tests of this folder share: a log in a temporary folder, and turning its loop until
// something is so.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rig_base.h"
#include "spool/log.h"

namespace postring::spool {

// Turns until the condition holds; gives up after 20 s, which fails the test.
inline void turn_until(Loop& loop, const std::function<bool()>& condition) {
  Instant give_up = loop.now() + Duration::seconds(20);
  while (!condition()) {
    ASSERT_LT(loop.now(), give_up) << "the condition was never met";
    loop.turn(loop.now() + Duration::milliseconds(20));
  }
}

struct Found {
  RecordType type;
  std::string payload;
  Position position;
  bool operator==(const Found&) const = default;
};

inline LogOptions small_options() {
  LogOptions options;
  options.slice = 3;
  options.spool_id = 0x1234;
  options.segment_bytes = kSegmentBytesMin;
  options.reserve_segments = 1;
  return options;
}

// A log that is opened, driven and closed in one line each.
class LogRig {
 public:
  explicit LogRig(std::string folder, LogOptions options = small_options(), uint64_t seed = 1)
      : folder_(std::move(folder)), options_(options), loop_(make_loop(seed)) {}
  ~LogRig() {
    if (log_ != nullptr) close();
  }

  // Empty where it worked, else the words of the error.
  std::string open() {
    found.clear();
    auto log = Log::open(*loop_, folder_, options_, [this](const RecordView& record) {
      found.push_back({record.type, std::string(record.payload), record.position});
    });
    if (!log) return log.error().message;
    log_ = std::move(*log);
    return "";
  }
  // The record is appended, as soon as there is room.
  Position append(std::string_view payload, RecordType type = RecordType::entry,
                  Room room = Room::submission) {
    auto position = log_->append(type, payload, room);
    if (!position) {
      turn_until(*loop_, [&] {
        position = log_->append(type, payload, room);
        return position.has_value() || position.error() != AppendError::no_room_yet;
      });
    }
    EXPECT_TRUE(position.has_value()) << name_of(position.error());
    return position.value_or(Position{});
  }
  bool sync() {
    int result = -1;
    log_->sync_soon([&result](bool ok) { result = ok; });
    turn_until(*loop_, [&] { return result >= 0; });
    return result == 1;
  }
  bool close() {
    int result = -1;
    log_->close([&result](bool ok) { result = ok; });
    turn_until(*loop_, [&] { return result >= 0; });
    log_.reset();
    return result == 1;
  }

  Log& log() { return *log_; }
  Loop& loop() { return *loop_; }
  const std::string& folder() const { return folder_; }

  std::vector<Found> found;  // what the last open() recovered

 private:
  std::string folder_;
  LogOptions options_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Log> log_;
};

}  // namespace postring::spool
