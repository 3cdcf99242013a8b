// Status: what holds a lane or a destination, as `explain` and `top` show it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/units.h"
#include "mail/outcome.h"

namespace postring::delivery {

enum class LaneHold : uint8_t {
  nothing,         // mail flows, or there is none
  connecting,      // the first connection is being opened
  connections,     // as many connections as the limit allows are at work
  rate,            // so many messages per second were sent
  suspended,       // no connection could be had; tried again at `until`
  source_stopped,  // the source's address cannot be used
  no_route,        // no host has an address of the source's family
  descriptors,     // this process has all the connections it may have
  disk_full,       // a home has no room for what would become of its mail
  stopping         // the daemon is stopping
};

constexpr const char* name_of(LaneHold hold) {
  constexpr const char* kNames[] = {"nothing",        "connecting", "connections", "rate",
                                    "suspended",      "source_stopped", "no_route",
                                    "descriptors",    "disk_full",  "stopping"};
  return kNames[static_cast<uint8_t>(hold)];
}

struct LaneStatus {
  std::string source;  // name
  std::string site;    // MX hosts, joined by ','
  LaneHold hold = LaneHold::nothing;
  std::string reason;  // in words, with the last reply where there was one
  WallTime until;      // when it is tried again; not set: no time is known
  Reply last_reply;    // of a failed connection
  uint32_t connections = 0;
  uint32_t connections_max = 0;
  uint32_t destinations = 0;
  uint32_t ready = 0;  // messages pulled and not yet at a connection
  uint64_t delivered = 0;
  uint32_t rate_count = 0;  // per rate_period; 0: no limit
  Duration rate_period;
};

struct SourceStatus {
  std::string name;
  std::string address;  // empty: the system chooses
  std::string ehlo_name;
  bool stopped = false;
  std::string reason;  // of that
  WallTime until;      // tried again then
};

enum class DestinationHold : uint8_t {
  not_offered,  // nothing of it is ready
  resolving,    // DNS has been asked
  dns,          // DNS gave nothing to go by; asked again at `until`
  bouncing,     // DNS says that it takes no mail: its recipients are being bounced
  lanes         // its lanes tell
};

constexpr const char* name_of(DestinationHold hold) {
  constexpr const char* kNames[] = {"not_offered", "resolving", "dns", "bouncing", "lanes"};
  return kNames[static_cast<uint8_t>(hold)];
}

struct DestinationStatus {
  std::string domain;
  DestinationHold hold = DestinationHold::not_offered;
  std::string reason;
  WallTime until;
  std::vector<LaneStatus> lanes;
};

}  // namespace postring::delivery
