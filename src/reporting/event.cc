#include "reporting/event.h"

#include "base/json_writer.h"
#include "base/time_text.h"
#include "mail/class_text.h"
#include "mail/id_text.h"
#include "mail/status.h"

namespace postring::reporting {

namespace {

constexpr std::string_view kCampaignComplete = "campaign.complete";

void write_time(JsonWriter& json, std::string_view name, WallTime time) {
  if (time.is_set()) json.field(name, rfc3339(time));
}

void write_id(JsonWriter& json, std::string_view name, uint64_t id) {
  if (id != 0) json.field(name, mail::id_text(id));
}

// A text of UTF-8 that is cut where it is too long, never within a character.
std::string_view cut(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

void write_attempt(JsonWriter& json, const queue::EventFacts& facts) {
  json.field("attempt", facts.attempt).field("stage", name_of(facts.stage));
  if (facts.reply.code != 0) json.field("code", facts.reply.code);
  json.field_unless_empty("enhanced", mail::enhanced_text(mail::enhanced_of(facts.reply)));
  json.field_unless_empty("reply", cut(facts.reply.text, kReplyTextMax));
  json.field_unless_empty("source", facts.source);
  json.field_unless_empty("remote_host", facts.remote_host);
  json.field_unless_empty("remote_address", facts.remote_address);
  if (facts.bytes != 0) json.field("bytes", facts.bytes);
  if (facts.duration.us > 0) json.field("duration_ms", facts.duration.whole_ms());
  write_time(json, "next_attempt", facts.next_attempt);
  if (facts.possible_duplicate) json.field("possible_duplicate", true);
}

}  // namespace

std::string event_type(const queue::EventFacts& facts) {
  return facts.outcome ? name_of(*facts.outcome) : std::string(kCampaignComplete);
}

std::string event_id(const queue::EventFacts& facts) {
  if (!facts.outcome) return mail::id_text(facts.campaign) + "-campaign-complete";
  std::string id = mail::id_text(facts.recipient);
  id.append("-").append(std::to_string(facts.attempt));
  id.append("-").append(name_of(*facts.outcome));
  return id;
}

std::string event_json(const queue::EventFacts& facts) {
  JsonWriter json;
  json.object().field("id", event_id(facts)).field("type", event_type(facts));
  write_time(json, "queued", facts.queued);
  write_time(json, "logged", facts.logged);
  json.field("tenant", facts.tenant_name);
  write_id(json, "campaign", facts.campaign);
  if (facts.outcome) {
    write_id(json, "batch", facts.batch);
    write_id(json, "recipient", facts.recipient);
    json.field_unless_empty("ref", facts.ref).field_unless_empty("meta", facts.meta);
    json.field("address", facts.address).field("class", name_of(facts.mail_class));
    write_attempt(json, facts);
  }
  return json.end().take();
}

}  // namespace postring::reporting
