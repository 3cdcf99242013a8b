// SocketAddress and IpAddress: IPv4 and IPv6 as values, with their texts.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

struct sockaddr;
struct sockaddr_storage;

namespace postring {

struct IpAddress {
  enum class Family : uint8_t { none = 0, v4 = 4, v6 = 6 };

  Family family = Family::none;
  std::array<uint8_t, 16> bytes{};  // network order; IPv4 uses the first four

  static IpAddress v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d);
  static std::optional<IpAddress> parse(std::string_view text);
  std::string text() const;
  auto operator<=>(const IpAddress&) const = default;
};

struct SocketAddress {
  IpAddress ip;
  uint16_t port = 0;

  // "127.0.0.1:25" or "[::1]:25".
  static std::optional<SocketAddress> parse(std::string_view text);
  std::string text() const;
  // Fills `out` and returns its length for system calls.
  uint32_t to_system(sockaddr_storage& out) const;
  static SocketAddress from_system(const sockaddr* address);
  auto operator<=>(const SocketAddress&) const = default;
};

}  // namespace postring
