// The homes' part of a worker's delivery: what its homes offer, and the way it takes.
#include <algorithm>

#include "base/mark.h"
#include "delivery/backoff.h"
#include "delivery/state.h"

namespace postring::delivery {

void Dispatch::State::offer(const queue::DestinationOffer& offer) {
  if (stopping) return;
  auto [found, added] = offered.try_emplace(offer.id);
  Offered& entry = found->second;
  if (added) {
    entry.domain = offer.domain;
    entry.sources = offer.sources;
    entry.transactional = offer.transactional;
    return ask_dns(offer.id);
  }
  entry.offered_again = true;
  if (!offer.transactional) return;
  entry.transactional = true;
  for (const Offered::Place& place : entry.lanes) {
    on_worker(place.worker, [lane = place.lane, id = offer.id](State& there) {
      if (Lane* found_lane = there.find_lane(lane)) found_lane->hurry(id);
    });
  }
}

// At most one question of a destination is under way.
void Dispatch::State::ask_dns(const queue::DestinationId& id) {
  auto found = offered.find(id);
  if (found == offered.end() || found->second.asking_dns || stopping) return;
  Offered& entry = found->second;
  entry.asking_dns = true;
  if (entry.hold == DestinationHold::dns) entry.hold = DestinationHold::resolving;
  auto owner = static_cast<uint32_t>(hash64(entry.domain) % parts.peers.workers());
  on_worker(owner, [home_worker = self, id, domain = entry.domain](State& there) {
    there.resolve_for(home_worker, id, domain);
  });
}

void Dispatch::State::resolved(const queue::DestinationId& id,
                               const dns::ResolutionPtr& resolution) {
  auto found = offered.find(id);
  if (found == offered.end() || stopping) return;
  Offered& entry = found->second;
  entry.asking_dns = false;
  if (resolution->kind == dns::Resolution::Kind::hosts) {
    entry.failures = 0;
    return route(id, entry, resolution);
  }
  if (dns::is_permanent(resolution->kind)) {
    leave_lanes(id, entry);
    entry.hold = DestinationHold::bouncing;
    entry.reason = resolution->reason;
    return bounce(id, resolution);
  }
  ++entry.failures;
  hold(id, entry, resolution->reason, kDnsBackoff.after(entry.failures, parts.loop.random()));
}

void Dispatch::State::hold(const queue::DestinationId& id, Offered& entry, std::string reason,
                           Duration wait) {
  mark(Mark::destination_held);
  entry.until = parts.loop.now() + wait;
  held.emplace(entry.until, id);
  if (!held_timer.armed() || entry.until < held_timer.when())
    parts.loop.timers().arm(held_timer, entry.until);
  // Lanes that have it go on with what they know.
  if (!entry.lanes.empty()) return;
  entry.hold = DestinationHold::dns;
  entry.reason = std::move(reason);
}

void Dispatch::State::on_held_timer() {
  Instant now = parts.loop.now();
  while (!held.empty() && held.begin()->first <= now) {
    auto [until, id] = *held.begin();
    held.erase(held.begin());
    auto found = offered.find(id);
    if (found != offered.end() && found->second.until == until) ask_dns(id);
  }
  if (!held.empty()) parts.loop.timers().arm(held_timer, held.begin()->first);
}

std::vector<throttle::SourceNumber> Dispatch::State::sources_of(const Offered& entry) const {
  const auto& names = entry.sources.empty() ? config.default_sources : entry.sources;
  if (names.empty()) return {0};
  std::vector<throttle::SourceNumber> numbers;
  for (const std::string& name : names)
    if (auto number = config.sources->find(name)) numbers.push_back(*number);
  return numbers;
}

void Dispatch::State::route(const queue::DestinationId& id, Offered& entry,
                            const dns::ResolutionPtr& resolution) {
  std::vector<Offered::Place> places;
  std::string_view mark = config.rules->lane_mark(entry.domain);
  for (throttle::SourceNumber source : sources_of(entry)) {
    throttle::LaneId lane{source, resolution->site};
    if (!mark.empty()) lane.site.append("#").append(mark);
    auto worker = static_cast<uint32_t>(lane.hash() % parts.peers.workers());
    places.push_back({worker, std::move(lane)});
  }
  if (places.empty()) {
    leave_lanes(id, entry);
    std::string names;
    for (const std::string& name : entry.sources) names += (names.empty() ? "'" : "', '") + name;
    return hold(id, entry, "the configuration has no source " + names + "'", kUnknownSourceWait);
  }
  std::vector<Offered::Place> left;
  for (const Offered::Place& place : entry.lanes)
    if (std::ranges::find(places, place) == places.end()) left.push_back(place);
  entry.lanes = std::move(left);
  leave_lanes(id, entry);
  entry.lanes = places;
  entry.hold = DestinationHold::lanes;
  entry.reason.clear();
  Outlet outlet;
  outlet.id = id;
  outlet.home_worker = self;
  outlet.domain = entry.domain;
  outlet.transactional = entry.transactional;
  entry.transactional = false;
  for (const Offered::Place& place : places) {
    on_worker(place.worker, [lane = place.lane, outlet, resolution](State& there) {
      there.add_to_lane(lane, outlet, resolution);
    });
  }
}

void Dispatch::State::leave_lanes(const queue::DestinationId& id, Offered& entry) {
  std::vector<Offered::Place> places;
  places.swap(entry.lanes);
  for (const Offered::Place& place : places) {
    on_worker(place.worker,
              [lane = place.lane, id](State& there) { there.drop_from_lane(lane, id); });
  }
}

void Dispatch::State::bounce(const queue::DestinationId& id, const dns::ResolutionPtr& resolution) {
  ++pulls;
  parts.homes.pull(id, kBouncePullMessages, kPullBytes,
                   [this, id, resolution, alive = alive](queue::Pulled pulled) {
                     if (!*alive) return;
                     --pulls;
                     queue::Report report;
                     report.outcome = Outcome::bounced;
                     report.stage = Stage::dns;
                     report.reply = dns::reply_of(*resolution);
                     report.started_at = parts.loop.wall_now();
                     for (const queue::Lease& lease : pulled.leases) {
                       if (stopping || !parts.campaigns.may_send(lease.campaign)) {
                         parts.homes.give_back(lease.id);
                         ++counters.given_back;
                       } else {
                         parts.homes.settle(lease.id, report);
                         ++counters.bounced;
                       }
                     }
                     if (stopping || !still_offered(id, pulled.more)) return;
                     // In a later turn: a domain may have very many.
                     parts.loop.defer([this, id, resolution, alive = alive] {
                       if (!*alive || stopping) return;
                       auto found = offered.find(id);
                       if (found == offered.end()) return;
                       // A reload or DNS has found a way for it meanwhile.
                       if (found->second.hold != DestinationHold::bouncing) return;
                       if (parts.loop.now() < resolution->expires_at) return bounce(id, resolution);
                       ask_dns(id);
                     });
                   });
}

void Dispatch::State::pull_for(uint32_t lane_worker, uint64_t lane, const queue::DestinationId& id,
                               uint32_t messages_max, uint64_t bytes) {
  if (stopping || !offered.contains(id)) {
    return on_worker(lane_worker, [lane, home_worker = self, id](State& there) {
      there.pulled(lane, home_worker, id, {});
    });
  }
  ++pulls;
  parts.homes.pull(
      id, messages_max, bytes, [this, lane_worker, lane, id, alive = alive](queue::Pulled pulled) {
        if (!*alive) return;
        --pulls;
        pulled.more = still_offered(id, pulled.more);
        on_worker(lane_worker,
                  [lane, home_worker = self, id, pulled = std::move(pulled)](State& there) mutable {
                    there.pulled(lane, home_worker, id, std::move(pulled));
                  });
      });
}

bool Dispatch::State::still_offered(const queue::DestinationId& id, bool more) {
  auto found = offered.find(id);
  if (found == offered.end()) return false;
  bool again = std::exchange(found->second.offered_again, false);
  if (more || again) return true;
  Offered gone = std::move(found->second);
  offered.erase(found);
  leave_lanes(id, gone);
  return false;
}

void Dispatch::State::explain(const queue::DestinationId& id,
                              std::move_only_function<void(DestinationStatus)> callback) {
  struct Gathering {
    DestinationStatus status;
    size_t missing = 0;
    std::move_only_function<void(DestinationStatus)> callback;
  };
  auto gathering = std::make_shared<Gathering>();
  auto found = offered.find(id);
  if (found == offered.end()) return callback(std::move(gathering->status));
  const Offered& entry = found->second;
  DestinationStatus& status = gathering->status;
  status.domain = entry.domain;
  status.hold = entry.hold;
  status.reason = entry.reason;
  if (entry.hold == DestinationHold::dns)
    status.until = parts.loop.wall_now() + (entry.until - parts.loop.now());
  if (entry.lanes.empty()) return callback(std::move(status));
  gathering->callback = std::move(callback);
  gathering->missing = entry.lanes.size();
  // A copy: what comes at once may change the entry.
  std::vector<Offered::Place> places = entry.lanes;
  for (const Offered::Place& place : places) {
    on_worker(place.worker, [lane = place.lane, home_worker = self, gathering](State& there) {
      std::optional<LaneStatus> answer;
      if (Lane* found_lane = there.find_lane(lane)) answer = found_lane->status();
      there.on_worker(home_worker, [gathering, answer = std::move(answer)](State&) {
        if (answer) gathering->status.lanes.push_back(*answer);
        if (--gathering->missing == 0) gathering->callback(std::move(gathering->status));
      });
    });
  }
}

}  // namespace postring::delivery
