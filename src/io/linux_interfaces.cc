#include <ifaddrs.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/interfaces.h"

namespace postring {

std::vector<IpAddress> own_addresses() {
  std::vector<IpAddress> addresses;
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return addresses;
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    IpAddress address = SocketAddress::from_system(entry->ifa_addr).ip;
    if (address.family != IpAddress::Family::none) addresses.push_back(address);
  }
  freeifaddrs(first);
  return addresses;
}

std::string machine_name() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "localhost";
  return name;
}

}  // namespace postring
