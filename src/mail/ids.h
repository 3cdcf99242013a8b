// Ids of what mail is made of. All are unique over time and never reused.
#pragma once

#include <cstdint>

namespace postring {

// The slice it lives in (upper 16 bits) and a counter within it (lower 48, from 1). 0 is none.
using RecipientId = uint64_t;
using CampaignId = uint64_t;  // 0: none
using BatchId = uint64_t;     // slice << 48 | counter, as a recipient's
using TenantId = uint32_t;
using SliceNumber = uint16_t;

constexpr RecipientId make_recipient_id(SliceNumber slice, uint64_t counter) {
  return static_cast<uint64_t>(slice) << 48 | counter;
}
constexpr SliceNumber slice_of(uint64_t id) { return static_cast<SliceNumber>(id >> 48); }

// Priority of mail; a smaller number goes first.
enum class MailClass : uint8_t { transactional = 0, standard = 1, bulk = 2 };

}  // namespace postring
