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
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "io/socket_address.h"

namespace postring::engine {

constexpr size_t kConfigBytesMax = 8u << 20;
constexpr unsigned kWorkersMax = 256;
constexpr size_t kSourcesMax = 4'096;
constexpr size_t kRulesMax = 65'536;  // [[domain]], [[mx]] and [[route]], each

// A host or an address, with the port that was given or the one that is usual.
struct HostPort {
  std::string host;  // a domain in A-labels, or the text of an IP address
  uint16_t port = 25;

  std::string text() const;  // "host:port", "[::1]:25"
  bool operator==(const HostPort&) const = default;
};

struct IpNetwork {
  IpAddress address;  // bits behind the prefix are zero
  unsigned prefix = 0;

  static std::optional<IpNetwork> parse(std::string_view text);  // "127.0.0.0/8", "::1"
  bool holds(const IpAddress& ip) const;
  std::string text() const;
  bool operator==(const IpNetwork&) const = default;
};

enum class Pipelining : uint8_t {
  off,     // wait for every reply
  within,  // MAIL, RCPT and DATA of one message together (RFC 2920)
  across,  // and with the previous message's final dot
};

enum class LostFinalReply : uint8_t {
  retry,             // the peer may have it twice
  assume_delivered,  // the peer may have it not at all
};

enum class LogLevelName : uint8_t { error, warning, info, debug };

struct SpoolConfig {
  std::string dir;
  uint64_t segment_size = 64u << 20;
  // Segments per slice kept free for outcomes and reclaim.
  unsigned reserve_segments = 2;
  Duration outcome_sync = Duration::milliseconds(5);
  // Records of a finished recipient, and its personal data, are gone after this.
  Duration campaign_age = Duration::days(30);
  // Free room of the filesystem below which nothing new is accepted.
  uint64_t free_min = 256u << 20;
};

struct EventsConfig {
  Duration keep = Duration::days(7);
  uint64_t keep_bytes = 10ull << 30;
};

struct HttpConfig {
  std::vector<SocketAddress> listen = {{IpAddress::v4(127, 0, 0, 1), 8025}};
  bool insecure_listen = false;
  unsigned connections = 1'024;     // per worker
  uint64_t body_bytes = 64u << 20;  // of a batch, unpacked
  unsigned batch_lines = 250'000;
  Duration timeout = Duration::seconds(30);  // without a byte from the client
};

struct ControlConfig {
  std::string socket = "/run/postring/control.sock";
  unsigned mode = 0600;
};

struct SourceConfig {
  std::string name;
  std::optional<IpAddress> address;  // not given: the kernel's choice
  std::string ehlo;
  bool operator==(const SourceConfig&) const = default;
};

struct DnsConfig {
  std::vector<SocketAddress> servers;  // empty: those of /etc/resolv.conf
  Duration timeout = Duration::seconds(5);
  unsigned tries = 3;
  unsigned names_in_flight = 1'000;
  unsigned cache_names = 200'000;
  Duration negative_ttl_max = Duration::minutes(15);
  std::vector<IpNetwork> allow_networks;
};

struct RouteConfig {
  std::string domain;           // "example.com", ".example.com" with what is below it, "*" for all
  std::vector<HostPort> hosts;  // tried in this order
  bool operator==(const RouteConfig&) const = default;
};

// What holds for one site; every member can be set for a domain or an MX suffix.
struct DeliveryLimits {
  unsigned connections = 10;
  unsigned messages_per_connection = 100;
  unsigned messages_per_second = 100;
  Pipelining pipelining = Pipelining::across;
  bool chunking = true;
  std::vector<Duration> retry = {Duration::minutes(5), Duration::minutes(15), Duration::hours(1),
                                 Duration::hours(3)};
  Duration max_age = Duration::days(4);
  LostFinalReply on_lost_final_reply = LostFinalReply::retry;
  bool operator==(const DeliveryLimits&) const = default;
};

struct DeliveryConfig {
  DeliveryLimits limits;
  uint16_t port = 25;  // of MX hosts
  Duration connect_timeout = Duration::seconds(30);
  Duration idle_timeout = Duration::seconds(5);  // of a connection without work
  Duration stop_wait = Duration::seconds(30);    // for replies to sent dots
  unsigned connections_max = 20'000;             // of the whole daemon
};

// Overrides for a recipient domain or for hosts with a suffix; what is not set is [delivery]'s.
struct LimitsRule {
  enum class Kind : uint8_t { domain, mx };

  Kind kind = Kind::domain;
  // domain: "example.com", ".example.com" with what is below it; mx: a suffix of the host's name.
  std::string name;
  std::optional<unsigned> connections, messages_per_connection, messages_per_second;
  std::optional<Pipelining> pipelining;
  std::optional<bool> chunking;
  std::optional<std::vector<Duration>> retry;
  std::optional<Duration> max_age;
  std::optional<LostFinalReply> on_lost_final_reply;

  void apply_to(DeliveryLimits& limits) const;
  bool operator==(const LimitsRule&) const = default;
};

struct Config {
  unsigned workers = 0;    // 0: one per CPU of the cpuset
  std::string hostname;    // empty: the system's; names us in Message-IDs and without a source
  std::string postmaster;  // empty: postmaster@hostname
  SpoolConfig spool;
  EventsConfig events;
  HttpConfig http;
  ControlConfig control;
  std::vector<SourceConfig> sources;
  DnsConfig dns;
  std::optional<HostPort> divert;  // everything goes there and nothing leaves
  std::vector<RouteConfig> routes;
  DeliveryConfig delivery;
  std::vector<LimitsRule> rules;  // in the file's order, domains before mx
  LogLevelName log_level = LogLevelName::info;

  // The limits of a domain and the MX host it is delivered to (empty: not known yet): [delivery],
  // then the longest matching [[mx]], then the longest matching [[domain]].
  DeliveryLimits limits_for(std::string_view domain, std::string_view mx_host) const;

  // The route of a domain: an exact name before the longest ".suffix" before "*"; nullptr: by MX.
  const RouteConfig* route_for(std::string_view domain) const;

  // The file allows a plain HTTP listener on this machine only (or says insecure_listen).
  bool listens_outside() const;
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

}  // namespace postring::engine
