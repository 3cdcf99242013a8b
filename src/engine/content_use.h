// ContentUse: what one worker knows of contents that come and go.
//
// Whoever stores a content, or refers to a stored one, holds it from before it looks for the file
// until its reference is where everybody sees it (a campaign, a batch at a home). The sweep asks
// every worker whether a content may go; from then until it is gone nobody can hold it.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "queue/campaign.h"

namespace postring::engine {

class ContentUse {
 public:
  // Ends with its last copy. Null where the content is just being removed: to be tried again.
  using Hold = std::shared_ptr<const queue::ContentId>;
  Hold hold(const queue::ContentId& id) {
    if (going_.contains(id)) return nullptr;
    ++(*held_)[id];
    return {new queue::ContentId(id),
            [weak = std::weak_ptr<Counts>(held_)](const queue::ContentId* held) {
              if (auto counts = weak.lock()) {
                auto counted = counts->find(*held);
                if (--counted->second == 0) counts->erase(counted);
              }
              delete held;
            }};
  }

  bool is_held(const queue::ContentId& id) const { return held_->contains(id); }
  void set_going(const queue::ContentId& id) { going_.insert(id); }
  void clear_going() { going_.clear(); }

 private:
  using Counts = std::map<queue::ContentId, uint32_t>;
  std::shared_ptr<Counts> held_ = std::make_shared<Counts>();
  std::set<queue::ContentId> going_;
};

}  // namespace postring::engine
