#include "delivery/contents.h"

#include "base/check.h"

namespace postring::delivery {

namespace {

Result<std::unique_ptr<LoadedContent>> open_content(std::string bytes) {
  auto loaded = std::make_unique<LoadedContent>();
  loaded->bytes = std::move(bytes);
  auto content = mail::Content::load(loaded->bytes);
  if (!content) return std::unexpected(content.error());
  loaded->content = std::move(*content);
  return loaded;
}

}  // namespace

void ContentRef::release() {
  if (loaded_ == nullptr) return;
  CHECK(loaded_->references > 0);
  LoadedContent* loaded = std::exchange(loaded_, nullptr);
  if (--loaded->references > 0) return;
  if (loaded->owner == nullptr)
    delete loaded;
  else
    loaded->owner->shrink();
}

Result<ContentRef> ContentRef::own(std::string_view bytes) {
  auto loaded = open_content(std::string(bytes));
  if (!loaded) return std::unexpected(loaded.error());
  return ContentRef(loaded->release());
}

Contents::Contents(Loop& loop, Load load, size_t bytes_max)
    : loop_(loop),
      load_(std::make_shared<Load>(std::move(load))),
      bytes_max_(bytes_max),
      alive_(std::make_shared<bool>(true)) {}

Contents::~Contents() {
  *alive_ = false;
  for (auto& [id, loaded] : loaded_) CHECK(loaded->references == 0, "a content is still in use");
}

ContentRef Contents::find(const queue::ContentId& id) {
  auto found = loaded_.find(id);
  if (found == loaded_.end()) return {};
  found->second->used = ++uses_;
  return ContentRef(found->second.get());
}

void Contents::fetch(const queue::ContentId& id, Done done) {
  if (ContentRef content = find(id)) {
    loop_.defer([content = std::move(content), done = std::move(done)]() mutable {
      done(std::move(content));
    });
    return;
  }
  auto [waiting, first] = waiting_.try_emplace(id);
  waiting->second.push_back(std::move(done));
  if (!first) return;
  loop_.offload().run(
      [load = load_, id]() -> Result<std::unique_ptr<LoadedContent>> {
        auto bytes = (*load)(id);
        if (!bytes) return std::unexpected(bytes.error());
        return open_content(std::move(*bytes));
      },
      [this, id, alive = alive_](Result<std::unique_ptr<LoadedContent>> loaded) {
        if (*alive) finish(id, std::move(loaded));
      });
}

void Contents::finish(const queue::ContentId& id, Result<std::unique_ptr<LoadedContent>> loaded) {
  auto node = waiting_.extract(id);
  CHECK(!node.empty());
  if (!loaded) {
    for (Done& done : node.mapped()) done(std::unexpected(loaded.error()));
    return;
  }
  (*loaded)->id = id;
  (*loaded)->owner = this;
  (*loaded)->used = ++uses_;
  bytes_ += (*loaded)->bytes.size();
  ContentRef content(loaded->get());
  bool is_new = loaded_.emplace(id, std::move(*loaded)).second;
  CHECK(is_new, "a content that others point to would be replaced");
  for (Done& done : node.mapped()) done(content);
  shrink();
}

void Contents::shrink() {
  while (bytes_ > bytes_max_) {
    const LoadedContent* oldest = nullptr;
    for (const auto& [id, loaded] : loaded_) {
      if (loaded->references > 0) continue;
      if (oldest == nullptr || loaded->used < oldest->used) oldest = loaded.get();
    }
    if (oldest == nullptr) return;
    bytes_ -= oldest->bytes.size();
    queue::ContentId id = oldest->id;
    loaded_.erase(id);
  }
}

}  // namespace postring::delivery
