// Sockets: making and closing them. Belongs to the ring seam: what is opened here is used with
// io/ring.h.
#pragma once

#include "base/result.h"
#include "io/socket_address.h"

namespace postring {

// A non-blocking TCP socket with TCP_NODELAY, bound to `source` where it is given (port 0, with
// IP_BIND_ADDRESS_NO_PORT). The error is an errno: EMFILE, EADDRNOTAVAIL, ...
Result<int, int> open_stream(IpAddress::Family family, const IpAddress* source);

// Listens on the address (SO_REUSEADDR; with `shared`, SO_REUSEPORT, so that every worker has a
// listener of its own). The error is an errno.
Result<int, int> listen_on(const SocketAddress& address, bool shared);

// A listener on a Unix socket; a stale one is replaced. `mode` are its file permissions.
Result<int, int> listen_on_path(const std::string& path, unsigned mode);

// The address a socket is bound to, its port chosen.
SocketAddress local_address(int socket);

void close_descriptor(int descriptor);

}  // namespace postring
