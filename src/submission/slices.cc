#include "submission/slices.h"

namespace postring::submission {

void Slices::add(std::weak_ptr<Task> task) {
  tasks_.push_back(std::move(task));
  schedule();
}

void Slices::schedule() {
  if (scheduled_ || tasks_.empty()) return;
  scheduled_ = true;
  loop_.defer([this, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) run();
  });
}

void Slices::run() {
  scheduled_ = false;
  while (!tasks_.empty()) {
    auto weak = std::move(tasks_.front());
    tasks_.pop_front();
    if (auto task = weak.lock()) {
      if (task->run_slice()) tasks_.push_back(std::move(weak));
      break;
    }
  }
  schedule();
}

}  // namespace postring::submission
