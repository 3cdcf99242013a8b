// The socket seam: descriptors of the simulated machine.
#include <cerrno>

#include "base/check.h"
#include "io/socket.h"
#include "sim/machine.h"

namespace postring {

using sim::Listener;
using sim::Machine;
using sim::machine;

Result<int, int> open_stream(IpAddress::Family, const IpAddress*) {
  return machine().open(sim::OpenSocket{});
}

Result<int, int> listen_on(const SocketAddress& address, bool) {
  auto listener = std::make_shared<Listener>();
  listener->address = address;
  machine().net.add_listener(listener);
  return machine().open(std::move(listener));
}

Result<int, int> listen_on_path(const std::string& path, unsigned) {
  auto listener = std::make_shared<Listener>();
  listener->path = path;
  machine().net.add_listener(listener);
  return machine().open(std::move(listener));
}

SocketAddress local_address(int socket) {
  if (auto* listener = machine().find<std::shared_ptr<Listener>>(socket)) {
    return (*listener)->address;
  }
  return SocketAddress{IpAddress::v4(192, 0, 2, 1), 49'152};
}

void close_descriptor(int descriptor) { machine().close(descriptor); }

}  // namespace postring
