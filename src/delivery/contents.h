// Contents: the compiled contents a worker is sending, loaded once and shared by its messages.
//
//   if (ContentRef content = contents.find(id)) ...           // it is here
//   else contents.fetch(id, [](Result<ContentRef> c) { ... });  // once, in a later turn
//
// Bounded: beyond `bytes_max`, what nobody refers to is dropped, the least recently used first;
// what is referred to stays. References belong to one worker and are not counted atomically; they
// must be gone before the Contents is.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "io/loop.h"
#include "mail/content.h"
#include "queue/campaign.h"

namespace postring::delivery {

constexpr size_t kContentsBytesMax = 256u << 20;

class Contents;

struct LoadedContent {
  std::string bytes;
  mail::Content content;
  queue::ContentId id{};
  Contents* owner = nullptr;  // null: one message's own, gone with its last reference
  uint32_t references = 0;
  uint64_t used = 0;  // order of last use
};

class ContentRef {
 public:
  ContentRef() = default;
  explicit ContentRef(LoadedContent* loaded) : loaded_(loaded) { take(); }
  ContentRef(const ContentRef& other) : loaded_(other.loaded_) { take(); }
  ContentRef(ContentRef&& other) noexcept : loaded_(std::exchange(other.loaded_, nullptr)) {}
  ContentRef& operator=(ContentRef other) noexcept {
    std::swap(loaded_, other.loaded_);
    return *this;
  }
  ~ContentRef() { release(); }

  // A content of its own, for one message: `bytes` as compiled.
  static Result<ContentRef> own(std::string_view bytes);

  explicit operator bool() const { return loaded_ != nullptr; }
  const mail::Content& operator*() const { return loaded_->content; }
  const mail::Content* operator->() const { return &loaded_->content; }

 private:
  void take() {
    if (loaded_ != nullptr) ++loaded_->references;
  }
  void release();

  LoadedContent* loaded_ = nullptr;
};

class Contents {
 public:
  // Gives the compiled bytes; called on a helper thread.
  using Load = std::function<Result<std::string>(const queue::ContentId& id)>;
  using Done = std::move_only_function<void(Result<ContentRef> content)>;

  Contents(Loop& loop, Load load, size_t bytes_max = kContentsBytesMax);
  ~Contents();
  Contents(const Contents&) = delete;
  Contents& operator=(const Contents&) = delete;

  ContentRef find(const queue::ContentId& id);
  // Asks once for all who wait. A failed load is not remembered: the next fetch tries again.
  void fetch(const queue::ContentId& id, Done done);

  size_t bytes() const { return bytes_; }
  size_t loaded() const { return loaded_.size(); }

 private:
  friend class ContentRef;

  void finish(const queue::ContentId& id, Result<std::unique_ptr<LoadedContent>> loaded);
  void shrink();

  Loop& loop_;
  std::shared_ptr<Load> load_;
  size_t bytes_max_;
  size_t bytes_ = 0;
  uint64_t uses_ = 0;
  std::map<queue::ContentId, std::unique_ptr<LoadedContent>> loaded_;
  std::map<queue::ContentId, std::vector<Done>> waiting_;
  std::shared_ptr<bool> alive_;
};

}  // namespace postring::delivery
