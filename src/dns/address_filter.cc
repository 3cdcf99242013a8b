#include "dns/address_filter.h"

#include <algorithm>
#include <charconv>

namespace postring::dns {
namespace {

struct Special {
  const char* network;
  const char* what;
};

// RFC 6890 and its registries, what of them is never a public mail host. Longer prefixes first
// where they say it better.
constexpr Special kSpecial[] = {
    {"0.0.0.0/8", "an unspecified address"},
    {"10.0.0.0/8", "a private address"},
    {"100.64.0.0/10", "a carrier's private address"},
    {"127.0.0.0/8", "a loopback address"},
    {"169.254.0.0/16", "a link-local address"},
    {"172.16.0.0/12", "a private address"},
    {"192.0.0.0/24", "a reserved address"},
    {"192.0.2.0/24", "a documentation address"},
    {"192.168.0.0/16", "a private address"},
    {"198.18.0.0/15", "a benchmarking address"},
    {"198.51.100.0/24", "a documentation address"},
    {"203.0.113.0/24", "a documentation address"},
    {"224.0.0.0/4", "a multicast address"},
    {"240.0.0.0/4", "a reserved address"},
    {"::/128", "an unspecified address"},
    {"::1/128", "a loopback address"},
    {"::/96", "a reserved address"},
    {"100::/64", "a discard address"},
    {"2001:db8::/32", "a documentation address"},
    {"fc00::/7", "a private address"},
    {"fe80::/10", "a link-local address"},
    {"fec0::/10", "a site-local address"},
    {"ff00::/8", "a multicast address"},
};

std::vector<std::pair<Network, const char*>> special_networks() {
  std::vector<std::pair<Network, const char*>> networks;
  for (const Special& special : kSpecial)
    networks.emplace_back(*Network::parse(special.network), special.what);
  return networks;
}

IpAddress v4_at(const IpAddress& address, size_t at) {
  return IpAddress::v4(address.bytes[at], address.bytes[at + 1], address.bytes[at + 2],
                       address.bytes[at + 3]);
}

bool starts_with(const IpAddress& address, std::initializer_list<uint8_t> prefix) {
  return std::equal(prefix.begin(), prefix.end(), address.bytes.begin());
}

// The IPv4 address an IPv6 address stands for: mapped, compatible, NAT64 (RFC 6052), 6to4.
std::optional<IpAddress> embedded_v4(const IpAddress& address) {
  if (address.family != IpAddress::Family::v6) return std::nullopt;
  if (starts_with(address, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})) return v4_at(address, 12);
  if (starts_with(address, {0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}))
    return v4_at(address, 12);
  if (starts_with(address, {0x20, 0x02})) return v4_at(address, 2);
  if (starts_with(address, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})) {
    IpAddress v4 = v4_at(address, 12);
    // "::" and "::1" have names of their own.
    if (v4.bytes[0] != 0) return v4;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Network> Network::parse(std::string_view text) {
  size_t slash = text.find('/');
  std::optional<IpAddress> ip = IpAddress::parse(text.substr(0, slash));
  if (!ip) return std::nullopt;
  uint8_t bits_max = ip->family == IpAddress::Family::v4 ? 32 : 128;
  Network network{.ip = *ip, .prefix_bits = bits_max};
  if (slash == std::string_view::npos) return network;
  std::string_view number = text.substr(slash + 1);
  auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), network.prefix_bits);
  if (error != std::errc{} || end != number.data() + number.size()) return std::nullopt;
  if (network.prefix_bits > bits_max) return std::nullopt;
  return network;
}

bool Network::contains(const IpAddress& address) const {
  if (address.family != ip.family) return false;
  size_t whole = prefix_bits / 8u;
  if (!std::equal(ip.bytes.begin(), ip.bytes.begin() + static_cast<ptrdiff_t>(whole),
                  address.bytes.begin()))
    return false;
  unsigned rest = prefix_bits % 8u;
  if (rest == 0) return true;
  auto mask = static_cast<uint8_t>(0xff00u >> rest);
  return (ip.bytes[whole] & mask) == (address.bytes[whole] & mask);
}

AddressFilter::AddressFilter() : AddressFilter({}, {}) {}

AddressFilter::AddressFilter(std::vector<Network> allowed, std::vector<IpAddress> own)
    : allowed_(std::move(allowed)), own_(std::move(own)), special_(special_networks()) {}

const char* AddressFilter::refusal(const IpAddress& address) const {
  std::optional<IpAddress> v4 = embedded_v4(address);
  const IpAddress& judged = v4 ? *v4 : address;
  for (const Network& network : allowed_)
    if (network.contains(address) || network.contains(judged)) return nullptr;
  for (const auto& [network, what] : special_)
    if (network.contains(judged)) return what;
  for (const IpAddress& own : own_)
    if (own == judged || own == address) return "an address of this machine";
  return nullptr;
}

}  // namespace postring::dns
