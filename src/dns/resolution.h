// Resolution: where mail for a domain goes, or why it goes nowhere.
//
// A value, shared and never changed once made; every worker may hold it until `expires_at`, then
// asks the resolver again.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/units.h"
#include "io/socket_address.h"
#include "mail/outcome.h"

namespace postring::dns {

struct MailHost {
  std::string name;  // lower case, no final dot; an address literal for a route to an address
  uint16_t preference = 0;
  uint16_t port = 25;
  std::vector<IpAddress> addresses;  // at least one
};

struct Resolution {
  enum class Kind : uint8_t {
    hosts,            // deliver to `hosts`
    null_mx,          // RFC 7505: takes no mail; bounce
    no_domain,        // NXDOMAIN; bounce
    no_address,       // the domain or its MX hosts have no address; bounce
    refused_address,  // only addresses we must not send to; bounce
    bad_name,         // cannot be a domain; bounce
    temporary         // nothing known and nobody to ask; defer
  };

  Kind kind = Kind::temporary;
  bool implicit_mx = false;  // no MX record: the domain itself is the host
  bool routed = false;       // by the configuration, not by DNS
  bool diverted = false;     // by [divert]: nothing leaves
  bool stale = false;        // from expired answers, as DNS does not answer
  std::string domain;
  // Sorted by preference, then name; only hosts with an address that may be used.
  std::vector<MailHost> hosts;
  // The identity of the set of MX hosts: their names, sorted, joined by ','. Domains with one set
  // share it. Empty unless `kind` is hosts.
  std::string site;
  std::string reason;  // for all kinds but hosts: what a person reads
  Instant expires_at;
};

using ResolutionPtr = std::shared_ptr<const Resolution>;

constexpr bool is_permanent(Resolution::Kind kind) {
  return kind != Resolution::Kind::hosts && kind != Resolution::Kind::temporary;
}

// The outcome of a resolution that gives no hosts, as a reply of ours: code 0, the enhanced code
// (RFC 3463, 7505) and the reason.
Reply reply_of(const Resolution& resolution);

struct Target {
  uint32_t host = 0;  // index into Resolution::hosts
  SocketAddress address;
};

// The order of one attempt to connect: by preference, random within one preference (RFC 5321 5.1),
// a host's addresses in random order. Only addresses of `family`; none: of both.
std::vector<Target> attempt_order(const Resolution& resolution, IpAddress::Family family,
                                  Random& random);

}  // namespace postring::dns
