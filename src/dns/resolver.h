// Resolver: from a domain to the hosts that take its mail (RFC 5321 5.1, 7505).
//
//   resolver.resolve("example.com", now, [this](ResolutionPtr r) { ... });
//
// The callback runs once: at once where the cache knows, else in a later turn. Questions for one
// domain are asked once for all who wait; at most `names_in_flight_max` domains are resolved at a
// time, the others wait in order, and beyond `names_waiting_max` the answer is `temporary` at once.
//
// An outage slows and never bounces: while DNS does not answer, expired answers are used for up to
// `stale_max`, and what was never known is `temporary`. Only what a server said is permanent.
//
// The owner calls it on one worker; a resolver must outlive nobody: callbacks of a resolver that
// goes are dropped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "dns/address_filter.h"
#include "dns/resolution.h"
#include "dns/routes.h"
#include "io/dns_wire.h"

namespace postring::dns {

struct ResolverOptions {
  size_t names_in_flight_max = 500;
  size_t names_waiting_max = 1'000'000;
  size_t cache_records_max = 1'000'000;
  size_t cache_bytes_max = 256u << 20;
  Duration ttl_min = Duration::seconds(30);
  Duration ttl_max = Duration::days(1);
  Duration negative_ttl_default = Duration::minutes(5);  // without an SOA
  Duration negative_ttl_max = Duration::hours(1);
  Duration failure_ttl = Duration::seconds(30);  // a failed question is not repeated before
  Duration stale_max = Duration::days(1);
  bool ipv6 = true;       // ask for AAAA
  uint16_t mx_port = 25;  // where hosts that DNS names take mail
};

struct ResolverStats {
  uint64_t resolved = 0, queries = 0, failures = 0, cache_hits = 0, stale_answers = 0;
  size_t in_flight = 0, waiting = 0, cached_records = 0, cached_bytes = 0;
};

class Resolver {
 public:
  using Done = std::move_only_function<void(ResolutionPtr resolution)>;

  Resolver(DnsWire& wire, ResolverOptions options, Routes routes, AddressFilter filter);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // `domain` in A-labels, or an address literal ("[192.0.2.1]"); case and a final dot do not
  // matter.
  void resolve(std::string_view domain, Instant now, Done done);

  // Forgets the name, and the addresses of its MX hosts. False where nothing was known.
  bool flush(std::string_view name);

  // Another configuration; what is cached stays.
  void reconfigure(ResolverOptions options, Routes routes, AddressFilter filter);

  ResolverStats stats() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace postring::dns
