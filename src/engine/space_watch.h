// SpaceWatch: whether the spool's file system has as little free as to stop accepting mail.
//
// Looks at once when it is made, then every kSpaceLook in offload. What cannot be read counts as
// enough: the spool itself notices a full disk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "io/loop.h"
#include "io/timers.h"

namespace postring::engine {

constexpr Duration kSpaceLook = Duration::seconds(1);

class SpaceWatch {
 public:
  SpaceWatch(Loop& loop, std::string folder, uint64_t free_bytes_min);
  ~SpaceWatch();
  SpaceWatch(const SpaceWatch&) = delete;
  SpaceWatch& operator=(const SpaceWatch&) = delete;

  bool is_short() const { return is_short_; }

 private:
  void look();

  Loop& loop_;
  std::string folder_;
  uint64_t free_bytes_min_;
  bool is_short_ = false;
  Timer timer_;
  std::shared_ptr<SpaceWatch*> self_;
};

}  // namespace postring::engine
