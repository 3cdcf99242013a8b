// Sockets of the loopback network: made non-blocking, or the program ends saying why.
#pragma once

#include <cstdint>
#include <string_view>

namespace mxsim {

enum class Transport : uint8_t { kTcp, kUdp };

// `address` "0.0.0.0", "127.0.0.1" or "::1"; port 0 picks a free one. -1 where the port is taken or
// the address family is missing.
int open_socket(Transport transport, std::string_view address, uint16_t port, bool shared);
uint16_t port_of(int fd);
// In host byte order; 0 for IPv6.
uint32_t local_address(int fd);
uint32_t peer_address(int fd);
// Closes with RST instead of FIN.
void reset_connection(int fd);
void set_no_delay(int fd);

}  // namespace mxsim
