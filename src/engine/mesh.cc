#include "engine/mesh.h"

#include "base/check.h"
#include "io/loop.h"

namespace postring::engine {

Mesh::Mesh(size_t workers) {
  for (size_t from = 0; from < workers; ++from) {
    auto end = std::make_unique<End>();
    for (size_t to = 0; to < workers; ++to) {
      end->to.push_back(to == from ? nullptr : std::make_unique<Mailbox>(kMailboxJobs));
    }
    end->spilled.resize(workers);
    ends_.push_back(std::move(end));
  }
}

void Mesh::join(size_t worker, Loop& loop) {
  CHECK(ends_[worker]->loop == nullptr);
  ends_[worker]->loop = &loop;
  loop.add_step([this, worker] { return take(worker); });
  loop.add_turn_end([this, worker] { publish(worker); });
}

void Mesh::post(size_t from, size_t to, Job job) {
  End& end = *ends_[from];
  if (to == from) {
    end.loop->defer(std::move(job));
    return;
  }
  // Behind what is spilled already, or the order of the pair would change.
  if (!end.spilled[to].empty() || !end.to[to]->post(job)) {
    end.spilled[to].push_back(std::move(job));
    ++end.backlog;
  }
}

void Mesh::publish(size_t from) {
  End& end = *ends_[from];
  for (size_t to = 0; to < ends_.size(); ++to) {
    if (to == from) continue;
    std::deque<Job>& spilled = end.spilled[to];
    while (!spilled.empty() && end.to[to]->post(spilled.front())) {
      spilled.pop_front();
      --end.backlog;
    }
    if (end.to[to]->publish()) ends_[to]->loop->ring().wake_from(end.loop->ring());
    // The taker makes room without telling: look again next turn.
    if (!spilled.empty()) end.loop->defer([] {});
  }
}

bool Mesh::take(size_t worker) {
  bool more = false;
  for (auto& end : ends_) {
    Mailbox* mailbox = end->to[worker].get();
    if (mailbox == nullptr) continue;
    mailbox->take(kJobsPerTurn);
    more = more || mailbox->waiting();
  }
  return more;
}

}  // namespace postring::engine
