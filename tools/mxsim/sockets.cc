#include "sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>

namespace mxsim {
namespace {

constexpr int kBacklog = 4096;

uint32_t address_in(const sockaddr_storage& storage) {
  if (storage.ss_family != AF_INET) return 0;
  sockaddr_in address;
  std::memcpy(&address, &storage, sizeof address);
  return ntohl(address.sin_addr.s_addr);
}

socklen_t fill(sockaddr_storage& storage, std::string_view address, uint16_t port) {
  std::string text(address);
  if (text.find(':') != std::string::npos) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr);
    std::memcpy(&storage, &v6, sizeof v6);
    return sizeof v6;
  }
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  inet_pton(AF_INET, text.c_str(), &v4.sin_addr);
  std::memcpy(&storage, &v4, sizeof v4);
  return sizeof v4;
}

}  // namespace

int open_socket(Transport transport, std::string_view address, uint16_t port, bool shared) {
  sockaddr_storage storage{};
  socklen_t size = fill(storage, address, port);
  int type = transport == Transport::kTcp ? SOCK_STREAM : SOCK_DGRAM;
  int fd = socket(storage.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int one = 1;
  if (transport == Transport::kTcp) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  if (storage.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  if (transport == Transport::kUdp) {
    int bytes = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
  if (bind(fd, reinterpret_cast<sockaddr*>(&storage), size) != 0 ||
      (transport == Transport::kTcp && listen(fd, kBacklog) != 0)) {
    close(fd);
    return -1;
  }
  return fd;
}

uint16_t port_of(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  // The port lies at the same place in both families.
  sockaddr_in address;
  std::memcpy(&address, &storage, sizeof address);
  return ntohs(address.sin_port);
}

uint32_t local_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  return address_in(storage);
}

uint32_t peer_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  return address_in(storage);
}

void reset_connection(int fd) {
  linger at_once{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(fd);
}

void set_no_delay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

}  // namespace mxsim
