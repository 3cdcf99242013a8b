#include <pthread.h>
#include <sched.h>

#include <thread>

#include "io/threads.h"

namespace postring {

std::vector<size_t> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<size_t> cpus;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

struct PinnedThread::State {
  std::thread thread;
};

PinnedThread::PinnedThread(std::string name, size_t cpu, std::function<void()> body)
    : state_(std::make_unique<State>()) {
  state_->thread = std::thread([name = std::move(name), cpu, body = std::move(body)] {
    pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
    body();
  });
}

PinnedThread::~PinnedThread() { state_->thread.join(); }

}  // namespace postring
