// Dispatch::State: what a worker's delivery is made of. For the files of this folder only.
//
// Three parts play together, on three workers at most: the homes' (offers.cc) knows what its homes
// offer and where it goes; the domain's (dispatch.cc) asks DNS; the lanes' (dispatch.cc) runs
// lanes. on_worker() brings a call to another worker's State, or makes it at once where that is
// this one.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "delivery/dispatch.h"
#include "delivery/lane.h"
#include "delivery/spool_holds.h"
#include "delivery/trial.h"

namespace postring::delivery {

// Recipients bounced by one pull, where DNS says that a domain takes no mail.
constexpr uint32_t kBouncePullMessages = 64;
// Where a source is named that the configuration does not have.
constexpr Duration kUnknownSourceWait = Duration::minutes(1);
// How soon more descriptors are tried for after the system had none.
constexpr Duration kDescriptorsShortWait = Duration::milliseconds(250);
// While lanes stand in line, idle connections of others are looked for this often.
constexpr Duration kMakeRoomEvery = Duration::milliseconds(20);

// A destination that a home of this worker offers.
struct Offered {
  struct Place {
    uint32_t worker = 0;
    throttle::LaneId lane;
    bool operator==(const Place&) const = default;
  };

  std::string domain;
  std::vector<std::string> sources;
  DestinationHold hold = DestinationHold::resolving;
  bool transactional = false;
  bool asking_dns = false;
  // The home offered it again while it was being pulled: it is not at its end.
  bool offered_again = false;
  uint32_t failures = 0;  // of DNS, in a row
  Instant until;          // held: asked again then
  std::string reason;
  std::vector<Place> lanes;
};

// An end on its way to a home on another worker; without a report it is given back.
struct Ended {
  RecipientId id = 0;
  std::optional<queue::Report> report;
};

struct Dispatch::State final : public LaneHost {
  State(DispatchParts parts, DispatchConfig config);
  ~State() override;

  template <typename Call>
  void on_worker(uint32_t worker, Call call) {
    if (worker == self) return call(*this);
    parts.peers.post(worker, [peers = &parts.peers, worker, call = std::move(call)]() mutable {
      call(peers->dispatch_of(worker).state());
    });
  }

  // ---- the homes' part: offers.cc ----
  void offer(const queue::DestinationOffer& offer);
  void ask_dns(const queue::DestinationId& id);
  void resolved(const queue::DestinationId& id, const dns::ResolutionPtr& resolution);
  void route(const queue::DestinationId& id, Offered& offered,
             const dns::ResolutionPtr& resolution);
  void hold(const queue::DestinationId& id, Offered& offered, std::string reason, Duration wait);
  void bounce(const queue::DestinationId& id, const dns::ResolutionPtr& resolution);
  void leave_lanes(const queue::DestinationId& id, Offered& offered);
  void pull_for(uint32_t lane_worker, uint64_t lane, const queue::DestinationId& id,
                uint32_t messages, uint64_t bytes);
  // What a pull brought: false where the destination is not offered any more.
  bool still_offered(const queue::DestinationId& id, bool more);
  void on_held_timer();
  void explain(const queue::DestinationId& id,
               std::move_only_function<void(DestinationStatus)> callback);
  std::vector<throttle::SourceNumber> sources_of(const Offered& offered) const;

  // ---- the domain's part ----
  void resolve_for(uint32_t home_worker, const queue::DestinationId& id, const std::string& domain);

  // ---- the lanes' part ----
  void add_to_lane(const throttle::LaneId& id, Outlet outlet, const dns::ResolutionPtr& resolution);
  void drop_from_lane(const throttle::LaneId& id, const queue::DestinationId& destination);
  void pulled(uint64_t lane, uint32_t home_worker, const queue::DestinationId& destination,
              queue::Pulled pulled);
  void set_spool_hold(SliceNumber slice, queue::SpoolHold hold);
  Lane* find_lane(uint64_t number);
  Lane* find_lane(const throttle::LaneId& id);
  bool all_in_allowed_networks(const dns::Resolution& resolution) const;
  void retire_lanes_of_other_sources(const DispatchConfig& next);
  void schedule();
  void flush();
  void flush_ended();
  void end_at_home(uint32_t worker, Ended ended);
  void stand_in_line(Lane& lane);
  void let_in_line();
  void on_descriptors_timer();
  void loop_timers_off();

  void touch(Lane& lane) override;
  void pull(Lane& lane, const Outlet& outlet, uint32_t messages, uint64_t bytes) override;
  void reroute(const Outlet& outlet) override;
  void fetch(Lane& lane, const queue::ContentId& id) override;
  void settle(Message* message, queue::Report report) override;
  void give_back(Message* message) override;
  bool take_descriptor(Lane& lane) override;
  void give_back_descriptor(Lane& lane) override;
  void descriptors_short(Lane& lane) override;
  bool descriptors_wanted() const override { return !descriptor_line.empty(); }
  void bury(std::unique_ptr<Connection> connection) override;

  DispatchParts parts;
  DispatchConfig config;
  uint32_t self;
  bool stopping = false;

  std::map<queue::DestinationId, Offered> offered;
  std::multimap<Instant, queue::DestinationId> held;
  Timer held_timer;
  uint64_t pulls = 0;  // asked of this worker's homes and not answered

  Counters counters;
  ScratchPool scratches;
  MessagePool messages;
  traffic::SourceStates source_states;
  SpoolHolds spool_holds;
  LaneParts lane_parts;
  std::map<uint64_t, std::unique_ptr<Lane>> lanes;  // by number
  std::map<throttle::LaneId, uint64_t> lane_numbers;
  uint64_t next_lane = 1;
  std::vector<Lane*> touched;  // none of them can go before its work() was called
  std::vector<std::pair<uint32_t, queue::DestinationId>> reroutes;
  std::vector<std::vector<Ended>> ended;  // by worker
  std::vector<std::unique_ptr<Connection>> buried;
  bool scheduled = false;

  uint32_t descriptors = 0;
  uint32_t descriptors_max;
  std::deque<uint64_t> descriptor_line;  // lanes
  std::map<uint64_t, Lane*> connected;   // lanes with connections, by number
  Timer descriptors_timer;

  std::map<uint64_t, std::unique_ptr<Trial>> trials;
  uint64_t next_trial = 1;

  // Callbacks that come after its end find this false.
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

}  // namespace postring::delivery
