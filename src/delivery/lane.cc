#include "delivery/lane.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/canary.h"
#include "base/mark.h"

namespace postring::delivery {

Lane::Lane(const LaneParts& parts, uint64_t number, throttle::LaneId id,
           const DispatchConfig& config, const traffic::Settings& settings,
           dns::ResolutionPtr resolution)
    : parts_(parts),
      number_(number),
      id_(std::move(id)),
      sources_(config.sources),
      message_id_domain_(config.message_id_domain),
      timeouts_(config.timeouts),
      settings_(settings),
      permits_(settings, parts.loop.now()),
      targets_((*config.sources)[id_.source].address.family) {
  if (canary(Canary::one_connection_too_many)) {
    traffic::Settings more = settings;
    ++more.connections;
    permits_ = traffic::Permits(more, parts.loop.now());
  }
  if (canary(Canary::rate_not_kept)) {
    traffic::Settings more = settings;
    more.rate.count *= 2;
    permits_ = traffic::Permits(more, parts.loop.now());
  }
  targets_.set(std::move(resolution));
  holds_contents = parts_.spool_holds.stop_contents();
  timer_.bind<&Lane::on_timer>(this);
}

Lane::~Lane() {
  CHECK(over(), "a lane goes with something in it");
}

void Lane::add(Outlet outlet, dns::ResolutionPtr resolution, const traffic::Settings& settings) {
  if (stopping_) return;
  outlet.resolved_until = resolution->expires_at;
  targets_.set(std::move(resolution));
  // DNS brought an address that does not rest: it is tried now.
  if (targets_.next_at(parts_.loop.now()) <= parts_.loop.now()) resume_at_ = Instant{};
  if (!(settings == settings_)) {
    settings_ = settings;
    permits_.change(settings_, parts_.loop.now());
  }
  outlets_.add(std::move(outlet));
  parts_.host.touch(*this);
}

void Lane::hurry(const queue::DestinationId& destination) {
  outlets_.hurry(destination);
  parts_.host.touch(*this);
}

void Lane::drop(const queue::DestinationId& destination) {
  outlets_.drop(destination);
  parts_.host.touch(*this);
}

void Lane::work() {
  if (stopping_) return;
  Instant now = parts_.loop.now();
  set_hold(LaneHold::nothing, {}, Instant{});
  if (now >= sweep_at_) sweep();
  if (established_ > 0) pull_more();
  wake_idle();
  open_connections();
  make_room();
  // Nothing else may happen here before a peer that says nothing has used up its time.
  if (ready_.size() + ready_.plain_size() > 0) wake_at(sweep_at_);
}

void Lane::retry_now() {
  targets_.forget();
  resume_at_ = Instant{};
  learned_limit_ = UINT32_MAX;
  parts_.source_states.resume(id_.source);
  parts_.host.touch(*this);
}

void Lane::stop() {
  if (stopping_) return;
  stopping_ = true;
  set_hold(LaneHold::stopping, "the daemon is stopping", Instant{});
  std::vector<queue::DestinationId> ids;
  outlets_.each([&](const Outlet& outlet) { ids.push_back(outlet.id); });
  for (const queue::DestinationId& id : ids) outlets_.drop(id);
  give_back_ready();
  // What ends at once leaves the list while it is gone through.
  std::vector<Connection*> connections;
  for (auto& connection : connections_) connections.push_back(connection.get());
  for (Connection* connection : connections) connection->stop();
  parts_.host.touch(*this);
}

// A home that had heard of the new configuration earlier has sent its mail here all the same.
void Lane::retire() {
  outlets_.each([&](const Outlet& outlet) { parts_.host.reroute(outlet); });
  stop();
}

void Lane::abandon() {
  std::vector<Connection*> connections;
  for (auto& connection : connections_) connections.push_back(connection.get());
  for (Connection* connection : connections) connection->abandon();
  parts_.host.touch(*this);
}

bool Lane::over() const {
  return connections_.empty() && outlets_.empty() && ready_.size() == 0 &&
         ready_.plain_size() == 0 && loading_.empty();
}

bool Lane::may_go() {
  if (!over()) return false;
  Instant now = parts_.loop.now();
  Instant rested = permits_.rested_at(now);
  if (stopping_ || rested <= now) return true;
  wake_at(rested);
  return false;
}

bool Lane::serves(std::string_view domain) const {
  bool found = false;
  const_cast<Outlets&>(outlets_).each(
      [&](const Outlet& outlet) { found = found || outlet.domain == domain; });
  return found;
}

void Lane::on_timer() {
  parts_.host.touch(*this);
}

void Lane::wake_at(Instant when) {
  if (!timer_.armed() || when < timer_.when()) parts_.loop.timers().arm(timer_, when);
}

void Lane::set_hold(LaneHold hold, std::string reason, Instant until) {
  hold_ = hold;
  reason_ = std::move(reason);
  hold_until_ = until;
  if (until > parts_.loop.now() && until != Instant::never()) wake_at(until);
}

// ------------------------------------------------------------------------------------- connections

bool Lane::has_plain_connection() const {
  return std::ranges::any_of(connections_, [](const auto& c) { return c->setup().plain; });
}

bool Lane::wants_connection(Instant now) {
  if (connections_.empty())
    return !outlets_.empty() || ready_.size() > 0 || ready_.plain_size() > 0;
  if (now < learned_until_ && connections_.size() >= learned_limit_) return false;
  // Not many at once before the first has shown that it can be done.
  if (connecting_ >= std::max(1u, established_)) return false;
  if (ready_.size() == 0) return false;
  if (std::ranges::any_of(connections_,
                          [](const auto& c) { return c->idle() && !c->setup().plain; }))
    return false;
  if (ready_.size() > size_t{kInHandPerConnection} * established_) return true;
  if (now >= grow_at_) return true;
  wake_at(grow_at_);
  return false;
}

void Lane::open_connections() {
  Instant now = parts_.loop.now();
  if (now < resume_at_) {
    suspend_unless_connected();
    return;
  }
  if (ready_.plain_size() > 0 && !has_plain_connection()) open_connection(true);
  while (wants_connection(now) && open_connection(false)) grow_at_ = now + kGrowEvery;
}

bool Lane::open_connection(bool plain) {
  Instant now = parts_.loop.now();
  if (!parts_.source_states.usable(id_.source, now)) {
    resume_at_ = parts_.source_states.usable_at(id_.source, now);
    set_hold(LaneHold::source_stopped, std::string(parts_.source_states.reason(id_.source, now)),
             resume_at_);
    return false;
  }
  std::optional<dns::Target> target = targets_.pick(now, parts_.loop.random());
  if (!target) {
    resume_at_ = targets_.next_at(now);
    suspend_unless_connected();
    return false;
  }
  if (!permits_.take_connection()) {
    set_hold(LaneHold::connections, "as many connections as the limit allows are open", Instant{});
    return false;
  }
  if (!parts_.host.take_descriptor(*this)) {
    permits_.give_back_connection();
    set_hold(LaneHold::descriptors, "this process has all the connections it may have", Instant{});
    return false;
  }
  ConnectionSetup setup;
  setup.target = target->address;
  setup.host = targets_.host_of(*target).name;
  setup.source = (*sources_)[id_.source].address;
  setup.session = session_options(plain);
  setup.messages_max = settings_.messages_per_connection;
  setup.connect_timeout = settings_.connect_timeout;
  setup.idle_timeout = settings_.idle_timeout;
  setup.plain = plain;
  setup.verp_key = parts_.verp_key;
  setup.message_id_domain = message_id_domain_;
  auto connection =
      std::make_unique<Connection>(parts_.loop, parts_.scratches, *this, std::move(setup));
  auto opened = connection->open();
  if (!opened) {
    permits_.give_back_connection();
    not_opened(opened.error(), target->address);
    return false;
  }
  ++connecting_;
  ++parts_.counters.connections_opened;
  connections_.push_back(std::move(connection));
  if (established_ == 0)
    set_hold(LaneHold::connecting, "connecting to " + target->address.text(), Instant{});
  return true;
}

smtp::SessionOptions Lane::session_options(bool plain) const {
  smtp::SessionOptions options;
  options.ehlo_name = (*sources_)[id_.source].ehlo_name;
  options.chunking = settings_.chunking && !chunking_failed_;
  options.timeouts = timeouts_;
  switch (settings_.pipelining) {
    case traffic::Pipelining::off:
      options.pipelining = smtp::Pipelining::off;
      break;
    case traffic::Pipelining::within:
      options.pipelining = smtp::Pipelining::within;
      break;
    case traffic::Pipelining::across:
      options.pipelining = smtp::Pipelining::across;
      break;
  }
  if (pipelining_failed_) options.pipelining = smtp::Pipelining::off;
  return plain ? options.plain() : options;
}

// The socket could not be made.
void Lane::not_opened(int error, const SocketAddress& target) {
  Instant now = parts_.loop.now();
  if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
    parts_.host.descriptors_short(*this);
    set_hold(LaneHold::descriptors,
             std::string("a socket could not be made: ") + std::strerror(error), Instant{});
    return;
  }
  parts_.host.give_back_descriptor(*this);
  const traffic::Source& source = (*sources_)[id_.source];
  if (error == EADDRNOTAVAIL) {
    parts_.source_states.stop(id_.source,
                              "source '" + source.name + "': " + source.address.text() +
                                  " is not an address of this machine",
                              now + kSourceStoppedFor);
    parts_.host.touch(*this);
    return;
  }
  targets_.failed(target, now, parts_.loop.random());
  last_reply_ = {};
  last_reply_.text =
      "a socket for " + target.text() + " could not be made: " + std::strerror(error);
  parts_.host.touch(*this);
}

void Lane::suspend_unless_connected() {
  Instant now = parts_.loop.now();
  if (!connections_.empty()) {
    // The open ones go on; more are tried when an address may be tried again.
    if (resume_at_ != Instant::never()) wake_at(resume_at_);
    return;
  }
  mark(Mark::lane_suspended);
  give_back_ready();
  std::string reason;
  LaneHold hold = LaneHold::suspended;
  if (!parts_.source_states.usable(id_.source, now)) {
    hold = LaneHold::source_stopped;
    reason = parts_.source_states.reason(id_.source, now);
  } else if (!targets_.reachable()) {
    hold = LaneHold::no_route;
    reason = "no mail host of " + id_.site + " has an address that source '" +
             (*sources_)[id_.source].name + "' can reach";
  } else {
    reason = "no connection: " + last_reply_.text;
  }
  // DNS may know other hosts by then.
  Instant again = std::max(targets_.resolution().expires_at, now + Duration::seconds(1));
  outlets_.each([&](Outlet& outlet) {
    if (now < outlet.resolved_until || outlet.rerouting) return;
    outlet.rerouting = true;
    parts_.host.reroute(outlet);
  });
  set_hold(hold, std::move(reason), std::min(resume_at_, again));
}

void Lane::wake_idle() {
  if (ready_.size() == 0 && ready_.plain_size() == 0) return;
  Instant now = parts_.loop.now();
  if (Instant at = permits_.message_at(now); at > now) {
    set_hold(LaneHold::rate, "the rate is used up", at);
    return;
  }
  // A connection may end within wake() and leave the list.
  for (size_t i = 0; i < connections_.size(); ++i) {
    Connection& connection = *connections_[i];
    size_t waiting = connection.setup().plain ? ready_.plain_size() : ready_.size();
    if (connection.idle() && waiting > 0) connection.wake();
    if (i < connections_.size() && connections_[i].get() != &connection) --i;
  }
}

// Connections that do nothing make room for those that are waited for.
void Lane::make_room() {
  bool plain_waits =
      ready_.plain_size() > 0 && !has_plain_connection() && permits_.connections().full();
  bool wanted = parts_.host.descriptors_wanted();
  if (!plain_waits && !wanted) return;
  std::vector<Connection*> leaving;
  for (auto& connection : connections_) {
    if (connection->ending()) continue;
    bool leaves = (wanted && connection->idle()) || (plain_waits && !connection->setup().plain);
    if (!leaves) continue;
    if (plain_waits) mark(Mark::plain_made_room);
    leaving.push_back(connection.get());
    plain_waits = false;
  }
  for (Connection* connection : leaving) connection->finish();
}

void Lane::on_ready(Connection&) {
  CHECK(connecting_ > 0);
  --connecting_;
  ++established_;
  parts_.host.touch(*this);
}

void Lane::on_end(Connection& connection, const smtp::SessionEnd& end) {
  --(connection.ready() ? established_ : connecting_);
  permits_.give_back_connection();
  learn(connection, end);
  auto found =
      std::ranges::find_if(connections_, [&](const auto& c) { return c.get() == &connection; });
  CHECK(found != connections_.end());
  std::unique_ptr<Connection> ended = std::move(*found);
  connections_.erase(found);
  parts_.host.give_back_descriptor(*this);
  parts_.host.bury(std::move(ended));
  parts_.host.touch(*this);
}

void Lane::learn(const Connection& connection, const smtp::SessionEnd& end) {
  Instant now = parts_.loop.now();
  if (const smtp::Peer* peer = connection.peer()) {
    if (peer->chunking_failed) mark(Mark::chunking_failed);
    if (peer->pipelining_failed) mark(Mark::pipelining_failed);
    chunking_failed_ |= peer->chunking_failed;
    pipelining_failed_ |= peer->pipelining_failed;
  }
  if (end.cause == smtp::EndCause::finished || end.cause == smtp::EndCause::stopped) return;
  if (!connection.ready()) {
    ++parts_.counters.connections_failed;
    last_reply_ = end.reply;
    if (established_ > 0 && end.reply.code != 0) {
      // It takes the ones we have: one more was too many.
      mark(Mark::limit_learned);
      learned_limit_ = established_;
      learned_until_ = now + kLearnedLimitFor;
      return;
    }
    targets_.failed(connection.setup().target, now, parts_.loop.random());
    return;
  }
  // It was of no use: not to be tried again at once.
  if (connection.messages_answered() == 0 && !connection.idle_before_end()) {
    last_reply_ = end.reply;
    targets_.failed(connection.setup().target, now, parts_.loop.random());
  }
}

// What holds mail of it for want of room, in words; empty: nothing does. Looked for when somebody
// asks: there may be many outlets.
std::string Lane::spool_hold() const {
  std::string words;
  if (parts_.spool_holds.empty()) return words;
  const_cast<Outlets&>(outlets_).each([&](const Outlet& outlet) {
    queue::SpoolHold hold = parts_.spool_holds.of(outlet.id.slice);
    if (hold == queue::SpoolHold::none || !words.empty()) return;
    words = "the disk is full: slice " + std::to_string(outlet.id.slice) +
            (hold == queue::SpoolHold::contents ? " could not write outcomes"
                                                : " has no room for more outcomes");
  });
  return words;
}

LaneStatus Lane::status() const {
  LaneStatus status;
  Instant now = parts_.loop.now();
  status.source = (*sources_)[id_.source].name;
  status.site = targets_.resolution().site;
  status.hold = hold_;
  status.reason = reason_;
  if (hold_ == LaneHold::nothing) {
    status.reason = spool_hold();
    if (!status.reason.empty()) status.hold = LaneHold::disk_full;
  }
  if (hold_until_ > now && hold_until_ != Instant::never())
    status.until = parts_.loop.wall_now() + (hold_until_ - now);
  status.last_reply = last_reply_;
  status.connections = static_cast<uint32_t>(connections_.size());
  status.connections_max = permits_.connections().limit();
  status.destinations = static_cast<uint32_t>(outlets_.size());
  status.ready = static_cast<uint32_t>(ready_.size() + ready_.plain_size() + loading_.size());
  status.delivered = delivered_;
  status.rate_count = settings_.rate.count;
  status.rate_period = settings_.rate.period;
  return status;
}

}  // namespace postring::delivery
