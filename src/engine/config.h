// Config: the configuration file (TOML), read and judged as a whole.
//
//   auto config = parse_config(text, "postring.toml");
//   if (!config) for (const ConfigMistake& mistake : config.error()) print(mistake.text());
//
// Every mistake is reported at once, with file, line, key and what is allowed; an unknown key is a
// mistake. A Config that was given back is whole and needs no further check, except for what only
// the machine knows (does the folder exist, is the address ours). What each key means, its default
// and its limits stand in engine/config_keys.h, where `postring help config` takes them from.
//
//     hostname = "mail.example.com"
//
//     [spool]
//     dir = "/var/lib/postring"
//
//     [[source]]
//     name = "a"
//     address = "192.0.2.1"
//     ehlo = "out-a.example.com"
//
//     [delivery]
//     retry = ["5m", "15m", "1h", "3h"]
//
//     [[domain]]
//     name = "example.org"
//     connections = 2
//
// Limits are careful where nothing is said: 10 connections and 100 messages a second per site.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "dns/address_filter.h"
#include "dns/routes.h"
#include "io/socket_address.h"
#include "reporting/log.h"
#include "traffic/settings.h"
#include "traffic/sources.h"

namespace postring::engine {

constexpr size_t kConfigBytesMax = 8u << 20;
constexpr unsigned kWorkersMax = 256;
constexpr size_t kRulesMax = 65'536;  // [[domain]], [[mx]] and [[route]], each

struct SpoolConfig {
  std::string dir;
  uint64_t segment_size = 64u << 20;
  unsigned reserve_segments = 2;
  Duration outcome_sync = Duration::milliseconds(5);
  Duration campaign_age = Duration::days(30);
  uint64_t free_min = 256u << 20;
  // No setting: what of the log is taken to be in memory (queue/home.h). Smaller in tests.
  uint64_t tail_window = 64u << 20;
};

struct EventsConfig {
  Duration keep = Duration::days(7);
  uint64_t keep_bytes = 10ull << 30;
};

struct HttpConfig {
  std::vector<SocketAddress> listen = {{IpAddress::v4(127, 0, 0, 1), 8025}};
  bool insecure_listen = false;
  unsigned connections = 1'024;
  uint64_t body_bytes = 64u << 20;
  unsigned batch_lines = 250'000;
  Duration timeout = Duration::seconds(30);
  Duration header_timeout = Duration::seconds(10);
  Duration idle_timeout = Duration::seconds(75);
};

struct ControlConfig {
  std::string socket = "/run/postring/control.sock";
  unsigned mode = 0600;
};

struct DnsConfig {
  std::vector<SocketAddress> servers;  // empty: those of /etc/resolv.conf
  Duration timeout = Duration::seconds(5);
  unsigned tries = 3;
  unsigned names_in_flight = 1'000;
  unsigned cache_names = 200'000;
  Duration negative_ttl_max = Duration::minutes(15);
  std::vector<dns::Network> allow_networks;
};

struct DeliveryConfig {
  // What [delivery] changes of traffic's defaults for every site.
  traffic::Override limits;
  // Where neither a campaign, nor a [[domain]] or [[mx]] says otherwise.
  std::vector<Duration> retry = {Duration::minutes(5), Duration::minutes(15), Duration::hours(1),
                                 Duration::hours(3)};
  Duration max_age = Duration::days(4);
  uint16_t port = 25;                          // of MX hosts
  Duration stop_wait = Duration::seconds(30);  // for replies to sent dots
  unsigned connections_max = 20'000;           // of the whole daemon
};

struct Config {
  unsigned workers = 0;    // 0: one per CPU of the cpuset
  std::string hostname;    // empty: the machine's
  std::string postmaster;  // empty: postmaster@ the hostname
  SpoolConfig spool;
  EventsConfig events;
  HttpConfig http;
  ControlConfig control;
  std::vector<traffic::Source> sources;  // none: the system's choice, with the hostname as EHLO
  DnsConfig dns;
  std::optional<dns::RouteTarget> divert;  // everything goes there, nothing leaves
  std::vector<dns::Route> routes;
  DeliveryConfig delivery;
  // Patterns as traffic::Rules takes them.
  std::vector<traffic::NamedOverride> domains;
  std::vector<traffic::NamedOverride> mx_suffixes;
  reporting::LogLevel log_level = reporting::LogLevel::info;
};

struct ConfigMistake {
  std::string file;
  unsigned line = 0;    // 0: the file as a whole
  std::string key;      // "delivery.retry[2]", "source[1].address"; empty: none
  std::string message;  // what is wrong and what is allowed

  std::string text() const;  // "postring.toml:12: delivery.retry[2]: '5 m' is no duration: ..."
};

// Mistakes come in the order of their lines.
Result<Config, std::vector<ConfigMistake>> parse_config(std::string_view text,
                                                        const std::string& file);

// Reads the file, then as above.
Result<Config, std::vector<ConfigMistake>> load_config(const std::string& file);

// Every key with its value as text, defaults included, in a fixed order: what is compared and
// what `check config` prints.
std::vector<std::pair<std::string, std::string>> config_values(const Config& config);

struct ConfigChange {
  std::string key;
  std::string before, after;   // empty: not there
  bool needs_restart = false;  // workers, spool and listeners only
};

std::vector<ConfigChange> config_diff(const Config& before, const Config& after);

// What a reload of `after` changes in a process that was started with `start` and reloaded `before`
// last: what needs a restart is said again until there was one.
std::vector<ConfigChange> config_changes(const Config& start, const Config& before,
                                         const Config& after);

}  // namespace postring::engine
