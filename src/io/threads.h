// Worker threads and their CPUs.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace postring {

// The CPUs this process may run on (its cpuset), ascending.
std::vector<size_t> allowed_cpus();

// A thread with a name, pinned to one CPU. Joins when it goes.
class PinnedThread {
 public:
  // A CPU that is not allowed leaves the thread unpinned.
  PinnedThread(std::string name, size_t cpu, std::function<void()> body);
  ~PinnedThread();
  PinnedThread(const PinnedThread&) = delete;
  PinnedThread& operator=(const PinnedThread&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace postring
