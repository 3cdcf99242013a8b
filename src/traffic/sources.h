// Sources: the addresses mail leaves from.
//
// SourceList is the configuration, immutable and the same on every worker. SourceStates is one
// worker's knowledge of which of them can be used: an address this machine does not have stops its
// source, with a reason, until it is tried again; the others go on.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "io/socket_address.h"
#include "throttle/ids.h"

namespace postring::traffic {

struct Source {
  std::string name;
  // Family none: the system chooses; such a source reaches IPv4 and IPv6.
  IpAddress address;
  std::string ehlo_name;  // an A-label domain

  bool operator==(const Source&) const = default;
};

class SourceList {
 public:
  // At least one, at most kSourcesMax, names distinct.
  explicit SourceList(std::vector<Source> sources);

  size_t size() const { return sources_.size(); }
  const Source& operator[](throttle::SourceNumber number) const;
  std::optional<throttle::SourceNumber> find(std::string_view name) const;

 private:
  std::vector<Source> sources_;
};

class SourceStates {
 public:
  explicit SourceStates(size_t sources) : states_(sources) {}

  // The address could not be bound: the source stands still until `until`.
  void stop(throttle::SourceNumber source, std::string reason, Instant until);
  void resume(throttle::SourceNumber source);
  bool usable(throttle::SourceNumber source, Instant now) const;
  // When it is tried again; `now` where it is usable.
  Instant usable_at(throttle::SourceNumber source, Instant now) const;
  // In words; empty where it is usable.
  std::string_view reason(throttle::SourceNumber source, Instant now) const;

 private:
  struct State {
    std::string reason;
    Instant until;
    bool stopped = false;
  };
  std::vector<State> states_;
};

}  // namespace postring::traffic
