// Leases: how delivery gets its work from a home, and gives the result back.
//
// A home offers a destination (a recipient domain, and the sources its mail may leave from) when
// mail for it becomes ready. Whoever took the offer pulls leases by credit until a pull says that
// there are no more; then the destination is not offered any more, and the next offer comes when
// mail becomes ready again. Every lease ends in exactly one of Home::settle() and
// Home::give_back(); nothing takes it back but that. Leases do not expire.
//
// All of these are values, made to travel between workers.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "mail/ids.h"
#include "mail/outcome.h"
#include "queue/campaign.h"

namespace postring::queue {

// Names a destination at its home. Numbers are used again, with another generation.
struct DestinationId {
  SliceNumber slice = 0;
  uint32_t number = 0;
  uint32_t generation = 0;
  auto operator<=>(const DestinationId&) const = default;
};

struct DestinationOffer {
  DestinationId id;
  std::string domain;                // lower-case A-labels
  std::vector<std::string> sources;  // names; empty: the configuration's default
  // Transactional mail is ready. An offered destination is offered again when the first
  // transactional mail becomes ready in it: the same destination, to be hurried.
  bool transactional = false;
};

// One recipient, to be tried once.
struct Lease {
  RecipientId id = 0;
  CampaignId campaign = 0;  // 0: a message without a campaign
  BatchId batch = 0;
  TenantId tenant = 0;
  MailClass mail_class = MailClass::bulk;
  // The batch is one message that was submitted for several recipients: those of them that go to
  // the same place may share a transaction where its content is the same for all.
  bool shares_message = false;
  uint32_t attempt = 0;  // the number of this attempt, from 1
  ContentId content{};
  WallTime accepted_at;
  WallTime expires_at;  // no MAIL FROM after it
  uint32_t address_bytes = 0;
  uint32_t values_bytes = 0;
  // Address, merge values (mail/values.h) and inline content one after the other.
  std::string bytes;

  std::string_view address() const { return std::string_view(bytes).substr(0, address_bytes); }
  std::string_view values() const {
    return std::string_view(bytes).substr(address_bytes, values_bytes);
  }
  // The compiled content itself where it lies in the record; empty: it is stored under `content`.
  std::string_view inline_content() const {
    return std::string_view(bytes).substr(address_bytes + values_bytes);
  }
};

struct Pulled {
  std::vector<Lease> leases;
  // More is ready: the destination stays offered. False: it is not offered any more.
  bool more = false;
};

// How much of a home's mail stands still because outcomes find no room on a full disk.
enum class SpoolHold : uint8_t {
  none,
  leases,   // there is room for the outcomes of what is leased: nothing more is given
  contents  // outcomes could not be written: no content of its mail may leave until they are
};

// How an attempt ended.
struct Report {
  // delivered, deferred or bounced, or expired: the deadline had passed before MAIL.
  Outcome outcome = Outcome::deferred;
  Stage stage = Stage::queue;
  Reply reply;
  std::string source;          // the one it was tried from: kept over retries
  std::string remote_host;     // the MX host
  std::string remote_address;  // its IP address
  uint64_t bytes = 0;          // of the message as sent
  WallTime started_at;
  Duration duration;
  // The reply to a sent dot was lost: the peer may have it.
  bool possible_duplicate = false;
  // Deferred without having been tried for its own sake (the lane could not connect, ...): no
  // event, the attempt is not counted, and it waits `retry_after` instead of the schedule's time.
  bool not_an_attempt = false;
  // Deferred: wait at least this long (0: what the schedule says).
  Duration retry_after;
};

}  // namespace postring::queue
