// The inside of Resolver: jobs (a domain being resolved) and questions (a name and type being
// asked).
//
// A job is evaluated from the start whenever all it asked for has come: it walks domain -> MX ->
// addresses, taking each answer from what it has gathered, then from the cache, else asking. When
// nothing is left to ask, the walk's end is the resolution. The gathered answers stay with the job,
// so that a small cache cannot make it ask for ever.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dns/cache.h"
#include "dns/resolver.h"

namespace postring::dns {

// One answer as a job sees it.
struct Gathered {
  std::string name;
  RecordType type = RecordType::a;
  RecordSetPtr set;               // null: it failed
  const char* failure = nullptr;  // why
  bool stale = false;
  Instant expires_at{};
};

struct ResolveJob {
  std::string domain;
  std::vector<Resolver::Done> waiters;
  std::deque<Gathered> gathered;  // looked at while it grows
  size_t outstanding = 0;  // questions asked and not answered
};

struct Resolver::State : std::enable_shared_from_this<Resolver::State> {
  State(DnsWire& wire, ResolverOptions options, Routes routes, AddressFilter filter);

  void resolve(std::string_view domain, Instant now, Done done);
  bool flush(std::string_view name);
  void reconfigure(ResolverOptions options, Routes routes, AddressFilter filter);
  ResolverStats stats() const;

 private:
  using JobPtr = std::unique_ptr<ResolveJob>;
  using Key = std::pair<std::string, RecordType>;

  // A name asked for through its aliases.
  struct Lookup {
    enum class Status : uint8_t { pending, failed, records, no_data, no_name };
    Status status = Status::pending;
    const Gathered* answer = nullptr;  // null while pending
    std::string name;                  // the last of the chain
  };
  // A walk over what is known: the resolution in the making.
  struct Walk {
    ResolveJob& job;
    Instant now;
    std::shared_ptr<Resolution> resolution;
    bool pending = false;
    bool failed = false;  // something about a host's addresses could not be learned
    std::string failure{};
    std::string refusal{};  // the last address refused
  };

  void pump(Instant now);
  void evaluate(ResolveJob& job, Instant now);
  void finish(ResolveJob& job, std::shared_ptr<Resolution> resolution);

  void walk_route(Walk& walk, const Route& route);
  void walk_literal(Walk& walk);
  void walk_mx(Walk& walk);
  void walk_hosts(Walk& walk);
  void add_addresses(Walk& walk, MailHost& host, RecordType type);
  void add_address(Walk& walk, MailHost& host, const IpAddress& ip);
  void conclude(Walk& walk);

  Lookup look_up(Walk& walk, std::string_view name, RecordType type);
  const Gathered* gather(ResolveJob& job, std::string_view name, RecordType type, Instant now);
  void ask(ResolveJob& job, std::string_view name, RecordType type);
  void on_answer(const Key& key, const DnsWireAnswer& answer, Instant now);
  Gathered take_answer(const Key& key, const DnsWireAnswer& answer, Instant now);
  Gathered take_failure(const Key& key, const char* failure, Instant now);
  Duration ttl_of(const RecordSet& set) const;
  static void expire_by(Walk& walk, Instant expires_at);

  DnsWire& wire_;
  ResolverOptions options_;
  Routes routes_;
  AddressFilter filter_;
  RecordCache cache_;
  // Found by name only; nothing iterates over them.
  std::unordered_map<std::string, JobPtr> jobs_;
  std::map<Key, std::vector<ResolveJob*>> questions_;
  std::deque<std::string> waiting_;  // domains whose job has not begun
  size_t in_flight_ = 0;             // jobs begun
  bool pumping_ = false;
  ResolverStats stats_;
};

}  // namespace postring::dns
