#include "sim/dns_world.h"

#include "dns/wire_builder.h"

namespace postring::sim {
namespace {

constexpr uint16_t kTypeA = 1, kTypeMx = 15;
constexpr uint32_t kTtl = 120;
constexpr uint8_t kNxDomain = 3;
constexpr std::string_view kAliased = "aliased.";
// Nobody answers there.
const IpAddress kDeadAddress = IpAddress::v4(20, 255, 255, 1);

}  // namespace

void DnsWorld::add(Domain domain) {
  by_name_[domain.name] = domains_.size();
  addresses_["mx." + domain.name] = domain.host;
  addresses_["dead." + domain.name] = kDeadAddress;
  if (domain.kind == DomainKind::no_mx) addresses_[domain.name] = domain.host;
  domains_.push_back(std::move(domain));
}

const Domain* DnsWorld::find(const std::string& name) const {
  auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &domains_[found->second];
}

bool DnsWorld::takes_no_mail(const std::string& address) const {
  const Domain* domain = find(address.substr(address.find('@') + 1));
  return domain == nullptr || domain->kind == DomainKind::null_mx ||
         domain->kind == DomainKind::missing || domain->kind == DomainKind::loop;
}

// What the other name says: it has the MX, or leads back.
std::string DnsWorld::answer_aliased(const std::string& name, const Domain& domain,
                                     uint16_t type) const {
  dns::WireBuilder wire(name, type);
  if (domain.kind == DomainKind::loop) return wire.cname(name, kTtl, domain.name).bytes();
  if (type == kTypeMx) return wire.mx(name, kTtl, 10, "mx." + domain.name).bytes();
  return wire.soa(name, 60, 60).bytes();
}

std::string DnsWorld::answer(const std::string& name, uint16_t type) const {
  const Domain* domain = find(name);
  if (name.starts_with(kAliased)) {
    const Domain* aliased = find(name.substr(kAliased.size()));
    if (aliased != nullptr) return answer_aliased(name, *aliased, type);
  }
  bool is_alias = domain != nullptr &&
                  (domain->kind == DomainKind::alias || domain->kind == DomainKind::loop);
  if (is_alias) {
    dns::WireBuilder wire(name, type);
    return wire.cname(name, kTtl, std::string(kAliased) + name).bytes();
  }
  auto address = addresses_.find(name);
  bool missing = domain != nullptr ? domain->kind == DomainKind::missing
                                   : address == addresses_.end();
  if (missing) return dns::WireBuilder(name, type, kNxDomain).soa("example", 60, 60).bytes();
  dns::WireBuilder wire(name, type);
  if (type == kTypeA && address != addresses_.end()) {
    const auto& ip = address->second.bytes;
    return wire.a(name, kTtl, {ip[0], ip[1], ip[2], ip[3]}).bytes();
  }
  if (type == kTypeMx && domain != nullptr) {
    switch (domain->kind) {
      case DomainKind::null_mx:
        return wire.mx(name, kTtl, 0, "").bytes();
      case DomainKind::dead_first:
        wire.mx(name, kTtl, 5, "dead." + name);
        return wire.mx(name, kTtl, 10, "mx." + name).bytes();
      case DomainKind::shared:
        return wire.mx(name, kTtl, 10, "mx." + domains_[0].name).bytes();
      case DomainKind::plain:
        return wire.mx(name, kTtl, 10, "mx." + name).bytes();
      case DomainKind::no_mx:
      case DomainKind::missing:
      case DomainKind::alias:
      case DomainKind::loop:
        break;
    }
  }
  return wire.soa(name, 60, 60).bytes();
}

}  // namespace postring::sim
