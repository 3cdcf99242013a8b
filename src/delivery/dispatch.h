// Dispatch: delivery on one worker. From a home's offer to the outcome at that home.
//
//   Dispatch dispatch(parts, config);
//   home.set_offer_sink([&](const DestinationOffer& offer) { dispatch.offer(offer); });
//   ...
//   dispatch.stop();  ... until dispatch.stopped(); then homes may be closed
//
// The way of a destination: its home's worker has it (Offers), asks the worker that resolves its
// domain (by hash), and puts it into the lanes (source, site) its mail may take, each on the worker
// that owns the lane (by hash). Lanes pull leases through the home's worker and give each back as
// one outcome. Where DNS does not answer, the destination is held and asked for again; where DNS
// says that it takes no mail, its recipients are bounced, some at a time.
//
// Everything is called on the worker's own thread; the parts must outlive it. Before it goes it
// must have stopped, and no job of it may be under way between workers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "delivery/contents.h"
#include "delivery/counters.h"
#include "delivery/homes.h"
#include "delivery/peers.h"
#include "delivery/status.h"
#include "dns/address_filter.h"
#include "dns/resolver.h"
#include "io/loop.h"
#include "mail/verp.h"
#include "queue/campaign.h"
#include "queue/lease.h"
#include "smtp/session_states.h"
#include "traffic/settings.h"
#include "traffic/sources.h"

namespace postring::delivery {

// One worker's neighbours.
struct DispatchParts {
  Loop& loop;
  Peers& peers;
  Homes& homes;
  const queue::CampaignStates& campaigns;
  dns::Resolver& resolver;
  Contents& contents;
  const mail::VerpKey* verp_key = nullptr;  // must be there where contents use it
};

struct DispatchConfig {
  std::shared_ptr<const traffic::SourceList> sources;
  // Names, of mail that does not say; empty: the first source.
  std::vector<std::string> default_sources;
  std::shared_ptr<const traffic::Rules> rules;
  // Sites whose every address lies in these are not sent to with care.
  std::vector<dns::Network> allowed_networks;
  // An A-label domain; must stay the same for attempts to send the same bytes.
  std::string message_id_domain;
  uint32_t connections_max = 10'000;  // of this worker; keep below the descriptors it may have
  smtp::Timeouts timeouts;
};

// One message, now, past every queue and limit: for `postring try`.
struct TrialRequest {
  std::string address;  // canonical
  std::string content;  // compiled (mail/content_source.h), without fields of the recipient's
  std::string source;   // name; empty: the first default
  WallTime accepted_at;
};

struct TrialResult {
  // One line each: "> " what we said, "< " what the peer said, "* " what happened.
  std::vector<std::string> transcript;
  queue::Report report;
};

class Lane;

class Dispatch {
 public:
  Dispatch(DispatchParts parts, DispatchConfig config);
  ~Dispatch();
  Dispatch(const Dispatch&) = delete;
  Dispatch& operator=(const Dispatch&) = delete;

  // From a home of this worker.
  void offer(const queue::DestinationOffer& offer);

  // From a home of this worker: how much of its mail stands still, until it says so again.
  void hold(SliceNumber slice, queue::SpoolHold hold);

  // Connections go on; new limits hold from now. Lanes whose source has changed finish what they
  // have begun and make room for new ones.
  void reconfigure(DispatchConfig config);

  // Takes no new transaction, waits for the replies to contents that were sent, quits, and gives
  // everything else back.
  void stop();
  // Nothing is leased and no connection is open.
  bool stopped() const;
  // Ends what stop() still waits for: what was sent and not answered is reported as that.
  void abandon();

  // Tries at once what is suspended or held for this domain; every worker must be told.
  void retry_now(std::string_view domain);

  // What holds a destination of this worker's homes. The callback runs once, now or later.
  void explain(const queue::DestinationId& destination,
               std::move_only_function<void(DestinationStatus)> callback);
  // This worker's lanes, the busiest first, at most `limit`.
  std::vector<LaneStatus> lanes(size_t limit) const;
  // Every configured source, as this worker finds it.
  std::vector<SourceStatus> sources() const;
  Counters counters() const;

  void attempt(TrialRequest request, std::move_only_function<void(TrialResult)> callback);

  // The rest is for the Dispatch of other workers and the parts of this one.
  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

}  // namespace postring::delivery
