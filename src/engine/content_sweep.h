// ContentSweep: removes stored contents that nothing refers to any more.
//
// Lives on the control worker. Looks soon after the start (a crash may have left some) and then
// every kContentsLook: lists what is stored, asks every worker which of it a campaign, a message
// or a submission under way needs, and removes the rest. While that lasts, no worker lets a
// submission refer to what is about to go.
#pragma once

#include <memory>
#include <vector>

#include "engine/worker.h"

namespace postring::engine {

constexpr Duration kContentsFirstLook = Duration::seconds(1);
constexpr Duration kContentsLook = Duration::minutes(10);
constexpr size_t kContentsPerSweep = 10'000;  // removed at most; the rest the next time

class ContentSweep {
 public:
  explicit ContentSweep(Worker& worker);
  ~ContentSweep();
  ContentSweep(const ContentSweep&) = delete;
  ContentSweep& operator=(const ContentSweep&) = delete;

 private:
  using Contents = std::vector<queue::ContentId>;

  void look();
  void ask(Contents stored);
  void remove(Contents unused);
  void finish();
  void arm(Duration after);

  Worker& worker_;
  Timer timer_;
  std::shared_ptr<ContentSweep*> self_;
};

}  // namespace postring::engine
