#include "delivery/targets.h"

#include <algorithm>

#include "base/check.h"
#include "base/mark.h"
#include "delivery/backoff.h"

namespace postring::delivery {

void Targets::set(dns::ResolutionPtr resolution) {
  CHECK(resolution->kind == dns::Resolution::Kind::hosts);
  resolution_ = std::move(resolution);
  std::erase_if(rests_, [this](const auto& rest) {
    return std::ranges::none_of(resolution_->hosts, [&](const dns::MailHost& host) {
      return host.port == rest.first.port &&
             std::ranges::find(host.addresses, rest.first.ip) != host.addresses.end();
    });
  });
}

bool Targets::rests(const SocketAddress& address, Instant now) const {
  auto found = rests_.find(address);
  return found != rests_.end() && now < found->second.until;
}

std::optional<dns::Target> Targets::pick(Instant now, Random& random) const {
  std::optional<dns::Target> picked;
  uint64_t hosts_seen = 0;
  for (uint32_t i = 0; i < resolution_->hosts.size(); ++i) {
    const dns::MailHost& host = resolution_->hosts[i];
    // Sorted by preference: a less preferred host is looked at only where none was usable.
    if (picked && host.preference != resolution_->hosts[picked->host].preference) break;
    std::optional<SocketAddress> address;
    uint64_t addresses_seen = 0;
    for (const IpAddress& ip : host.addresses) {
      SocketAddress candidate{ip, host.port};
      if (!fits(ip) || rests(candidate, now)) continue;
      if (random.below(++addresses_seen) == 0) address = candidate;
    }
    if (!address) continue;
    if (random.below(++hosts_seen) == 0) picked = dns::Target{i, *address};
  }
  bool is_next = picked && resolution_->hosts[picked->host].preference !=
                               resolution_->hosts.front().preference;
  if (is_next) mark(Mark::next_host);
  return picked;
}

void Targets::failed(const SocketAddress& address, Instant now, Random& random) {
  Rest& rest = rests_[address];
  ++rest.failures;
  rest.until = now + kConnectBackoff.after(rest.failures, random);
}

bool Targets::reachable() const {
  return std::ranges::any_of(resolution_->hosts, [this](const dns::MailHost& host) {
    return std::ranges::any_of(host.addresses, [this](const IpAddress& ip) { return fits(ip); });
  });
}

Instant Targets::next_at(Instant now) const {
  Instant next = Instant::never();
  for (const dns::MailHost& host : resolution_->hosts) {
    for (const IpAddress& ip : host.addresses) {
      if (!fits(ip)) continue;
      auto found = rests_.find({ip, host.port});
      if (found == rests_.end() || found->second.until <= now) return now;
      next = std::min(next, found->second.until);
    }
  }
  return next;
}

}  // namespace postring::delivery
