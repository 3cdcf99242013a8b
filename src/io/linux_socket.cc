#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "io/socket.h"

namespace postring {
namespace {

constexpr int kBacklog = 4'096;

std::unexpected<int> close_and_fail(int descriptor) {
  int error = errno;
  close(descriptor);
  return std::unexpected(error);
}

bool set_flag(int socket, int level, int option) {
  int on = 1;
  return setsockopt(socket, level, option, &on, sizeof(on)) == 0;
}

int domain_of(IpAddress::Family family) {
  return family == IpAddress::Family::v6 ? AF_INET6 : AF_INET;
}

}  // namespace

Result<int, int> open_stream(IpAddress::Family family, const IpAddress* source) {
  int fd = socket(domain_of(family), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return std::unexpected(errno);
  if (!set_flag(fd, IPPROTO_TCP, TCP_NODELAY)) return close_and_fail(fd);
  if (source == nullptr) return fd;
  // The port is chosen at connect, so that one source is not limited to 28,000 connections in all.
  if (!set_flag(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT)) return close_and_fail(fd);
  sockaddr_storage address;
  socklen_t length = SocketAddress{*source, 0}.to_system(address);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), length) != 0) return close_and_fail(fd);
  return fd;
}

Result<int, int> listen_on(const SocketAddress& address, bool shared) {
  int fd = socket(domain_of(address.ip.family), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return std::unexpected(errno);
  if (!set_flag(fd, SOL_SOCKET, SO_REUSEADDR)) return close_and_fail(fd);
  if (shared && !set_flag(fd, SOL_SOCKET, SO_REUSEPORT)) return close_and_fail(fd);
  // What is accepted inherits it.
  if (!set_flag(fd, IPPROTO_TCP, TCP_NODELAY)) return close_and_fail(fd);
  sockaddr_storage storage;
  socklen_t length = address.to_system(storage);
  if (bind(fd, reinterpret_cast<sockaddr*>(&storage), length) != 0) return close_and_fail(fd);
  if (listen(fd, kBacklog) != 0) return close_and_fail(fd);
  return fd;
}

Result<int, int> listen_on_path(const std::string& path, unsigned mode) {
  sockaddr_un address{};
  if (path.size() >= sizeof(address.sun_path)) return std::unexpected(ENAMETOOLONG);
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return std::unexpected(errno);
  unlink(path.c_str());
  // Nobody may connect before the permissions are the asked ones.
  mode_t before = umask(0177);
  int bound = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  int error = errno;
  umask(before);
  errno = error;
  if (bound != 0 || chmod(path.c_str(), mode) != 0 || listen(fd, kBacklog) != 0) {
    return close_and_fail(fd);
  }
  return fd;
}

SocketAddress local_address(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length);
  return SocketAddress::from_system(reinterpret_cast<sockaddr*>(&address));
}

void close_descriptor(int descriptor) { close(descriptor); }

}  // namespace postring
