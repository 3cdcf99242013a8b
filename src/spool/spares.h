// Spares: segments that stand ready before they are needed.
//
// One is prepared at a time: the file is preallocated and filled with zeros in offload, its header
// is written and synced on the ring, then it gets its name and the folder is synced, in offload. A
// spare left by an earlier life is taken over where it has the right size and is all zero behind
// its header, and made anew otherwise. When the disk takes no more, the preparation is tried again
// every kSpareRetry and after poke().
//
// Besides, space can be set aside at little cost: files of a segment's size that are reserved and
// not written ("reserve-0000000001.new"). When the disk is full, they become spares; those of an
// earlier life are taken over, and where some are missing, a segment that is over becomes one
// (keeps_next()): on a disk that others fill, what is given back is gone.
//
// The owner ends it with stop() and destroys it when it is not busy().
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/units.h"
#include "io/loop.h"
#include "spool/record.h"

namespace postring::spool {

constexpr Duration kSpareRetry = Duration::seconds(1);

struct Spare {
  SegmentHeader header;
  std::string path;
  int file = -1;  // open for reading and writing; whoever takes the spare closes it
};

class Spares {
 public:
  // `pattern` gives slice, spool and size of what is made. `changed` is called from the loop when
  // a spare became ready or the disk turned out to be full.
  Spares(Loop& loop, std::string folder, const SegmentHeader& pattern, uint32_t next_sequence,
         std::function<void()> changed);
  ~Spares();
  Spares(const Spares&) = delete;
  Spares& operator=(const Spares&) = delete;

  // A segment file without records, with a sequence below next_sequence; in order.
  void adopt(const std::string& path, const SegmentHeader& header);
  // A reserved file of an earlier life; false: it is not one of a segment's size.
  bool adopt_reserved(const std::string& path);
  // Prepares until so many are ready.
  void set_target(size_t target);
  // Keeps so many reserved files, and one ahead of the next call. Before the first call none goes.
  void set_reserved_target(size_t target);
  // The disk is full and files are missing: one of a segment's size that is no longer needed is
  // better renamed to reserve_path(), its folder synced, and given to keep(), than removed.
  bool keeps_next() const;
  std::string reserve_path();
  void keep(const std::string& path);
  void poke();

  size_t ready() const { return ready_.size(); }
  size_t reserved() const { return reserved_.size(); }
  bool enough_reserved() const { return reserved_.size() >= reserved_target_; }
  Spare take();
  // The last preparation failed for want of space.
  bool disk_full() const { return disk_full_; }
  // What the last preparation failed with, an errno; 0: it did not.
  int error() const { return error_; }

  void stop();
  bool busy() const { return step_ != Step::idle; }

 private:
  enum class Step : uint8_t {
    idle,
    adopting,
    allocating,
    heading,
    syncing,
    naming,
    reserving,
    releasing
  };
  struct Adopted {
    std::string path;
    SegmentHeader header;
  };

  void advance();
  void start_adopting();
  void on_adopted(Result<int, int> file);
  void remake_adopted();
  void begin_segment();
  void start_allocating();
  void start_reserving();
  void on_reserved(const std::string& path, Result<void, int> result);
  void start_releasing();
  void on_allocated(Result<int, int> file);
  void on_headed(int32_t result);
  void on_synced(int32_t result);
  void on_named(Result<void, int> result);
  void on_retry();
  void fail_with(int error);
  // Runs `work` in offload, and `done` if this is still there.
  template <typename Work, typename Done>
  void offload(Work work, Done done);

  Loop& loop_;
  std::string folder_;
  SegmentHeader pattern_;
  uint32_t next_sequence_;
  std::function<void()> changed_;
  size_t target_ = 0;
  size_t reserved_target_ = 0;
  bool reserved_target_known_ = false;
  uint32_t next_reserve_ = 1;
  std::deque<std::string> reserved_;  // their paths
  bool made_of_reserve_ = false;      // what is being made
  bool stopped_ = false;
  bool disk_full_ = false;
  int error_ = 0;
  Step step_ = Step::idle;
  std::deque<Adopted> adopted_;
  std::deque<Spare> ready_;
  Spare making_;
  std::string header_bytes_;
  Completion completion_;
  Timer retry_;
  std::shared_ptr<Spares*> self_;
};

}  // namespace postring::spool
