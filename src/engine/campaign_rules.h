// What may happen to a campaign, and how the registry writes down what it knows: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"
#include "engine/registry.h"
#include "queue/campaign.h"

namespace postring::engine {

// The campaign after the command, or why it cannot be. A command whose effect is there already
// succeeds and changes nothing.
//
//              loading    scheduled  running   paused    cancelled  complete
//     start    running    running    =         refused   refused    refused
//     pause    refused    refused    paused    =         refused    refused
//     resume   refused    refused    =         running   refused    refused
//     close    closed     closed     closed    closed    refused    =
//     cancel   cancelled  cancelled  cancelled cancelled =          refused
Result<queue::CampaignInfo, RegistryError> after_command(const queue::CampaignInfo& before,
                                                         CampaignCommand command, WallTime now);

// Whether batches are taken.
bool takes_recipients(const queue::CampaignInfo& info);

// The state it was in when it was created: what a repeated creation is answered with.
queue::CampaignInfo as_created(queue::CampaignInfo info);

// Bytes for the control log. decode_*() is false for bytes that encode_*() would not have written.
std::string encode_campaign(const queue::CampaignInfo& info);
bool decode_campaign(std::string_view bytes, queue::CampaignInfo& info);
std::string encode_key(const KeyInfo& key);
bool decode_key(std::string_view bytes, KeyInfo& key);

}  // namespace postring::engine
