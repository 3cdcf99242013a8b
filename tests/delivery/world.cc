#include "world.h"

#include <algorithm>

#include "base/check.h"
#include "dns/resolver.h"
#include "io/clock.h"
#include "mail/content_source.h"

namespace postring::delivery {

namespace {

const queue::ContentId kContentId = sha256("the content");

// DNS that says NXDOMAIN for what ends in ".gone" and does not answer for anything else.
class SilentWire final : public DnsWire {
 public:
  explicit SilentWire(Loop& loop) : loop_(loop) {}

  void query(const std::string& name, uint16_t type, Done done) override {
    loop_.defer([done = std::move(done), name, type, this]() mutable {
      if (!name.ends_with(".gone")) {
        return done(std::unexpected(DnsWireError::timeout), loop_.now());
      }
      std::string message("\0\0\x81\x83\0\1\0\0\0\0\0\0", 12);
      std::string_view rest = name;
      while (!rest.empty()) {
        std::string_view label = rest.substr(0, rest.find('.'));
        rest.remove_prefix(std::min(label.size() + 1, rest.size()));
        message += static_cast<char>(label.size());
        message += label;
      }
      message += '\0';
      message += {static_cast<char>(type >> 8), static_cast<char>(type), '\0', '\1'};
      done(message, loop_.now());
    });
  }

 private:
  Loop& loop_;
};

dns::Routes make_routes(const WorldOptions& options) {
  std::vector<dns::Route> routes;
  for (const auto& [pattern, addresses] : options.routes) {
    dns::Route route{pattern, {}};
    for (const SocketAddress& address : addresses)
      route.targets.push_back({address.ip.text(), address.ip, address.port});
    routes.push_back(std::move(route));
  }
  auto made = dns::Routes::create(std::move(routes), std::nullopt);
  CHECK(made.has_value());
  return std::move(*made);
}

}  // namespace

struct World::Worker final : Peers {
  Worker(World& its_world, uint32_t its_number, const WorldOptions& options)
      : world(its_world),
        number(its_number),
        loop(std::move(*Ring::create()), 1 + its_number),
        wire(loop),
        resolver(wire, {}, make_routes(options), dns::AddressFilter({}, {})),
        contents(loop, [bytes = options.content.empty() ? content() : options.content](
                           const queue::ContentId&) { return Result<std::string>(bytes); }),
        homes(its_world, its_number) {}

  uint32_t workers() const override { return world.options.workers; }
  uint32_t self() const override { return number; }
  uint32_t worker_of(SliceNumber slice) const override { return slice; }
  void post(uint32_t worker, Job job) override {
    world.workers_[worker]->jobs.push_back(std::move(job));
  }
  Dispatch& dispatch_of(uint32_t worker) override { return *world.workers_[worker]->dispatch; }

  World& world;
  uint32_t number;
  Loop loop;
  SilentWire wire;
  dns::Resolver resolver;
  Contents contents;
  ListHomes homes;
  std::deque<Job> jobs;
  std::unique_ptr<Dispatch> dispatch;
};

// ------------------------------------------------------------------------------------------- homes

ListHomes::Destination& ListHomes::destination_at(const std::string& domain) {
  auto [found, added] = destinations_.try_emplace(domain);
  if (added) {
    found->second.id = {static_cast<SliceNumber>(worker_),
                        static_cast<uint32_t>(destinations_.size()), 1};
    found->second.domain = domain;
  }
  return found->second;
}

queue::Lease ListHomes::lease_for(const std::string& address) {
  queue::Lease lease;
  lease.id = make_recipient_id(static_cast<SliceNumber>(worker_), next_id_++);
  lease.mail_class = MailClass::bulk;
  lease.attempt = 1;
  lease.content = kContentId;
  lease.accepted_at = clock_wall();
  lease.bytes = address;
  lease.address_bytes = static_cast<uint32_t>(address.size());
  domains_[lease.id] = address.substr(address.find('@') + 1);
  return lease;
}

void ListHomes::add(const std::string& address, MailClass mail_class, CampaignId campaign,
                    WallTime expires_at, std::vector<std::string> sources) {
  queue::Lease lease = lease_for(address);
  Destination& destination = destination_at(domains_[lease.id]);
  if (!sources.empty()) destination.sources = std::move(sources);
  lease.campaign = campaign;
  lease.mail_class = mail_class;
  lease.expires_at = expires_at;
  put(std::move(lease), destination);
}

void ListHomes::add_message(const std::vector<std::string>& addresses) {
  WallTime accepted_at = clock_wall();
  BatchId batch = next_message_++;
  for (const std::string& address : addresses) {
    queue::Lease lease = lease_for(address);
    lease.batch = batch;
    lease.shares_message = true;
    lease.accepted_at = accepted_at;
    put(std::move(lease), destination_at(domains_[lease.id]));
  }
}

void ListHomes::put(queue::Lease lease, Destination& destination) {
  auto& list = destination.by_class[static_cast<size_t>(lease.mail_class)];
  bool hurry = lease.mail_class == MailClass::transactional && list.empty();
  list.push_back(std::move(lease));
  if (destination.offered && !hurry) return;
  destination.offered = true;
  world_.dispatch(worker_).offer({destination.id, destination.domain, destination.sources, hurry});
}

void ListHomes::let_pull() {
  pulls_wait = false;
  for (Job& pull : std::exchange(waiting_pulls_, {})) pull();
}

void ListHomes::pull(const queue::DestinationId& id, uint32_t messages, uint64_t bytes,
                     std::move_only_function<void(queue::Pulled)> callback) {
  if (pulls_wait) {
    waiting_pulls_.push_back([this, id, messages, bytes, callback = std::move(callback)]() mutable {
      pull(id, messages, bytes, std::move(callback));
    });
    return;
  }
  queue::Pulled pulled;
  for (auto& [domain, destination] : destinations_) {
    if (destination.id != id) continue;
    for (auto& list : destination.by_class) {
      while (!list.empty() && pulled.leases.size() < messages) {
        leased[list.front().id] = list.front();
        pulled.leases.push_back(std::move(list.front()));
        list.pop_front();
      }
    }
    pulled.more = !destination.empty();
    destination.offered = pulled.more;
  }
  callback(std::move(pulled));
}

void ListHomes::settle(RecipientId id, queue::Report report) {
  auto found = leased.find(id);
  CHECK(found != leased.end(), "settled twice, or never leased");
  settled.push_back({id, std::string(found->second.address()), std::move(report)});
  leased.erase(found);
}

void ListHomes::give_back(RecipientId id) {
  auto found = leased.find(id);
  CHECK(found != leased.end(), "given back twice, or never leased");
  given_back.push_back(id);
  queue::Lease lease = std::move(found->second);
  leased.erase(found);
  if (!keeps_given_back) put(std::move(lease), destinations_.at(domains_.at(id)));
}

size_t ListHomes::waiting() const {
  size_t count = 0;
  for (const auto& [domain, destination] : destinations_)
    for (const auto& list : destination.by_class) count += list.size();
  return count;
}

queue::DestinationId ListHomes::destination_of(const std::string& domain) const {
  return destinations_.at(domain).id;
}

// ------------------------------------------------------------------------------------------- world

World::World(WorldOptions its_options) : options(std::move(its_options)) {
  for (uint32_t i = 0; i < options.workers; ++i)
    workers_.push_back(std::make_unique<Worker>(*this, i, options));
  for (auto& worker : workers_) {
    worker->dispatch =
        std::make_unique<Dispatch>(DispatchParts{worker->loop, *worker, worker->homes, campaigns_,
                                                 worker->resolver, worker->contents},
                                   config());
  }
}

World::~World() {
  for (auto& worker : workers_) worker->dispatch->stop();
  auto all_stopped = [this] {
    return std::ranges::all_of(workers_, [](auto& w) { return w->dispatch->stopped(); });
  };
  for (auto& worker : workers_) worker->homes.keeps_given_back = true;
  for (auto& worker : workers_) worker->homes.let_pull();
  for (auto& worker : workers_) worker->dispatch->abandon();
  CHECK(run_until(all_stopped), "delivery does not stop");
  for (auto& worker : workers_) CHECK(worker->homes.leased.empty(), "a lease did not come back");
  for (auto& worker : workers_) worker->dispatch.reset();
}

DispatchConfig World::config() const {
  DispatchConfig config;
  config.sources = std::make_shared<traffic::SourceList>(options.sources);
  config.rules =
      std::make_shared<traffic::Rules>(options.settings, std::vector<traffic::NamedOverride>{},
                                       std::vector<traffic::NamedOverride>{});
  config.message_id_domain = "ids.example";
  config.connections_max = options.connections_max;
  config.timeouts = options.timeouts;
  return config;
}

void World::change_routes(
    std::vector<std::pair<std::string, std::vector<SocketAddress>>> routes) {
  options.routes = std::move(routes);
  for (auto& worker : workers_) {
    worker->resolver.reconfigure({}, make_routes(options), dns::AddressFilter({}, {}));
    worker->dispatch->reconfigure(config());
  }
}

void World::turn() {
  for (auto& worker : workers_) {
    std::deque<Job> jobs;
    jobs.swap(worker->jobs);
    for (Job& job : jobs) job();
    worker->loop.turn(clock_now() + Duration::milliseconds(1));
  }
}

bool World::run_until(const std::function<bool()>& condition) {
  Instant end = clock_now() + Duration::seconds(10);
  while (!condition()) {
    if (clock_now() > end) return false;
    turn();
  }
  return true;
}

void World::run_for(Duration duration) {
  Instant end = clock_now() + duration;
  run_until([end] { return clock_now() >= end; });
}

bool World::run_dry() {
  return run_until([this] {
    return std::ranges::all_of(workers_, [](auto& w) {
      return w->homes.waiting() == 0 && w->homes.leased.empty() && w->jobs.empty();
    });
  });
}

ListHomes& World::homes(uint32_t number) {
  return workers_[number]->homes;
}
Dispatch& World::dispatch(uint32_t number) {
  return *workers_[number]->dispatch;
}

std::vector<Settled> World::settled() {
  std::vector<Settled> all;
  for (auto& worker : workers_)
    all.insert(all.end(), worker->homes.settled.begin(), worker->homes.settled.end());
  return all;
}

size_t World::settled_count() {
  return settled().size();
}

size_t World::count(Outcome outcome) {
  auto all = settled();
  return static_cast<size_t>(
      std::ranges::count_if(all, [&](const Settled& s) { return s.report.outcome == outcome; }));
}

Counters World::counters() {
  Counters sum;
  for (auto& worker : workers_) sum += worker->dispatch->counters();
  return sum;
}

const std::string& World::content() {
  static const std::string bytes = [] {
    mail::ContentSource source;
    source.subject = "A test";
    source.from = "sender@out.example";
    source.text = "Hello {{address}},\n.dots at the start\n\nBye\n";
    source.unsubscribe = "none";
    auto compiled = mail::compile_content(source);
    CHECK(compiled.has_value());
    return *compiled;
  }();
  return bytes;
}

traffic::Override quick_settings() {
  traffic::Override settings;
  settings.rate = throttle::Rate::unlimited();
  settings.connections = 4;
  settings.idle_timeout = Duration::milliseconds(100);
  return settings;
}

}  // namespace postring::delivery
