// Targets: which address of a site to connect to next (RFC 5321 section 5.1).
//
// The most preferred hosts first, one of them at random, one of its addresses at random. An address
// that failed rests, longer each time, and the next is taken at once: the other addresses of its
// preference, then the less preferred hosts. When all rest, the site is down until the first of
// them may be tried again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/random.h"
#include "base/units.h"
#include "dns/resolution.h"
#include "io/socket_address.h"

namespace postring::delivery {

class Targets {
 public:
  // Only addresses of `family` are used; none: of both.
  explicit Targets(IpAddress::Family family) : family_(family) {}

  // What is known of addresses that stay is kept. The resolution's kind is hosts.
  void set(dns::ResolutionPtr resolution);

  std::optional<dns::Target> pick(Instant now, Random& random) const;
  const dns::MailHost& host_of(const dns::Target& target) const {
    return resolution_->hosts[target.host];
  }

  void failed(const SocketAddress& address, Instant now, Random& random);
  void succeeded(const SocketAddress& address) { rests_.erase(address); }
  // Nothing rests any more.
  void forget() { rests_.clear(); }

  // Whether any address is of the family at all.
  bool reachable() const;
  // The earliest end of a rest; `now` where something may be tried at once, never() where nothing
  // is reachable.
  Instant next_at(Instant now) const;

  const dns::Resolution& resolution() const { return *resolution_; }

 private:
  struct Rest {
    uint32_t failures = 0;
    Instant until;
  };

  bool fits(const IpAddress& ip) const {
    return family_ == IpAddress::Family::none || ip.family == family_;
  }
  bool rests(const SocketAddress& address, Instant now) const;

  IpAddress::Family family_;
  dns::ResolutionPtr resolution_;
  std::map<SocketAddress, Rest> rests_;
};

}  // namespace postring::delivery
