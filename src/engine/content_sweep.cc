#include "engine/content_sweep.h"

#include <algorithm>
#include <set>

namespace postring::engine {
namespace {

using queue::ContentId;

// Which of these (in ascending order) a worker needs. What it does not need is marked as going.
std::vector<ContentId> needed_at(Worker& worker, const std::vector<ContentId>& contents) {
  std::set<ContentId> needed;
  for (const auto& [id, info] : worker.campaigns().all()) {
    if (std::ranges::binary_search(contents, info->content)) needed.insert(info->content);
  }
  for (const ContentId& id : contents) {
    bool used = worker.content_use().is_held(id) ||
                std::ranges::any_of(worker.homes(), [&](const auto& home) {
                  return home->needs_content(id);
                });
    if (used) needed.insert(id);
    if (!needed.contains(id)) worker.content_use().set_going(id);
  }
  return {needed.begin(), needed.end()};
}

}  // namespace

ContentSweep::ContentSweep(Worker& worker)
    : worker_(worker), self_(std::make_shared<ContentSweep*>(this)) {
  timer_.bind<&ContentSweep::look>(this);
  arm(kContentsFirstLook);
}

ContentSweep::~ContentSweep() { *self_ = nullptr; }

void ContentSweep::arm(Duration after) {
  worker_.loop().timers().arm(timer_, worker_.loop().now() + after);
}

void ContentSweep::look() {
  if (worker_.stopping()) return;
  worker_.loop().offload().run([store = worker_.content_store()] { return store.list(); },
                               [self = self_](Contents stored) {
                                 if (*self != nullptr) (*self)->ask(std::move(stored));
                               });
}

void ContentSweep::ask(Contents stored) {
  if (worker_.stopping()) return;
  std::ranges::sort(stored);
  // A first look here spares the others nearly all of them.
  std::set<ContentId> unused(stored.begin(), stored.end());
  for (const auto& [id, info] : worker_.campaigns().all()) unused.erase(info->content);
  if (unused.empty()) return arm(kContentsLook);
  Contents asked(unused.begin(), unused.end());
  if (asked.size() > kContentsPerSweep) asked.resize(kContentsPerSweep);
  worker_.ask_all<Contents>(
      [asked](Worker& there, auto reply) { reply(needed_at(there, asked)); },
      [self = self_, asked](std::vector<Contents> needed) {
        if (*self == nullptr) return;
        std::set<ContentId> left(asked.begin(), asked.end());
        for (const Contents& of_worker : needed) {
          for (const ContentId& id : of_worker) left.erase(id);
        }
        (*self)->remove({left.begin(), left.end()});
      });
}

void ContentSweep::remove(Contents unused) {
  if (unused.empty()) return finish();
  worker_.loop().offload().run(
      [store = worker_.content_store(), unused = std::move(unused)] {
        for (const ContentId& id : unused) store.remove(id);
        return true;
      },
      [self = self_](bool) {
        if (*self != nullptr) (*self)->finish();
      });
}

void ContentSweep::finish() {
  worker_.ask_all<bool>(
      [](Worker& there, auto reply) {
        there.content_use().clear_going();
        reply(true);
      },
      [self = self_](std::vector<bool>) {
        if (*self != nullptr) (*self)->arm(kContentsLook);
      });
}

}  // namespace postring::engine
