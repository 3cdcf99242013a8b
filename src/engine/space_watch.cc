#include "engine/space_watch.h"

#include "io/file.h"

namespace postring::engine {

SpaceWatch::SpaceWatch(Loop& loop, std::string folder, uint64_t free_bytes_min)
    : loop_(loop),
      folder_(std::move(folder)),
      free_bytes_min_(free_bytes_min),
      self_(std::make_shared<SpaceWatch*>(this)) {
  timer_.bind<&SpaceWatch::look>(this);
  is_short_ = free_space(folder_).value_or(UINT64_MAX) < free_bytes_min_;
  loop_.timers().arm(timer_, loop_.now() + kSpaceLook);
}

SpaceWatch::~SpaceWatch() { *self_ = nullptr; }

void SpaceWatch::look() {
  loop_.offload().run([folder = folder_] { return free_space(folder).value_or(UINT64_MAX); },
                      [self = self_](uint64_t free_bytes) {
                        if (*self == nullptr) return;
                        SpaceWatch& watch = **self;
                        watch.is_short_ = free_bytes < watch.free_bytes_min_;
                        watch.loop_.timers().arm(watch.timer_, watch.loop_.now() + kSpaceLook);
                      });
}

}  // namespace postring::engine
