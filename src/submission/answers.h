// The API's answers in JSON, as openapi.yaml describes them. Times that are not set, empty texts
// and ids that are 0 are left out.
#pragma once

#include <string>
#include <vector>

#include "submission/backend.h"

namespace postring::submission {

std::string campaign_created_json(const CampaignCreated& created);
std::string campaign_json(const CampaignInfo& campaign);
std::string campaign_page_json(const CampaignPage& page);
std::string command_json(CampaignId id, CampaignCommand command, const CommandResult& result);
std::string batch_json(const BatchInfo& batch);
std::string message_json(const MessageAccepted& message);
std::string recipient_page_json(const RecipientPage& page);
std::string recipients_json(const std::vector<RecipientInfo>& recipients);
std::string erase_json(const EraseResult& result);
std::string events_json(const EventPage& page);

}  // namespace postring::submission
