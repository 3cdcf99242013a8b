#include "delivery/dispatch.h"

#include <algorithm>

#include "base/mark.h"
#include "delivery/state.h"

namespace postring::delivery {

Dispatch::Dispatch(DispatchParts parts, DispatchConfig config)
    : state_(std::make_unique<State>(parts, std::move(config))) {}

Dispatch::~Dispatch() = default;

void Dispatch::offer(const queue::DestinationOffer& offer) {
  state_->offer(offer);
}

void Dispatch::hold(SliceNumber slice, queue::SpoolHold hold) {
  State& s = *state_;
  for (uint32_t worker = 0; worker < s.parts.peers.workers(); ++worker)
    s.on_worker(worker, [slice, hold](State& there) { there.set_spool_hold(slice, hold); });
}

void Dispatch::reconfigure(DispatchConfig config) {
  State& s = *state_;
  CHECK(config.sources != nullptr);
  CHECK(config.rules != nullptr);
  s.retire_lanes_of_other_sources(config);
  s.config = std::move(config);
  s.source_states = traffic::SourceStates(s.config.sources->size());
  s.descriptors_max = s.config.connections_max;
  // Everything finds its lane again, by the new sources, rules and routes.
  std::vector<queue::DestinationId> ids;
  for (auto& [id, entry] : s.offered) ids.push_back(id);
  for (const queue::DestinationId& id : ids) s.ask_dns(id);
}

void Dispatch::stop() {
  State& s = *state_;
  if (s.stopping) return;
  s.stopping = true;
  s.offered.clear();
  s.held.clear();
  s.loop_timers_off();
  for (auto& [number, lane] : s.lanes) lane->stop();
  for (auto& [number, trial] : s.trials) trial->abandon();
  s.schedule();
}

bool Dispatch::stopped() const {
  const State& s = *state_;
  return s.stopping && s.lanes.empty() && s.trials.empty() && s.pulls == 0 && s.buried.empty() &&
         s.messages.used() == 0 &&
         std::ranges::all_of(s.ended, [](const auto& ended) { return ended.empty(); });
}

void Dispatch::abandon() {
  State& s = *state_;
  for (auto& [number, lane] : s.lanes) lane->abandon();
  for (auto& [number, trial] : s.trials) trial->abandon();
  s.schedule();
}

void Dispatch::retry_now(std::string_view domain) {
  State& s = *state_;
  std::vector<queue::DestinationId> ids;
  for (auto& [id, entry] : s.offered)
    if (entry.domain == domain) ids.push_back(id);
  for (const queue::DestinationId& id : ids) s.ask_dns(id);
  for (auto& [number, lane] : s.lanes)
    if (lane->serves(domain)) lane->retry_now();
}

void Dispatch::explain(const queue::DestinationId& destination,
                       std::move_only_function<void(DestinationStatus)> callback) {
  state_->explain(destination, std::move(callback));
}

std::vector<LaneStatus> Dispatch::lanes(size_t limit) const {
  std::vector<LaneStatus> statuses;
  for (const auto& [number, lane] : state_->lanes) statuses.push_back(lane->status());
  std::ranges::stable_sort(statuses, [](const LaneStatus& a, const LaneStatus& b) {
    if (a.connections != b.connections) return a.connections > b.connections;
    return a.destinations > b.destinations;
  });
  if (statuses.size() > limit) statuses.resize(limit);
  return statuses;
}

std::vector<SourceStatus> Dispatch::sources() const {
  const State& s = *state_;
  Instant now = s.parts.loop.now();
  std::vector<SourceStatus> all;
  for (size_t i = 0; i < s.config.sources->size(); ++i) {
    auto number = static_cast<throttle::SourceNumber>(i);
    const traffic::Source& source = (*s.config.sources)[number];
    SourceStatus& status = all.emplace_back();
    status.name = source.name;
    if (source.address.family != IpAddress::Family::none) status.address = source.address.text();
    status.ehlo_name = source.ehlo_name;
    status.stopped = !s.source_states.usable(number, now);
    if (!status.stopped) continue;
    status.reason = s.source_states.reason(number, now);
    status.until = s.parts.loop.wall_now() + (s.source_states.usable_at(number, now) - now);
  }
  return all;
}

Counters Dispatch::counters() const {
  const State& s = *state_;
  Counters counters = s.counters;
  counters.connections = s.descriptors;
  counters.lanes = s.lanes.size();
  for (const auto& [number, lane] : s.lanes) counters.lanes_suspended += lane->suspended();
  counters.destinations = s.offered.size();
  for (const auto& [id, entry] : s.offered)
    counters.destinations_held += entry.hold == DestinationHold::dns;
  counters.leases = s.messages.used();
  return counters;
}

void Dispatch::attempt(TrialRequest request, std::move_only_function<void(TrialResult)> callback) {
  State& s = *state_;
  uint64_t number = s.next_trial++;
  auto done = [&s, callback = std::move(callback)](TrialResult result) mutable {
    s.schedule();  // which forgets it
    callback(std::move(result));
  };
  auto trial = std::make_unique<Trial>(s.parts, s.config, s.scratches, s.messages,
                                       std::move(request), std::move(done));
  Trial& started = *trial;
  s.trials[number] = std::move(trial);
  started.start();
}

// ------------------------------------------------------------------------------------------- State

Dispatch::State::State(DispatchParts its_parts, DispatchConfig its_config)
    : parts(its_parts),
      config(std::move(its_config)),
      self(parts.peers.self()),
      source_states(config.sources->size()),
      lane_parts{parts.loop, *this,         parts.campaigns, parts.contents, scratches,
                 messages,   source_states, counters,        parts.verp_key, spool_holds},
      ended(parts.peers.workers()),
      descriptors_max(config.connections_max) {
  CHECK(config.rules != nullptr);
  CHECK(descriptors_max > 0);
  held_timer.bind<&State::on_held_timer>(this);
  descriptors_timer.bind<&State::on_descriptors_timer>(this);
}

Dispatch::State::~State() {
  *alive = false;
}

void Dispatch::State::loop_timers_off() {
  parts.loop.timers().disarm(held_timer);
  parts.loop.timers().disarm(descriptors_timer);
}

void Dispatch::State::resolve_for(uint32_t home_worker, const queue::DestinationId& id,
                                  const std::string& domain) {
  parts.resolver.resolve(
      domain, parts.loop.now(),
      [this, home_worker, id, alive = alive](const dns::ResolutionPtr& resolution) {
        if (!*alive) return;
        on_worker(home_worker, [id, resolution](State& there) { there.resolved(id, resolution); });
      });
}

// ------------------------------------------------------------------------------------------- lanes

Lane* Dispatch::State::find_lane(uint64_t number) {
  auto found = lanes.find(number);
  return found == lanes.end() ? nullptr : found->second.get();
}

Lane* Dispatch::State::find_lane(const throttle::LaneId& id) {
  auto found = lane_numbers.find(id);
  return found == lane_numbers.end() ? nullptr : find_lane(found->second);
}

bool Dispatch::State::all_in_allowed_networks(const dns::Resolution& resolution) const {
  auto allowed = [this](const IpAddress& ip) {
    return std::ranges::any_of(config.allowed_networks,
                               [&](const dns::Network& network) { return network.contains(ip); });
  };
  return std::ranges::all_of(resolution.hosts, [&](const dns::MailHost& host) {
    return std::ranges::all_of(host.addresses, allowed);
  });
}

void Dispatch::State::add_to_lane(const throttle::LaneId& id, Outlet outlet,
                                  const dns::ResolutionPtr& resolution) {
  // A worker that has not heard of a new configuration yet may know fewer sources.
  if (stopping) return;
  if (id.source >= config.sources->size()) return reroute(outlet);
  std::vector<std::string> hosts;
  for (const dns::MailHost& host : resolution->hosts) hosts.push_back(host.name);
  traffic::Settings settings =
      config.rules->for_site(outlet.domain, hosts, all_in_allowed_networks(*resolution));
  Lane* lane = find_lane(id);
  if (lane == nullptr) {
    uint64_t number = next_lane++;
    auto made = std::make_unique<Lane>(lane_parts, number, id, config, settings, resolution);
    lane = made.get();
    lanes[number] = std::move(made);
    lane_numbers[id] = number;
  }
  lane->add(std::move(outlet), resolution, settings);
}

void Dispatch::State::drop_from_lane(const throttle::LaneId& id,
                                     const queue::DestinationId& destination) {
  if (Lane* lane = find_lane(id)) lane->drop(destination);
}

void Dispatch::State::set_spool_hold(SliceNumber slice, queue::SpoolHold hold) {
  bool stopped = spool_holds.of(slice) == queue::SpoolHold::contents;
  spool_holds.set(slice, hold);
  if (!stopped && hold != queue::SpoolHold::contents) return;
  for (auto& [number, lane] : lanes) lane->holds_changed();
}

void Dispatch::State::pulled(uint64_t number, uint32_t home_worker,
                             const queue::DestinationId& destination, queue::Pulled pulled) {
  counters.pulled += pulled.leases.size();
  Lane* lane = find_lane(number);
  CHECK(lane != nullptr, "a lane is gone though a pull was under way");
  lane->pulled(destination, std::move(pulled));
  static_cast<void>(home_worker);
}

void Dispatch::State::retire_lanes_of_other_sources(const DispatchConfig& next) {
  std::vector<Lane*> retiring;
  for (auto& [id, number] : lane_numbers) {
    const traffic::Source& before = (*config.sources)[id.source];
    bool same = id.source < next.sources->size() && (*next.sources)[id.source] == before &&
                next.message_id_domain == config.message_id_domain;
    if (!same) retiring.push_back(find_lane(number));
  }
  for (Lane* lane : retiring) {
    lane_numbers.erase(lane->id());
    lane->retire();
  }
}

// ------------------------------------------------------------------------------- a turn's last
// work

void Dispatch::State::schedule() {
  if (scheduled) return;
  scheduled = true;
  parts.loop.defer([this, alive = alive] {
    if (*alive) flush();
  });
}

void Dispatch::State::flush() {
  scheduled = false;
  std::vector<std::unique_ptr<Connection>> dead;
  dead.swap(buried);
  std::vector<std::pair<uint32_t, queue::DestinationId>> asking;
  asking.swap(reroutes);
  for (auto& [home_worker, id] : asking)
    on_worker(home_worker, [id = id](State& there) { there.ask_dns(id); });
  std::vector<Lane*> working;
  working.swap(touched);
  for (Lane* lane : working) {
    lane->touched = false;
    lane->work();
    if (!lane->may_go() || lane->touched) continue;
    auto named = lane_numbers.find(lane->id());
    if (named != lane_numbers.end() && named->second == lane->number()) lane_numbers.erase(named);
    lanes.erase(lane->number());
  }
  std::erase_if(trials, [](const auto& trial) { return trial.second->over(); });
  flush_ended();
}

void Dispatch::State::flush_ended() {
  for (uint32_t worker = 0; worker < ended.size(); ++worker) {
    if (ended[worker].empty()) continue;
    std::vector<Ended> batch;
    batch.swap(ended[worker]);
    on_worker(worker, [batch = std::move(batch)](State& there) mutable {
      for (Ended& one : batch) {
        if (one.report) {
          there.parts.homes.settle(one.id, std::move(*one.report));
        } else {
          there.parts.homes.give_back(one.id);
        }
      }
    });
  }
}

void Dispatch::State::touch(Lane& lane) {
  if (!lane.touched) {
    lane.touched = true;
    touched.push_back(&lane);
  }
  schedule();
}

void Dispatch::State::pull(Lane& lane, const Outlet& outlet, uint32_t count, uint64_t bytes) {
  on_worker(outlet.home_worker,
            [lane_worker = self, number = lane.number(), id = outlet.id, count,
             bytes](State& there) { there.pull_for(lane_worker, number, id, count, bytes); });
}

void Dispatch::State::reroute(const Outlet& outlet) {
  mark(Mark::rerouted);
  reroutes.emplace_back(outlet.home_worker, outlet.id);
  schedule();
}

void Dispatch::State::fetch(Lane& lane, const queue::ContentId& id) {
  parts.contents.fetch(
      id, [this, number = lane.number(), id, alive = alive](const Result<ContentRef>& content) {
        if (!*alive) return;
        if (Lane* waiting = find_lane(number)) waiting->content_came(id, content);
      });
}

void Dispatch::State::settle(Message* message, queue::Report report) {
  switch (report.outcome) {
    case Outcome::delivered:
      ++counters.delivered;
      break;
    case Outcome::bounced:
      ++counters.bounced;
      break;
    case Outcome::expired:
      ++counters.expired;
      break;
    default:
      ++counters.deferred;
      break;
  }
  end_at_home(message->home_worker, {message->lease.id, std::move(report)});
  messages.give_back(message);
}

void Dispatch::State::give_back(Message* message) {
  ++counters.given_back;
  end_at_home(message->home_worker, {message->lease.id, std::nullopt});
  messages.give_back(message);
}

void Dispatch::State::end_at_home(uint32_t worker, Ended one) {
  if (worker != self) {
    ended[worker].push_back(std::move(one));
    return schedule();
  }
  if (one.report) {
    parts.homes.settle(one.id, std::move(*one.report));
  } else {
    parts.homes.give_back(one.id);
  }
}

// ------------------------------------------------------------------------------------- descriptors

bool Dispatch::State::take_descriptor(Lane& lane) {
  if (descriptors < descriptors_max) {
    ++descriptors;
    connected[lane.number()] = &lane;
    return true;
  }
  stand_in_line(lane);
  return false;
}

void Dispatch::State::stand_in_line(Lane& lane) {
  if (!lane.in_descriptor_line) {
    lane.in_descriptor_line = true;
    descriptor_line.push_back(lane.number());
  }
  if (!descriptors_timer.armed() && !stopping)
    parts.loop.timers().arm(descriptors_timer, parts.loop.now() + kMakeRoomEvery);
}

void Dispatch::State::give_back_descriptor(Lane& lane) {
  CHECK(descriptors > 0);
  --descriptors;
  if (lane.connections() == 0) connected.erase(lane.number());
  if (descriptors < descriptors_max) let_in_line();
}

// The first in line is touched before anybody else can want what has become free.
void Dispatch::State::let_in_line() {
  while (!descriptor_line.empty()) {
    Lane* lane = find_lane(descriptor_line.front());
    descriptor_line.pop_front();
    if (lane == nullptr) continue;
    lane->in_descriptor_line = false;
    return touch(*lane);
  }
}

void Dispatch::State::descriptors_short(Lane& lane) {
  CHECK(descriptors > 0);
  --descriptors;
  if (lane.connections() == 0) connected.erase(lane.number());
  // No more than there were, until the timer lets us try.
  descriptors_max = descriptors;
  stand_in_line(lane);
  parts.loop.timers().arm(descriptors_timer, parts.loop.now() + kDescriptorsShortWait);
}

void Dispatch::State::on_descriptors_timer() {
  if (stopping) return;
  descriptors_max = config.connections_max;
  for (uint32_t free = descriptors; free < descriptors_max && !descriptor_line.empty(); ++free)
    let_in_line();
  if (descriptor_line.empty()) return;
  // Those that have idle connections make room.
  for (auto& [number, lane] : connected) touch(*lane);
  parts.loop.timers().arm(descriptors_timer, parts.loop.now() + kMakeRoomEvery);
}

void Dispatch::State::bury(std::unique_ptr<Connection> connection) {
  buried.push_back(std::move(connection));
  schedule();
}

}  // namespace postring::delivery
