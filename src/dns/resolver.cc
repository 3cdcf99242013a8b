#include "dns/resolver.h"

#include "base/check.h"
#include "dns/resolver_state.h"

namespace postring::dns {

Resolver::Resolver(DnsWire& wire, ResolverOptions options, Routes routes, AddressFilter filter)
    : state_(std::make_shared<State>(wire, options, std::move(routes), std::move(filter))) {}

Resolver::~Resolver() = default;

void Resolver::resolve(std::string_view domain, Instant now, Done done) {
  // A callback may let the resolver go.
  std::shared_ptr<State> keep = state_;
  keep->resolve(domain, now, std::move(done));
}

bool Resolver::flush(std::string_view name) {
  return state_->flush(name);
}

void Resolver::reconfigure(ResolverOptions options, Routes routes, AddressFilter filter) {
  state_->reconfigure(options, std::move(routes), std::move(filter));
}

ResolverStats Resolver::stats() const {
  return state_->stats();
}

}  // namespace postring::dns
