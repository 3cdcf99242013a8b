// What became of recipients that no home keeps any more, out of the event log.
//
// Used on the control worker. A search goes through the log a piece per turn; one for an address
// goes by its hash, the key of events (spool/event_log.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/control.h"
#include "submission/backend.h"

namespace postring::engine {

// The recipient as its last event tells; nothing where the event is not about one.
std::optional<submission::RecipientInfo> recipient_of_event(std::string_view json);

void find_finished(Control& control, TenantId tenant, const std::string& address,
                   std::move_only_function<void(std::vector<submission::RecipientInfo>)> done);

// A page of query.campaign's recipients that ended in query.state (or in any).
void list_finished(Control& control, const submission::RecipientQuery& query,
                   const std::string& after, submission::Answer<submission::RecipientPage> answer);

}  // namespace postring::engine
