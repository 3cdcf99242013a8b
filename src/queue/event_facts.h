// EventFacts: everything that is said about one event, before it has a form.
//
// The home of a recipient makes one of every outcome it writes, the registry one when a campaign is
// complete; the exporter gives them their form (reporting/event.h). Self-contained: who reads an
// event needs nothing else to understand it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/units.h"
#include "mail/ids.h"
#include "mail/outcome.h"

namespace postring::queue {

struct EventFacts {
  // What happened to a recipient; empty: the campaign is complete, and only `logged`, `tenant` and
  // `campaign` are set.
  std::optional<Outcome> outcome;

  WallTime queued;  // accepted by us
  WallTime logged;  // written by us

  TenantId tenant = 0;
  std::string tenant_name;  // as the operator named it
  CampaignId campaign = 0;  // 0: a message without a campaign
  BatchId batch = 0;        // 0: a message without a batch
  RecipientId recipient = 0;
  std::string ref;   // the submitter's own, at most 256 bytes
  std::string meta;  // the submitter's own, at most 256 bytes
  std::string address;
  MailClass mail_class = MailClass::bulk;

  // Attempts begun so far, this one included; 0: it never came to one.
  uint32_t attempt = 0;
  Stage stage = Stage::queue;
  Reply reply;

  std::string source;          // name; empty: it never came to one
  std::string remote_host;     // the MX host
  std::string remote_address;  // its IP address
  uint64_t bytes = 0;          // of the message as sent
  Duration duration;           // of the attempt
  WallTime next_attempt;       // of a deferred one
  // The peer may have it twice: the reply to a sent dot was lost, here or in an attempt before.
  bool possible_duplicate = false;
};

}  // namespace postring::queue
