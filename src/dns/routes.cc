#include "dns/routes.h"

#include <charconv>

#include "dns/limits.h"
#include "dns/message.h"

namespace postring::dns {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (out.ends_with('.')) out.pop_back();
  return out;
}

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

}  // namespace

Result<RouteTarget> RouteTarget::parse(std::string_view text) {
  auto wrong = [&](std::string_view what) {
    return fail("'" + std::string(text) + "' is no mail host: " + std::string(what) +
                "; expected HOST, HOST:PORT, ADDRESS:PORT or [IPV6]:PORT");
  };
  RouteTarget target;
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    size_t close = text.find(']');
    if (close == std::string_view::npos) return wrong("']' is missing");
    host = text.substr(1, close - 1);
    std::string_view behind = text.substr(close + 1);
    if (!behind.empty() && !behind.starts_with(':')) return wrong("':' is missing behind ']'");
    if (!behind.empty()) port = behind.substr(1);
    if (behind == ":") return wrong("the port is missing");
  } else if (size_t colon = text.find(':');
             colon != std::string_view::npos && text.find(':', colon + 1) == text.npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty()) return wrong("the port is missing");
  }
  if (!port.empty()) {
    std::optional<uint16_t> number = parse_port(port);
    if (!number) return wrong("the port is no number from 1 to 65535");
    target.port = *number;
  }
  target.ip = IpAddress::parse(host);
  target.host = target.ip ? target.ip->text() : lower(host);
  if (!target.ip && !is_host_name(target.host)) return wrong("the name is not valid");
  return target;
}

Result<Routes> Routes::create(std::vector<Route> routes, std::optional<RouteTarget> divert) {
  Routes made;
  for (Route& route : routes) {
    std::string where = "route '" + route.pattern + "': ";
    if (route.targets.empty()) return fail(where + "has no host");
    if (route.targets.size() > kRouteTargetsMax)
      return fail(where + "has more than " + std::to_string(kRouteTargetsMax) + " hosts");
    std::string pattern = lower(route.pattern);
    bool added = false;
    if (pattern == "*") {
      added = !made.all_.has_value();
      made.all_ = std::move(route);
    } else {
      bool below = pattern.starts_with("*.");
      if (below) pattern.erase(0, 2);
      if (!is_host_name(pattern))
        return fail(where + "expected a domain, '*.DOMAIN' for those below it, or '*' for all");
      added = (below ? made.below_ : made.exact_).emplace(pattern, std::move(route)).second;
    }
    if (!added) return fail(where + "is there twice");
  }
  if (divert) made.divert_ = Route{.pattern = "*", .targets = {*divert}};
  return made;
}

const Route* Routes::find(std::string_view domain) const {
  if (divert_) return &*divert_;
  if (auto found = exact_.find(domain); found != exact_.end()) return &found->second;
  for (size_t dot = domain.find('.'); dot != std::string_view::npos && !below_.empty();
       dot = domain.find('.', dot + 1)) {
    if (auto found = below_.find(domain.substr(dot + 1)); found != below_.end())
      return &found->second;
  }
  return all_ ? &*all_ : nullptr;
}

}  // namespace postring::dns
