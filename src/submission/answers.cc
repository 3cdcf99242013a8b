#include "submission/answers.h"

#include "base/json_writer.h"
#include "base/time_text.h"
#include "mail/class_text.h"
#include "mail/id_text.h"
#include "mail/status.h"

namespace postring::submission {
namespace {

void id(JsonWriter& json, std::string_view name, uint64_t value) {
  if (value != 0) json.field(name, mail::id_text(value));
}

void time(JsonWriter& json, std::string_view name, WallTime value) {
  if (value.is_set()) json.field(name, rfc3339(value));
}

void counts(JsonWriter& json, const Counts& counts) {
  json.key("counts").object();
  json.field("accepted", counts.accepted).field("delivered", counts.delivered);
  json.field("bounced", counts.bounced).field("expired", counts.expired);
  json.field("cancelled", counts.cancelled).field("waiting", counts.waiting);
  json.field("in_flight", counts.in_flight).field("deferrals", counts.deferrals);
  json.field("duplicate", counts.duplicate).field("rejected", counts.rejected).end();
}

void campaign(JsonWriter& json, const CampaignInfo& campaign) {
  json.object();
  id(json, "id", campaign.id);
  json.field("tenant", campaign.tenant_name).field("name", campaign.name);
  json.field("state", name_of(campaign.state)).field("closed", campaign.closed);
  json.field("class", name_of(campaign.mail_class)).field("content", campaign.content);
  json.key("sources").array();
  for (const std::string& source : campaign.sources) json.value(source);
  json.end();
  time(json, "created_at", campaign.created_at);
  time(json, "start_at", campaign.start_at);
  time(json, "started_at", campaign.started_at);
  time(json, "closed_at", campaign.closed_at);
  time(json, "completed_at", campaign.completed_at);
  counts(json, campaign.counts);
  json.end();
}

void recipient(JsonWriter& json, const RecipientInfo& recipient) {
  json.object();
  id(json, "id", recipient.id);
  id(json, "campaign", recipient.campaign);
  id(json, "batch", recipient.batch);
  json.field("address", recipient.address);
  json.field_unless_empty("ref", recipient.ref).field_unless_empty("meta", recipient.meta);
  json.field("state", name_of(recipient.state));
  if (recipient.mail_class) json.field("class", name_of(*recipient.mail_class));
  json.field("attempts", recipient.attempts);
  time(json, "accepted_at", recipient.accepted_at);
  time(json, "next_attempt_at", recipient.next_attempt_at);
  time(json, "expires_at", recipient.expires_at);
  time(json, "finished_at", recipient.finished_at);
  if (recipient.attempts > 0) {
    json.key("last_attempt").object().field("stage", postring::name_of(recipient.stage));
    if (recipient.reply.code != 0) json.field("code", recipient.reply.code);
    json.field_unless_empty("enhanced_code",
                            mail::enhanced_text(mail::enhanced_of(recipient.reply)));
    json.field_unless_empty("text", recipient.reply.text);
    json.field_unless_empty("source", recipient.source).end();
  }
  json.field_unless_empty("hold", recipient.hold);
  json.end();
}

void recipients(JsonWriter& json, const std::vector<RecipientInfo>& list) {
  json.key("recipients").array();
  for (const RecipientInfo& entry : list) recipient(json, entry);
  json.end();
}

}  // namespace

std::string campaign_created_json(const CampaignCreated& created) {
  JsonWriter json;
  json.object();
  id(json, "id", created.id);
  json.field("state", name_of(created.state));
  time(json, "created_at", created.created_at);
  return json.end().take();
}

std::string campaign_json(const CampaignInfo& info) {
  JsonWriter json;
  campaign(json, info);
  return json.take();
}

std::string campaign_page_json(const CampaignPage& page) {
  JsonWriter json;
  json.object().key("campaigns").array();
  for (const CampaignInfo& info : page.campaigns) campaign(json, info);
  json.end();
  id(json, "next", page.next);
  return json.end().take();
}

std::string command_json(CampaignId campaign_id, CampaignCommand command,
                         const CommandResult& result) {
  JsonWriter json;
  json.object();
  id(json, "id", campaign_id);
  json.field("state", name_of(result.state)).field("closed", result.closed);
  if (command == CampaignCommand::pause || command == CampaignCommand::cancel) {
    bool paused = command == CampaignCommand::pause;
    json.field("sent", result.counts.delivered).field("in_flight", result.counts.in_flight);
    json.field("stopped", paused ? result.counts.waiting : result.counts.cancelled);
  }
  counts(json, result.counts);
  return json.end().take();
}

std::string batch_json(const BatchInfo& batch) {
  JsonWriter json;
  json.object();
  id(json, "id", batch.id);
  id(json, "campaign", batch.campaign);
  time(json, "accepted_at", batch.accepted_at);
  counts(json, batch.counts);
  return json.end().take();
}

std::string message_json(const MessageAccepted& message) {
  JsonWriter json;
  json.object();
  id(json, "batch", message.batch);
  time(json, "accepted_at", message.accepted_at);
  json.key("recipients").array();
  for (RecipientId recipient : message.recipients) json.value(mail::id_text(recipient));
  return json.end().end().take();
}

std::string recipient_page_json(const RecipientPage& page) {
  JsonWriter json;
  json.object();
  recipients(json, page.recipients);
  json.field_unless_empty("next", page.next);
  return json.end().take();
}

std::string recipients_json(const std::vector<RecipientInfo>& list) {
  JsonWriter json;
  json.object();
  recipients(json, list);
  return json.end().take();
}

std::string erase_json(const EraseResult& result) {
  JsonWriter json;
  json.object().field("cancelled", result.cancelled).field("in_flight", result.in_flight);
  return json.end().take();
}

std::string events_json(const EventPage& page) {
  JsonWriter json;
  std::string tail = json.object().field("next", page.next).end().take();
  std::string text;
  text.reserve(page.events.size() + tail.size() + 16);
  text += "{\"events\":[";
  text += page.events;
  text += "],";
  text += std::string_view(tail).substr(1);
  return text;
}

}  // namespace postring::submission
