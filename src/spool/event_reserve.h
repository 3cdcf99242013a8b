// EventReserve: space that is set aside for events of outcomes still to come, so that a full disk
// stops submission and not the telling of what happens.
//
// Files of kEventReserveStep bytes that are reserved and not written ("reserve-3"); the event log
// makes segments of them when the disk gives no other room. They are made one at a time in offload,
// tried again every kEventReserveRetry while the disk is full, and taken over from an earlier life.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "base/units.h"
#include "io/loop.h"

namespace postring::spool {

constexpr uint64_t kEventReserveStep = 4u << 20;
constexpr size_t kEventReserveFilesMax = 4'096;
constexpr Duration kEventReserveRetry = Duration::seconds(1);

class EventReserve {
 public:
  EventReserve(Loop& loop, std::string folder);
  ~EventReserve();
  EventReserve(const EventReserve&) = delete;
  EventReserve& operator=(const EventReserve&) = delete;

  // Whether a name in the events' folder is one of the reserve's.
  static bool is_reserve(const std::string& name);
  // A file that an earlier life left.
  void adopt(const std::string& name);

  // Keeps this much, rounded up to files; what is beyond it goes.
  void set_target(uint64_t bytes);
  // A file for the caller to rename; empty where none is left.
  std::string take();
  size_t files() const { return files_.size(); }
  void stop();

 private:
  void advance();
  void make_one();
  void remove_one();

  Loop& loop_;
  std::string folder_;
  std::deque<std::string> files_;  // paths
  uint64_t next_number_ = 1;
  size_t target_ = 0;
  bool busy_ = false;
  bool stopped_ = false;
  Timer retry_;
  std::shared_ptr<EventReserve*> self_;
};

}  // namespace postring::spool
