#include "engine/event_entry.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "reporting/event.h"

namespace postring::engine {

namespace {

constexpr size_t kHeadBytes = 17;  // before the JSON

}  // namespace

uint32_t event_address_hash(std::string_view address) {
  return static_cast<uint32_t>(hash64(address));
}

std::string encode_event_entry(const queue::EventFacts& facts) {
  std::string json = reporting::event_json(facts);
  uint8_t type = facts.outcome ? static_cast<uint8_t>(*facts.outcome) : kCampaignComplete;
  return encode_event_entry(
      {facts.tenant, facts.campaign, type, event_address_hash(facts.address), json});
}

std::string encode_event_entry(const EventEntry& entry) {
  std::string bytes;
  bytes.reserve(kHeadBytes + entry.json.size());
  ByteWriter writer(bytes);
  writer.fixed<uint32_t>(entry.tenant);
  writer.fixed<uint64_t>(entry.campaign);
  writer.fixed<uint8_t>(entry.type);
  writer.fixed<uint32_t>(entry.address_hash);
  writer.raw(entry.json);
  return bytes;
}

std::optional<EventEntry> decode_event_entry(std::string_view bytes) {
  ByteReader reader(bytes);
  EventEntry entry;
  entry.tenant = reader.fixed<uint32_t>();
  entry.campaign = reader.fixed<uint64_t>();
  entry.type = reader.fixed<uint8_t>();
  entry.address_hash = reader.fixed<uint32_t>();
  entry.json = reader.rest();
  if (!reader.ok()) return std::nullopt;
  return entry;
}

std::optional<uint8_t> event_type_number(std::string_view name) {
  if (name == "campaign.complete") return kCampaignComplete;
  for (uint8_t number = 0; number <= static_cast<uint8_t>(Outcome::cancelled); ++number) {
    if (name == name_of(static_cast<Outcome>(number))) return number;
  }
  return std::nullopt;
}

}  // namespace postring::engine
