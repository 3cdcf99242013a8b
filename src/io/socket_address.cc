#include "io/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <charconv>
#include <cstring>

#include "base/check.h"

namespace postring {

IpAddress IpAddress::v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  IpAddress address;
  address.family = Family::v4;
  address.bytes = {a, b, c, d};
  return address;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  std::string zero_ended(text);
  IpAddress address;
  if (inet_pton(AF_INET, zero_ended.c_str(), address.bytes.data()) == 1) {
    address.family = Family::v4;
    return address;
  }
  if (inet_pton(AF_INET6, zero_ended.c_str(), address.bytes.data()) == 1) {
    address.family = Family::v6;
    return address;
  }
  return std::nullopt;
}

std::string IpAddress::text() const {
  if (family == Family::none) return "none";
  char text[INET6_ADDRSTRLEN];
  inet_ntop(family == Family::v4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof(text));
  return text;
}

std::optional<SocketAddress> SocketAddress::parse(std::string_view text) {
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon), digits = text.substr(colon + 1);
  bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  SocketAddress address;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  auto ip = IpAddress::parse(host);
  if (!ip || (ip->family == IpAddress::Family::v6) != bracketed) return std::nullopt;
  address.ip = *ip;
  return address;
}

std::string SocketAddress::text() const {
  std::string host = ip.text();
  if (ip.family == IpAddress::Family::v6) host = "[" + host + "]";
  return host + ":" + std::to_string(port);
}

uint32_t SocketAddress::to_system(sockaddr_storage& out) const {
  std::memset(&out, 0, sizeof(out));
  if (ip.family == IpAddress::Family::v6) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, ip.bytes.data(), 16);
    return sizeof(v6);
  }
  CHECK(ip.family == IpAddress::Family::v4);
  auto& v4 = reinterpret_cast<sockaddr_in&>(out);
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  std::memcpy(&v4.sin_addr, ip.bytes.data(), 4);
  return sizeof(v4);
}

SocketAddress SocketAddress::from_system(const sockaddr* address) {
  SocketAddress result;
  if (address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    result.ip.family = IpAddress::Family::v4;
    std::memcpy(result.ip.bytes.data(), &v4->sin_addr, 4);
    result.port = ntohs(v4->sin_port);
  } else if (address->sa_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
    result.ip.family = IpAddress::Family::v6;
    std::memcpy(result.ip.bytes.data(), &v6->sin6_addr, 16);
    result.port = ntohs(v6->sin6_port);
  }
  return result;
}

}  // namespace postring
