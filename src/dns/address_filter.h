// AddressFilter: which addresses DNS may send us to.
//
// Refused unless a configured network holds them: loopback, private, link-local, multicast,
// unspecified, reserved and documentation addresses (RFC 6890), IPv4 inside IPv6 judged as IPv4,
// and this machine's own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/socket_address.h"

namespace postring::dns {

// "10.0.0.0/8", "::1/128", "192.0.2.1": an address and how many of its leading bits count.
struct Network {
  IpAddress ip;
  uint8_t prefix_bits = 0;

  static std::optional<Network> parse(std::string_view text);
  bool contains(const IpAddress& address) const;
};

class AddressFilter {
 public:
  AddressFilter();
  AddressFilter(std::vector<Network> allowed, std::vector<IpAddress> own);

  // Why the address must not be used ("a private address"); nullptr: it may.
  const char* refusal(const IpAddress& address) const;

 private:
  std::vector<Network> allowed_;
  std::vector<IpAddress> own_;
  std::vector<std::pair<Network, const char*>> special_;  // and what such an address is called
};

}  // namespace postring::dns
