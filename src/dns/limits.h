// The bounds of DNS.
#pragma once

#include <cstddef>
#include <cstdint>

namespace postring::dns {

constexpr size_t kNameBytesMax = 255;        // RFC 1035 2.3.4
constexpr size_t kRecordsMax = 512;          // read from one answer; the rest is left unread
constexpr size_t kMailHostsMax = 32;         // of one domain, the most preferred ones
constexpr size_t kAddressesPerHostMax = 32;  // and family
constexpr size_t kCnamesMax = 8;             // in one chain
constexpr size_t kRouteTargetsMax = 32;

}  // namespace postring::dns
