// Homes: the homes of one worker as delivery uses them (see queue/lease.h for the rules). Called on
// that worker only, with ids of its own slices.
#pragma once

#include <cstdint>
#include <functional>

#include "mail/ids.h"
#include "queue/lease.h"

namespace postring::delivery {

class Homes {
 public:
  virtual ~Homes() = default;

  // The callback runs once, at once or in a later turn.
  virtual void pull(const queue::DestinationId& destination, uint32_t messages, uint64_t bytes,
                    std::move_only_function<void(queue::Pulled)> callback) = 0;
  virtual void settle(RecipientId recipient, queue::Report report) = 0;
  virtual void give_back(RecipientId recipient) = 0;
};

}  // namespace postring::delivery
