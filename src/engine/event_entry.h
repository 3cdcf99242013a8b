// An event as the event log keeps it: what a reader filters by in front, then the JSON object.
//
//     tenant:u32 campaign:u64 type:u8 address_hash:u32 json
//
// The filter needs no parsing of JSON. The hash of the address is the entry's key in the log, too,
// so that a look-up finds it there.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mail/ids.h"
#include "queue/event_facts.h"
#include "spool/record.h"

namespace postring::engine {

// The outcome's number, or this.
constexpr uint8_t kCampaignComplete = 255;

struct EventEntry {
  TenantId tenant = 0;
  CampaignId campaign = 0;
  uint8_t type = 0;
  uint32_t address_hash = 0;
  std::string_view json;
};

uint32_t event_address_hash(std::string_view address);

std::string encode_event_entry(const queue::EventFacts& facts);
std::string encode_event_entry(const EventEntry& entry);
std::optional<EventEntry> decode_event_entry(std::string_view bytes);

// The type's number by its name ("delivered", "campaign.complete"); nothing for an unknown one.
std::optional<uint8_t> event_type_number(std::string_view name);

// Events of one worker on their way to the event log, and how far their slices are kept with them.
struct EventBatch {
  std::vector<std::string> events;
  uint64_t bytes = 0;
  size_t entries = 0;
  std::map<SliceNumber, spool::Position> ends;
};

}  // namespace postring::engine
