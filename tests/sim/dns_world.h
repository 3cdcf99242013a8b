// DnsWorld: the names of the simulated world: domains with their MX hosts and addresses.
//
// A domain is plain, has a dead host in front of a good one, has no MX (its own address counts),
// shares its hosts with others, takes no mail (a null MX), does not exist, or is another name: for
// one that is plain, or for itself. Which it is stays so for the whole run: what becomes of its
// recipients is known from the beginning.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "io/dns_wire.h"
#include "io/socket_address.h"

namespace postring::sim {

enum class DomainKind : uint8_t {
  plain,
  dead_first,
  no_mx,
  shared,
  null_mx,
  missing,
  alias,
  loop
};

struct Domain {
  std::string name;
  DomainKind kind = DomainKind::plain;
  IpAddress host;
};

class DnsWorld {
 public:
  void add(Domain domain);
  const std::vector<Domain>& domains() const { return domains_; }
  const Domain* find(const std::string& name) const;

  // Of an address's domain: it says so itself, does not exist, or leads nowhere.
  bool takes_no_mail(const std::string& address) const;

  // The answer's bytes.
  std::string answer(const std::string& name, uint16_t type) const;

 private:
  std::string answer_aliased(const std::string& name, const Domain& domain, uint16_t type) const;

  std::vector<Domain> domains_;
  std::map<std::string, size_t> by_name_;
  std::map<std::string, IpAddress> addresses_;  // of hosts
};

}  // namespace postring::sim
