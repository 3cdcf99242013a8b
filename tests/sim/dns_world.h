// DnsWorld: the names of the simulated world: domains with their MX hosts and addresses.
//
// A domain is plain, has a dead host in front of a good one, has no MX (its own address counts),
// shares its hosts with others, takes no mail (a null MX), or does not exist. Which it is stays so
// for the whole run: what becomes of its recipients is known from the beginning.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "io/dns_wire.h"
#include "io/socket_address.h"

namespace postring::sim {

enum class DomainKind : uint8_t { plain, dead_first, no_mx, shared, null_mx, missing };

struct Domain {
  std::string name;
  DomainKind kind = DomainKind::plain;
  IpAddress host;
  bool takes_mail() const { return kind != DomainKind::null_mx && kind != DomainKind::missing; }
};

class DnsWorld {
 public:
  void add(Domain domain);
  const std::vector<Domain>& domains() const { return domains_; }
  const Domain* find(const std::string& name) const;

  // The answer's bytes.
  std::string answer(const std::string& name, uint16_t type) const;

 private:
  std::vector<Domain> domains_;
  std::map<std::string, size_t> by_name_;
  std::map<std::string, IpAddress> addresses_;  // of hosts
};

}  // namespace postring::sim
