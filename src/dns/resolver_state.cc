#include "dns/resolver_state.h"

#include <algorithm>

#include "base/check.h"
#include "base/mark.h"

namespace postring::dns {
namespace {

std::string normal(std::string_view domain) {
  std::string out(domain);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (out.size() > 1 && out.ends_with('.')) out.pop_back();
  return out;
}

}  // namespace

Resolver::State::State(DnsWire& wire, ResolverOptions options, Routes routes, AddressFilter filter)
    : wire_(wire),
      options_(options),
      routes_(std::move(routes)),
      filter_(std::move(filter)),
      cache_(options.cache_records_max, options.cache_bytes_max) {}

void Resolver::State::reconfigure(ResolverOptions options, Routes routes, AddressFilter filter) {
  options_ = options;
  routes_ = std::move(routes);
  filter_ = std::move(filter);
  cache_.limit(options.cache_records_max, options.cache_bytes_max);
}

ResolverStats Resolver::State::stats() const {
  ResolverStats stats = stats_;
  stats.in_flight = in_flight_;
  stats.waiting = waiting_.size();
  stats.cached_records = cache_.records();
  stats.cached_bytes = cache_.bytes();
  return stats;
}

bool Resolver::State::flush(std::string_view raw_name) {
  std::string name = normal(raw_name);
  std::vector<std::string> names = {name};
  if (const RecordCache::Entry* entry = cache_.find(name, RecordType::mx);
      entry != nullptr && entry->set != nullptr) {
    for (const Record& record : entry->set->records) names.push_back(record.text);
    if (!entry->set->alias.empty()) names.push_back(entry->set->alias);
  }
  bool known = false;
  for (const std::string& each : names)
    for (RecordType type : {RecordType::mx, RecordType::a, RecordType::aaaa})
      known = cache_.erase(each, type) || known;
  return known;
}

// -------------------------------------------------------------------------------------------- jobs

void Resolver::State::resolve(std::string_view raw_domain, Instant now, Done done) {
  std::string domain = normal(raw_domain);
  if (auto found = jobs_.find(domain); found != jobs_.end()) {
    found->second->waiters.push_back(std::move(done));
    return;
  }
  if (waiting_.size() >= options_.names_waiting_max) {
    auto resolution = std::make_shared<Resolution>();
    resolution->domain = std::move(domain);
    resolution->reason = "too many domains wait for DNS";
    resolution->expires_at = now + options_.failure_ttl;
    return done(std::move(resolution));
  }
  auto job = std::make_unique<ResolveJob>();
  job->domain = domain;
  job->waiters.push_back(std::move(done));
  waiting_.push_back(domain);
  jobs_.emplace(std::move(domain), std::move(job));
  pump(now);
}

// Begins jobs while there is room. A job may end at once, and its callbacks may resolve more: the
// outermost call does all the work, so that the stack does not grow.
void Resolver::State::pump(Instant now) {
  if (pumping_) return;
  pumping_ = true;
  while (!waiting_.empty() && in_flight_ < options_.names_in_flight_max) {
    std::string domain = std::move(waiting_.front());
    waiting_.pop_front();
    auto found = jobs_.find(domain);
    CHECK(found != jobs_.end(), "a waiting domain has a job");
    ++in_flight_;
    evaluate(*found->second, now);
  }
  pumping_ = false;
}

void Resolver::State::evaluate(ResolveJob& job, Instant now) {
  Walk walk{.job = job, .now = now, .resolution = std::make_shared<Resolution>()};
  walk.resolution->domain = job.domain;
  walk.resolution->expires_at = now + options_.ttl_max;
  walk.resolution->kind = Resolution::Kind::hosts;
  if (const Route* route = routes_.find(job.domain)) {
    walk_route(walk, *route);
  } else if (job.domain.starts_with('[')) {
    walk_literal(walk);
  } else if (!is_host_name(job.domain)) {
    walk.resolution->kind = Resolution::Kind::bad_name;
    walk.resolution->reason = "'" + job.domain + "' is no domain name";
  } else {
    walk_mx(walk);
  }
  if (walk.pending) return;
  if (walk.resolution->kind == Resolution::Kind::hosts) conclude(walk);
  finish(job, std::move(walk.resolution));
}

void Resolver::State::finish(ResolveJob& job, std::shared_ptr<Resolution> resolution) {
  CHECK(job.outstanding == 0, "a job ends with nothing asked");
  ++stats_.resolved;
  if (resolution->stale) {
    mark(Mark::stale_answer);
    ++stats_.stale_answers;
  }
  std::vector<Done> waiters = std::move(job.waiters);
  jobs_.erase(resolution->domain);
  CHECK(in_flight_ > 0);
  --in_flight_;
  ResolutionPtr shared = std::move(resolution);
  for (Done& done : waiters) done(shared);
}

// ------------------------------------------------------------------------------------------- walks

void Resolver::State::expire_by(Walk& walk, Instant expires_at) {
  walk.resolution->expires_at = std::min(walk.resolution->expires_at, expires_at);
}

void Resolver::State::walk_route(Walk& walk, const Route& route) {
  Resolution& r = *walk.resolution;
  r.routed = true;
  r.diverted = routes_.diverts();
  for (size_t i = 0; i < route.targets.size(); ++i) {
    const RouteTarget& target = route.targets[i];
    MailHost host{.name = target.host,
                  .preference = static_cast<uint16_t>(i),
                  .port = target.port,
                  .addresses = {}};
    if (target.ip) host.addresses.push_back(*target.ip);
    r.hosts.push_back(std::move(host));
  }
  walk_hosts(walk);
}

void Resolver::State::walk_literal(Walk& walk) {
  Resolution& r = *walk.resolution;
  std::string_view inside = walk.job.domain;
  inside.remove_prefix(1);
  std::optional<IpAddress> ip;
  if (inside.ends_with(']')) {
    inside.remove_suffix(1);
    if (inside.starts_with("ipv6:")) inside.remove_prefix(5);
    ip = IpAddress::parse(inside);
  }
  if (!ip) {
    r.kind = Resolution::Kind::bad_name;
    r.reason = "'" + walk.job.domain + "' is no address literal";
    return;
  }
  r.implicit_mx = true;
  MailHost host{.name = walk.job.domain, .port = options_.mx_port, .addresses = {}};
  add_address(walk, host, *ip);
  r.hosts.push_back(std::move(host));
}

// RFC 5321 5.1.
void Resolver::State::walk_mx(Walk& walk) {
  Resolution& r = *walk.resolution;
  Lookup mx = look_up(walk, walk.job.domain, RecordType::mx);
  switch (mx.status) {
    case Lookup::Status::pending:
      return;
    case Lookup::Status::failed:
      r.kind = Resolution::Kind::temporary;
      r.reason = "the MX of " + mx.name + " cannot be looked up: " + mx.answer->failure;
      return;
    case Lookup::Status::no_name:
      r.kind = Resolution::Kind::no_domain;
      r.reason = "the domain " + mx.name + " does not exist";
      return;
    case Lookup::Status::no_data:
      r.implicit_mx = true;
      r.hosts.push_back({.name = mx.name, .port = options_.mx_port, .addresses = {}});
      break;
    case Lookup::Status::records:
      if (mx.answer->set->records.size() == 1 && mx.answer->set->records[0].text.empty()) {
        r.kind = Resolution::Kind::null_mx;
        r.reason = "the domain " + walk.job.domain + " takes no mail (null MX)";
        return;
      }
      for (const Record& record : mx.answer->set->records)
        if (is_host_name(record.text))
          r.hosts.push_back({.name = record.text,
                             .preference = record.preference,
                             .port = options_.mx_port,
                             .addresses = {}});
      if (r.hosts.empty()) {
        r.kind = Resolution::Kind::no_address;
        r.reason = "the MX of " + walk.job.domain + " name no valid host";
        return;
      }
      break;
  }
  walk_hosts(walk);
}

void Resolver::State::walk_hosts(Walk& walk) {
  std::vector<MailHost>& hosts = walk.resolution->hosts;
  std::sort(hosts.begin(), hosts.end(), [](const MailHost& a, const MailHost& b) {
    return std::tie(a.preference, a.name, a.port) < std::tie(b.preference, b.name, b.port);
  });
  // A host listed twice counts with its best preference.
  for (size_t i = 0; i < hosts.size(); ++i) {
    hosts.erase(std::remove_if(hosts.begin() + static_cast<ptrdiff_t>(i) + 1, hosts.end(),
                               [&](const MailHost& other) {
                                 return other.name == hosts[i].name && other.port == hosts[i].port;
                               }),
                hosts.end());
  }
  if (hosts.size() > kMailHostsMax) hosts.resize(kMailHostsMax);
  for (MailHost& host : hosts) {
    if (!host.addresses.empty()) continue;
    add_addresses(walk, host, RecordType::a);
    if (options_.ipv6) add_addresses(walk, host, RecordType::aaaa);
  }
}

void Resolver::State::add_addresses(Walk& walk, MailHost& host, RecordType type) {
  Lookup lookup = look_up(walk, host.name, type);
  switch (lookup.status) {
    case Lookup::Status::pending:
    case Lookup::Status::no_data:
    case Lookup::Status::no_name:
      return;
    case Lookup::Status::failed:
      walk.failed = true;
      walk.failure = "the address of " + lookup.name + " cannot be looked up: ";
      walk.failure += lookup.answer->failure;
      return;
    case Lookup::Status::records:
      break;
  }
  const std::vector<Record>& records = lookup.answer->set->records;
  for (size_t i = 0; i < records.size() && i < kAddressesPerHostMax; ++i)
    add_address(walk, host, records[i].ip);
}

void Resolver::State::add_address(Walk& walk, MailHost& host, const IpAddress& ip) {
  // What the configuration names is meant; only DNS is not trusted.
  const char* refusal = walk.resolution->routed ? nullptr : filter_.refusal(ip);
  if (refusal == nullptr) {
    host.addresses.push_back(ip);
  } else {
    walk.refusal = host.name + " has the address " + ip.text() + ", " + refusal;
  }
}

void Resolver::State::conclude(Walk& walk) {
  Resolution& r = *walk.resolution;
  // The site is the whole set, so that a host that cannot be looked up today does not change it.
  std::vector<std::string> names;
  for (const MailHost& host : r.hosts)
    names.push_back(host.port == options_.mx_port ? host.name
                                                  : host.name + ":" + std::to_string(host.port));
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) r.site += (r.site.empty() ? "" : ",") + name;
  std::erase_if(r.hosts, [](const MailHost& host) { return host.addresses.empty(); });
  if (walk.failed) expire_by(walk, walk.now + options_.failure_ttl);
  if (!r.hosts.empty()) return;
  r.site.clear();
  if (walk.failed) {
    r.kind = Resolution::Kind::temporary;
    r.reason = walk.failure;
  } else if (!walk.refusal.empty()) {
    r.kind = Resolution::Kind::refused_address;
    r.reason = walk.refusal + ", to which nothing is sent";
  } else {
    r.kind = Resolution::Kind::no_address;
    r.reason = r.implicit_mx ? "the domain " + r.domain + " has neither MX nor address"
                             : "no mail host of " + r.domain + " has an address";
  }
}

// ----------------------------------------------------------------------------------------- answers

// Follows aliases the servers did not follow themselves.
Resolver::State::Lookup Resolver::State::look_up(Walk& walk, std::string_view name,
                                                 RecordType type) {
  Lookup lookup;
  lookup.name = name;
  for (size_t followed = 0; followed <= kCnamesMax; ++followed) {
    const Gathered* answer = gather(walk.job, lookup.name, type, walk.now);
    if (answer == nullptr) {
      walk.pending = true;
      return lookup;
    }
    expire_by(walk, answer->expires_at);
    walk.resolution->stale = walk.resolution->stale || answer->stale;
    lookup.answer = answer;
    if (answer->set == nullptr) {
      lookup.status = Lookup::Status::failed;
      return lookup;
    }
    switch (answer->set->kind) {
      case RecordSet::Kind::records:
        lookup.status = Lookup::Status::records;
        return lookup;
      case RecordSet::Kind::no_data:
        lookup.status = Lookup::Status::no_data;
        return lookup;
      case RecordSet::Kind::no_name:
        lookup.status = Lookup::Status::no_name;
        return lookup;
      case RecordSet::Kind::alias:
        break;
    }
    if (!is_host_name(answer->set->alias)) break;
    mark(Mark::alias_followed);
    lookup.name = answer->set->alias;
  }
  // A chain without an end leads nowhere, for good.
  lookup.status = Lookup::Status::no_name;
  return lookup;
}

// What is known now; else asks and gives nullptr.
const Gathered* Resolver::State::gather(ResolveJob& job, std::string_view name, RecordType type,
                                        Instant now) {
  for (const Gathered& known : job.gathered)
    if (known.type == type && known.name == name) return &known;
  const RecordCache::Entry* entry = cache_.find(name, type);
  Gathered known{.name = std::string(name), .type = type, .set = nullptr};
  if (entry != nullptr && entry->set != nullptr && now < entry->expires_at) {
    known.set = entry->set;
    known.expires_at = entry->expires_at;
  } else if (entry != nullptr && now < entry->failed_until) {
    known.failure = entry->failure;
    known.expires_at = entry->failed_until;
    if (entry->set != nullptr && now < entry->expires_at + options_.stale_max) {
      known.set = entry->set;
      known.stale = true;
    }
  } else {
    ask(job, name, type);
    return nullptr;
  }
  ++stats_.cache_hits;
  job.gathered.push_back(std::move(known));
  return &job.gathered.back();
}

void Resolver::State::ask(ResolveJob& job, std::string_view name, RecordType type) {
  Key key{std::string(name), type};
  auto [question, fresh] = questions_.try_emplace(key);
  std::vector<ResolveJob*>& waiters = question->second;
  // Two hosts of one walk may share a name.
  if (std::find(waiters.begin(), waiters.end(), &job) != waiters.end()) return;
  waiters.push_back(&job);
  ++job.outstanding;
  if (!fresh) return;
  ++stats_.queries;
  wire_.query(key.first, static_cast<uint16_t>(type),
              [weak = weak_from_this(), key](DnsWireAnswer answer, Instant now) {
                if (std::shared_ptr<State> state = weak.lock()) state->on_answer(key, answer, now);
              });
}

void Resolver::State::on_answer(const Key& key, const DnsWireAnswer& answer, Instant now) {
  auto question = questions_.find(key);
  CHECK(question != questions_.end(), "an answer to no question");
  std::vector<ResolveJob*> waiters = std::move(question->second);
  questions_.erase(question);
  Gathered gathered = take_answer(key, answer, now);
  for (ResolveJob* job : waiters) {
    job->gathered.push_back(gathered);
    CHECK(job->outstanding > 0);
    // A job that ends here is gone afterwards; no other waiter is, as each waited for this answer.
    if (--job->outstanding == 0) evaluate(*job, now);
  }
  pump(now);
}

Gathered Resolver::State::take_answer(const Key& key, const DnsWireAnswer& answer, Instant now) {
  if (!answer) return take_failure(key, text_of(answer.error()), now);
  Result<Message, MessageError> message = parse_message(*answer);
  if (!message) {
    mark(Mark::malformed_answer);
    return take_failure(key, "the DNS answer is malformed", now);
  }
  std::optional<RecordSet> set = record_set_of(*message, key.first, key.second);
  if (!set) return take_failure(key, "the DNS answer is of no use", now);
  Gathered gathered{.name = key.first, .type = key.second, .set = nullptr};
  gathered.expires_at = now + ttl_of(*set);
  gathered.set = std::make_shared<const RecordSet>(std::move(*set));
  cache_.store(key.first, key.second, gathered.set, gathered.expires_at);
  return gathered;
}

Gathered Resolver::State::take_failure(const Key& key, const char* failure, Instant now) {
  ++stats_.failures;
  Gathered gathered{.name = key.first, .type = key.second, .set = nullptr, .failure = failure};
  gathered.expires_at = now + options_.failure_ttl;
  const RecordCache::Entry* entry = cache_.find(key.first, key.second);
  if (entry != nullptr && entry->set != nullptr && now < entry->expires_at + options_.stale_max) {
    gathered.set = entry->set;
    gathered.stale = true;
  }
  cache_.store_failure(key.first, key.second, failure, gathered.expires_at);
  return gathered;
}

Duration Resolver::State::ttl_of(const RecordSet& set) const {
  bool negative = set.kind == RecordSet::Kind::no_data || set.kind == RecordSet::Kind::no_name;
  Duration ttl =
      set.ttl_seconds ? Duration::seconds(*set.ttl_seconds) : options_.negative_ttl_default;
  return std::clamp(
      ttl, options_.ttl_min,
      std::max(options_.ttl_min, negative ? options_.negative_ttl_max : options_.ttl_max));
}

}  // namespace postring::dns
