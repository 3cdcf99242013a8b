// Ids of what limits belong to: an egress source, a site (the identity of a set of MX hosts) and
// the lane between them.
//
// A source's number is its place in the configuration the process started with or reloaded; a site
// is named by a text that is equal for equal sets of hosts. Neither is written to disk.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "base/hash.h"

namespace postring::throttle {

using SourceNumber = uint16_t;
constexpr SourceNumber kSourcesMax = 1'024;

struct LaneId {
  SourceNumber source = 0;
  std::string site;

  auto operator<=>(const LaneId&) const = default;
  // Decides which worker owns the lane: equal on every worker.
  uint64_t hash() const { return hash64(site, source); }
};

}  // namespace postring::throttle
