// What a Config holds, as text: for printing and for finding what a reload changes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/time_text.h"
#include "engine/config.h"
#include "engine/config_reader.h"

namespace postring::engine {

namespace {

using Values = std::vector<std::pair<std::string, std::string>>;

// The name is in the Message-ID of what waits, and every attempt sends the same bytes.
constexpr std::string_view kRestartKeys[] = {"workers",     "hostname",
                                             "http.listen", "http.insecure_listen",
                                             "control.socket", "control.mode"};

bool needs_restart(std::string_view key) {
  return key.starts_with("spool.") ||
         std::ranges::find(kRestartKeys, key) != std::end(kRestartKeys);
}

std::string text_of(Duration duration) {
  return duration.us == 0 ? "0s" : duration_text(duration);
}
std::string text_of(bool value) {
  return value ? "true" : "false";
}
std::string text_of(uint32_t value) {
  return std::to_string(value);
}
std::string text_of(throttle::Rate rate) {
  return std::to_string(rate.count);
}
std::string text_of(const SocketAddress& address) {
  return address.text();
}
std::string text_of(const dns::Network& network) {
  return fmt::format("{}/{}", network.ip.text(), network.prefix_bits);
}
std::string text_of(const dns::RouteTarget& target) {
  bool bracket = target.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", bracket ? "[" : "", target.host, bracket ? "]" : "", target.port);
}
std::string text_of(traffic::Pipelining value) {
  switch (value) {
    case traffic::Pipelining::off:
      return "off";
    case traffic::Pipelining::within:
      return "within";
    case traffic::Pipelining::across:
      return "across";
  }
  return "?";
}
std::string text_of(traffic::LostFinalReply value) {
  return value == traffic::LostFinalReply::retry ? "retry" : "assume_delivered";
}

template <typename T>
std::string text_of(const std::vector<T>& list) {
  std::vector<std::string> texts;
  for (const T& entry : list) texts.push_back(text_of(entry));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

template <typename T>
void add(Values& out, const std::string& prefix, std::string_view key,
         const std::optional<T>& value) {
  if (value) out.emplace_back(fmt::format("{}.{}", prefix, key), text_of(*value));
}

void add_override(Values& out, const std::string& prefix, const traffic::Override& limits) {
  add(out, prefix, "connections", limits.connections);
  add(out, prefix, "messages_per_connection", limits.messages_per_connection);
  add(out, prefix, "messages_per_second", limits.rate);
  add(out, prefix, "burst", limits.burst);
  add(out, prefix, "pipelining", limits.pipelining);
  add(out, prefix, "chunking", limits.chunking);
  add(out, prefix, "retry", limits.retry);
  add(out, prefix, "max_age", limits.max_age);
  add(out, prefix, "on_lost_final_reply", limits.on_lost_final_reply);
  add(out, prefix, "connect_timeout", limits.connect_timeout);
  add(out, prefix, "idle_timeout", limits.idle_timeout);
}

void add_daemon(Values& out, const Config& config) {
  out.emplace_back("workers", std::to_string(config.workers));
  out.emplace_back("hostname", config.hostname);
  out.emplace_back("postmaster", config.postmaster);
  out.emplace_back("spool.dir", config.spool.dir);
  out.emplace_back("spool.segment_size", size_text(config.spool.segment_size));
  out.emplace_back("spool.reserve_segments", std::to_string(config.spool.reserve_segments));
  out.emplace_back("spool.outcome_sync", text_of(config.spool.outcome_sync));
  out.emplace_back("spool.campaign_age", text_of(config.spool.campaign_age));
  out.emplace_back("spool.free_min", size_text(config.spool.free_min));
  out.emplace_back("events.keep", text_of(config.events.keep));
  out.emplace_back("events.keep_bytes", size_text(config.events.keep_bytes));
  out.emplace_back("http.listen", text_of(config.http.listen));
  out.emplace_back("http.insecure_listen", text_of(config.http.insecure_listen));
  out.emplace_back("http.connections", std::to_string(config.http.connections));
  out.emplace_back("http.body_bytes", size_text(config.http.body_bytes));
  out.emplace_back("http.batch_lines", std::to_string(config.http.batch_lines));
  out.emplace_back("http.timeout", text_of(config.http.timeout));
  out.emplace_back("http.header_timeout", text_of(config.http.header_timeout));
  out.emplace_back("http.idle_timeout", text_of(config.http.idle_timeout));
  out.emplace_back("control.socket", config.control.socket);
  out.emplace_back("control.mode", fmt::format("{:04o}", config.control.mode));
}

void add_sending(Values& out, const Config& config) {
  for (const traffic::Source& source : config.sources) {
    std::string prefix = fmt::format("source '{}'", source.name);
    out.emplace_back(prefix + ".address", source.address.family == IpAddress::Family::none
                                              ? "the system's choice"
                                              : source.address.text());
    out.emplace_back(prefix + ".ehlo", source.ehlo_name);
  }
  out.emplace_back("dns.servers", text_of(config.dns.servers));
  out.emplace_back("dns.timeout", text_of(config.dns.timeout));
  out.emplace_back("dns.tries", std::to_string(config.dns.tries));
  out.emplace_back("dns.names_in_flight", std::to_string(config.dns.names_in_flight));
  out.emplace_back("dns.cache_names", std::to_string(config.dns.cache_names));
  out.emplace_back("dns.negative_ttl_max", text_of(config.dns.negative_ttl_max));
  out.emplace_back("dns.allow_networks", text_of(config.dns.allow_networks));
  if (config.divert) out.emplace_back("divert.all", text_of(*config.divert));
  for (const dns::Route& route : config.routes)
    out.emplace_back(fmt::format("route '{}'.hosts", route.pattern), text_of(route.targets));

  const DeliveryConfig& delivery = config.delivery;
  add_override(out, "delivery", delivery.limits);
  out.emplace_back("delivery.retry", text_of(delivery.retry));
  out.emplace_back("delivery.max_age", text_of(delivery.max_age));
  out.emplace_back("delivery.port", std::to_string(delivery.port));
  out.emplace_back("delivery.connections_max", std::to_string(delivery.connections_max));
  out.emplace_back("delivery.stop_wait", text_of(delivery.stop_wait));
  for (const traffic::NamedOverride& rule : config.domains)
    add_override(out, fmt::format("domain '{}'", rule.pattern), rule.override);
  for (const traffic::NamedOverride& rule : config.mx_suffixes)
    add_override(out, fmt::format("mx '{}'", rule.pattern), rule.override);
  constexpr std::string_view kLevels[] = {"error", "warning", "info", "debug"};
  out.emplace_back("log.level", kLevels[static_cast<size_t>(config.log_level)]);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> config_values(const Config& config) {
  Values out;
  add_daemon(out, config);
  add_sending(out, config);
  return out;
}

std::vector<ConfigChange> config_changes(const Config& start, const Config& before,
                                         const Config& after) {
  std::vector<ConfigChange> changes = config_diff(start, after);
  std::erase_if(changes, [](const ConfigChange& change) { return !change.needs_restart; });
  for (ConfigChange& change : config_diff(before, after)) {
    if (!change.needs_restart) changes.push_back(std::move(change));
  }
  return changes;
}

std::vector<ConfigChange> config_diff(const Config& before, const Config& after) {
  Values old_values = config_values(before);
  Values new_values = config_values(after);
  std::map<std::string, std::string> old_by_key(old_values.begin(), old_values.end());
  std::map<std::string, std::string> new_by_key(new_values.begin(), new_values.end());
  std::vector<ConfigChange> changes;
  for (const auto& [key, value] : new_values) {
    auto old = old_by_key.find(key);
    if (old != old_by_key.end() && old->second == value) continue;
    changes.push_back({key, old == old_by_key.end() ? "" : old->second, value, needs_restart(key)});
  }
  for (const auto& [key, value] : old_values)
    if (!new_by_key.contains(key)) changes.push_back({key, value, "", needs_restart(key)});
  return changes;
}

}  // namespace postring::engine
