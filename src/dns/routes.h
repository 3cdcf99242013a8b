// Routes: where mail goes because the configuration says so, not DNS.
//
//   exact     "example.com"    that domain
//   below     "*.example.com"  the domains below it, at any depth
//   all       "*"              everything else: a smart host
//
// The most specific pattern wins. A diversion wins over everything: with it, nothing leaves.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/socket_address.h"

namespace postring::dns {

struct RouteTarget {
  std::string host;             // a name, or an address
  std::optional<IpAddress> ip;  // set where `host` is an address
  uint16_t port = 25;

  // "mx.example.com", "mx.example.com:2525", "192.0.2.1:25", "[2001:db8::1]:25", "[2001:db8::1]".
  static Result<RouteTarget> parse(std::string_view text);
};

struct Route {
  std::string pattern;
  std::vector<RouteTarget> targets;  // tried in this order
};

class Routes {
 public:
  Routes() = default;

  // Says which route is wrong and what was expected.
  static Result<Routes> create(std::vector<Route> routes, std::optional<RouteTarget> divert);

  // `domain` in lower case without a final dot. nullptr: ask DNS.
  const Route* find(std::string_view domain) const;
  bool diverts() const { return divert_.has_value(); }

 private:
  std::map<std::string, Route, std::less<>> exact_;
  std::map<std::string, Route, std::less<>> below_;
  std::optional<Route> all_;
  std::optional<Route> divert_;
};

}  // namespace postring::dns
