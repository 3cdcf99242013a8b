// Configuration: any text is either a configuration or a list of mistakes that can be shown; what a
// configuration holds, written as a file again, is read as the same.

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "engine/config.h"
#include "require.h"

namespace {

using namespace postring::engine;
using postring::dns::Network;
using postring::dns::Route;
using postring::dns::RouteTarget;
using postring::traffic::NamedOverride;
using postring::traffic::Override;

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    char escaped[8];
    std::snprintf(escaped, sizeof(escaped), "\\u%04x", static_cast<unsigned>(c));
    bool plain = c != '"' && c != '\\' && (static_cast<uint8_t>(c) >= 32 && c != 127);
    plain ? out += c : out += escaped;
  }
  return out + '"';
}

// As TOML: what kind of value a key has is not to be seen from its text.
std::string value_text(std::string_view key, std::string_view text) {
  static const std::set<std::string_view> kBare = {"workers",
                                                   "reserve_segments",
                                                   "connections",
                                                   "batch_lines",
                                                   "tries",
                                                   "names_in_flight",
                                                   "cache_names",
                                                   "messages_per_connection",
                                                   "messages_per_second",
                                                   "burst",
                                                   "port",
                                                   "connections_max",
                                                   "insecure_listen",
                                                   "chunking"};
  static const std::set<std::string_view> kLists = {"listen", "servers", "allow_networks", "hosts",
                                                    "retry"};
  if (kBare.contains(key)) return std::string(text);
  if (!kLists.contains(key)) return quoted(text);
  REQUIRE(text.starts_with('[') && text.ends_with(']'));
  text = text.substr(1, text.size() - 2);
  std::string out = "[";
  while (!text.empty()) {
    size_t end = std::min(text.find(", "), text.size());
    out += quoted(text.substr(0, end)) + ", ";
    text.remove_prefix(std::min(end + 2, text.size()));
  }
  return out + "]";
}

// "[spool]", or for "source 'a'": "[[source]]" and its name.
std::string table_text(std::string_view table) {
  static const std::map<std::string_view, std::string_view> kNames = {
      {"source", "name"}, {"route", "domain"}, {"domain", "name"}, {"mx", "suffix"}};
  size_t space = table.find(' ');
  if (space == std::string_view::npos) return "[" + std::string(table) + "]\n";
  std::string_view kind = table.substr(0, space);
  std::string_view name = table.substr(space + 2, table.size() - space - 3);
  // A suffix of MX hosts stands without the dot that a rule of domains has.
  std::string pattern = (kind == "domain" && name.starts_with('.') ? "*" : "") + std::string(name);
  return "[[" + std::string(kind) + "]]\n" + std::string(kNames.at(kind)) + " = " +
         quoted(pattern) + "\n";
}

std::string file_text(const Config& config) {
  std::string out, table;
  for (const auto& [name, value] : config_values(config)) {
    size_t dot = name.rfind('.');
    std::string of_table = dot == std::string::npos ? "" : name.substr(0, dot);
    std::string key = name.substr(dot == std::string::npos ? 0 : dot + 1);
    if (of_table != table) out += table_text(table = of_table);
    // Not set: the system's choice, or made of others.
    bool unset = value.empty() || value == "the system's choice";
    if (!unset) out += key + " = " + value_text(key, value) + "\n";
  }
  return out;
}

// Members, each of them: a new one does not compile here until it is compared.

auto members(const RouteTarget& target) {
  const auto& [host, ip, port] = target;
  return std::tie(host, ip, port);
}
auto members(const Network& network) {
  const auto& [ip, prefix_bits] = network;
  return std::tie(ip, prefix_bits);
}
auto members(const Override& limits) {
  const auto& [connections, messages, rate, burst, recipients, pipelining, chunking, lost, idle,
               connect, retry, max_age] = limits;
  return std::tie(connections, messages, rate, burst, recipients, pipelining, chunking, lost, idle,
                  connect, retry, max_age);
}
auto members(const SpoolConfig& spool) {
  const auto& [dir, segment_size, reserve, outcome_sync, campaign_age, free_min, window] = spool;
  return std::tie(dir, segment_size, reserve, outcome_sync, campaign_age, free_min, window);
}
auto members(const HttpConfig& http) {
  const auto& [listen, insecure, connections, bytes, lines, timeout, header, idle] = http;
  return std::tie(listen, insecure, connections, bytes, lines, timeout, header, idle);
}

template <typename T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return std::ranges::equal(a, b, [](const T& x, const T& y) { return members(x) == members(y); });
}

bool same(const Route& a, const Route& b) {
  return a.pattern == b.pattern && same(a.targets, b.targets);
}

bool same(const DnsConfig& a, const DnsConfig& b) {
  const auto& [servers, timeout, tries, names, cached, negative, networks] = a;
  return std::tie(servers, timeout, tries, names, cached, negative) ==
             std::tie(b.servers, b.timeout, b.tries, b.names_in_flight, b.cache_names,
                      b.negative_ttl_max) &&
         same(networks, b.allow_networks);
}

bool same(const DeliveryConfig& a, const DeliveryConfig& b) {
  const auto& [limits, retry, max_age, port, stop_wait, connections_max] = a;
  return members(limits) == members(b.limits) &&
         std::tie(retry, max_age, port, stop_wait, connections_max) ==
             std::tie(b.retry, b.max_age, b.port, b.stop_wait, b.connections_max);
}

// A rule that sets nothing has nothing to be written.
bool same_rules(std::vector<NamedOverride> a, const std::vector<NamedOverride>& b) {
  std::erase_if(a, [](const auto& rule) { return members(rule.override) == members(Override{}); });
  return std::ranges::equal(a, b, [](const NamedOverride& x, const NamedOverride& y) {
    return x.pattern == y.pattern && members(x.override) == members(y.override);
  });
}

bool same(const Config& a, const Config& b) {
  const auto& [workers, hostname, postmaster, spool, events, http, control, sources, dns, divert,
               routes, delivery, domains, mx_suffixes, log_level] = a;
  bool same_divert = divert.has_value() == b.divert.has_value() &&
                     (!divert || members(*divert) == members(*b.divert));
  return std::tie(workers, hostname, postmaster, events.keep, events.keep_bytes, control.socket,
                  control.mode, sources, log_level) ==
             std::tie(b.workers, b.hostname, b.postmaster, b.events.keep, b.events.keep_bytes,
                      b.control.socket, b.control.mode, b.sources, b.log_level) &&
         members(spool) == members(b.spool) && members(http) == members(b.http) &&
         same(dns, b.dns) && same_divert &&
         std::ranges::equal(routes, b.routes,
                            [](const Route& x, const Route& y) { return same(x, y); }) &&
         same(delivery, b.delivery) && same_rules(domains, b.domains) &&
         same_rules(mx_suffixes, b.mx_suffixes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto config = parse_config(as_text(data, size), "file.toml");
  if (!config) {
    REQUIRE(!config.error().empty());
    unsigned line = 0;
    for (const ConfigMistake& mistake : config.error()) {
      REQUIRE(!mistake.text().empty() && !mistake.message.empty());
      REQUIRE(mistake.line >= line || mistake.line == 0);
      line = mistake.line;
    }
    return 0;
  }
  std::string text = file_text(*config);
  auto again = parse_config(text, "again.toml");
  if (!again) std::fprintf(stderr, "%s\n%s", again.error()[0].text().c_str(), text.c_str());
  REQUIRE(again);
  for (const ConfigChange& change : config_diff(*config, *again)) {
    std::fprintf(stderr, "%s: %s, then %s\n", change.key.c_str(), change.before.c_str(),
                 change.after.c_str());
  }
  REQUIRE(config_values(*again) == config_values(*config));
  REQUIRE(same(*config, *again));
  return 0;
}
