// Events as the outside sees them: one JSON object, held by event.schema.json.
//
// An event's id follows from what it is about (recipient, attempt, outcome), so that writing it
// again after a crash gives the same id and a reader may drop what it has seen:
//
//     0001000000000007-2-deferred          recipient, attempts, outcome
//     000000000000002a-campaign-complete   campaign
#pragma once

#include <string>

#include "queue/event_facts.h"

namespace postring::reporting {

// "delivered", "deferred", ..., "campaign.complete".
std::string event_type(const queue::EventFacts& facts);

std::string event_id(const queue::EventFacts& facts);

// One JSON object without a line end. Fields that say nothing are left out.
std::string event_json(const queue::EventFacts& facts);

}  // namespace postring::reporting
