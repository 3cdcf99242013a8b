// The dns_wire seam: a question in, the answer's bytes or an error out.
//
//   wire.query("example.com", 15, [this](DnsWireAnswer answer, Instant now) { ... });
//
// What the bytes mean is dns/message.h's business; retries over servers, UDP and TCP are done here.
// `done` runs exactly once, in a later loop turn, never inside query(); where the wire goes first,
// it runs with DnsWireError::cancelled. An answer that says NXDOMAIN is an answer, not an error.
// The caller bounds how many questions it has in flight.
//
// Production: src/io/linux_dns_wire.cc on c-ares. Simulation: tests/sim.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "io/socket_address.h"

namespace postring {

class Loop;

enum class DnsWireError : uint8_t {
  timeout,         // no server answered in time
  server_failure,  // SERVFAIL, REFUSED or NOTIMP
  unreachable,     // no server could be asked, or all failed (c-ares does not tell them apart)
  malformed,       // the answer or the question is not a DNS message
  cancelled        // the wire is going
};

constexpr const char* text_of(DnsWireError error) {
  switch (error) {
    case DnsWireError::timeout:
      return "no DNS server answered in time";
    case DnsWireError::server_failure:
      return "the DNS server reported a failure";
    case DnsWireError::unreachable:
      return "no DNS server could be reached, or all reported a failure";
    case DnsWireError::malformed:
      return "the DNS answer is malformed";
    case DnsWireError::cancelled:
      return "the DNS query was cancelled";
  }
  return "?";
}

// The whole message, header included. Valid only during the call.
using DnsWireAnswer = Result<std::string_view, DnsWireError>;

struct DnsWireOptions {
  std::vector<SocketAddress> servers;       // asked in order; none: those of /etc/resolv.conf
  Duration timeout = Duration::seconds(5);  // of the first try; later ones wait longer
  int tries = 3;                            // over all servers: servers * tries questions
};

class DnsWire {
 public:
  using Done = std::move_only_function<void(DnsWireAnswer answer, Instant now)>;

  static Result<std::unique_ptr<DnsWire>> create(Loop& loop, DnsWireOptions options);

  DnsWire(const DnsWire&) = delete;
  DnsWire& operator=(const DnsWire&) = delete;
  virtual ~DnsWire() = default;

  // `name` in ASCII presentation form; `type` as RFC 1035 numbers it (A 1, MX 15, AAAA 28).
  virtual void query(const std::string& name, uint16_t type, Done done) = 0;

 protected:
  DnsWire() = default;
};

}  // namespace postring
