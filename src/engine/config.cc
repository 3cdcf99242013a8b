#include "engine/config.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <set>

#include "dns/limits.h"
#include "engine/config_reader.h"
#include "io/file.h"
#include "mail/address.h"

namespace postring::engine {

namespace {

constexpr size_t kListMax = 256;
constexpr size_t kSourceNameMax = 64;
// What a Unix socket's address can hold, with its final NUL.
constexpr size_t kSocketPathMax = 107;

constexpr std::array<std::pair<std::string_view, traffic::Pipelining>, 3> kPipelining = {
    {{"off", traffic::Pipelining::off},
     {"within", traffic::Pipelining::within},
     {"across", traffic::Pipelining::across}}};
constexpr std::array<std::pair<std::string_view, traffic::LostFinalReply>, 2> kLostFinalReply = {
    {{"retry", traffic::LostFinalReply::retry},
     {"assume_delivered", traffic::LostFinalReply::assume_delivered}}};
constexpr std::array<std::pair<std::string_view, reporting::LogLevel>, 4> kLogLevels = {
    {{"error", reporting::LogLevel::error},
     {"warning", reporting::LogLevel::warning},
     {"info", reporting::LogLevel::info},
     {"debug", reporting::LogLevel::debug}}};

template <typename T>
void read_integer(ConfigReader& reader, std::string_view name, int64_t min, int64_t max,
                  std::optional<T>& to) {
  T value{};
  if (reader.integer(name, min, max, value)) to = value;
}

void read_duration(ConfigReader& reader, std::string_view name, Duration min, Duration max,
                   std::optional<Duration>& to) {
  Duration value;
  if (reader.duration(name, min, max, value)) to = value;
}

bool read_domain(ConfigReader& reader, std::string_view name, std::string& to) {
  std::string word;
  if (!reader.text(name, word)) return false;
  if (word.empty()) return reader.wrong(name, "is empty; expected a domain");
  auto domain = mail::canonical_domain(word);
  if (!domain) return reader.wrong(name, fmt::format("'{}': {}", word, domain.error().message));
  to = std::move(*domain);
  return true;
}

bool read_absolute_path(ConfigReader& reader, std::string_view name, std::string& to) {
  std::string path;
  if (!reader.text(name, path)) return false;
  if (!path.starts_with('/'))
    return reader.wrong(name, fmt::format("'{}' is no absolute path; begin with '/'", path));
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  to = std::move(path);
  return true;
}

// "*.example.com" or ".example.com" gives ".example.com"; a plain domain gives itself.
bool read_pattern(ConfigReader& reader, std::string_view name, std::string& to) {
  if (!reader.require(name)) return false;
  std::string word;
  if (!reader.text(name, word)) return false;
  std::string_view domain = word;
  if (domain.starts_with('*')) domain.remove_prefix(1);
  bool below = domain.starts_with('.');
  if (below) domain.remove_prefix(1);
  if (domain.empty()) {
    return reader.wrong(
        name, fmt::format("'{}' names no domain; expected a domain or \"*.\" and a domain", word));
  }
  auto canonical = mail::canonical_domain(domain);
  if (!canonical) {
    return reader.wrong(name, fmt::format("'{}': {}; expected a domain or \"*.\" and a domain",
                                          word, canonical.error().message));
  }
  to = (below ? "." : "") + *canonical;
  return true;
}

void read_limits(ConfigReader& reader, traffic::Override& to) {
  read_integer(reader, "connections", 1, traffic::kConnectionsMax, to.connections);
  read_integer(reader, "messages_per_connection", 1, traffic::kMessagesPerConnectionMax,
               to.messages_per_connection);
  uint32_t per_second = 0;
  if (reader.integer("messages_per_second", 0, 1'000'000, per_second))
    to.rate = throttle::Rate::per_second(per_second);
  read_integer(reader, "burst", 1, throttle::kBurstMax, to.burst);
  traffic::Pipelining pipelining{};
  if (reader.choice("pipelining", kPipelining, pipelining)) to.pipelining = pipelining;
  bool chunking = false;
  if (reader.boolean("chunking", chunking)) to.chunking = chunking;
  std::vector<Duration> retry;
  if (reader.durations("retry", traffic::kRetryStepsMax, retry)) to.retry = std::move(retry);
  read_duration(reader, "max_age", Duration::minutes(1), Duration::days(30), to.max_age);
  traffic::LostFinalReply lost{};
  if (reader.choice("on_lost_final_reply", kLostFinalReply, lost)) to.on_lost_final_reply = lost;
  read_duration(reader, "connect_timeout", Duration::seconds(1), Duration::minutes(10),
                to.connect_timeout);
  read_duration(reader, "idle_timeout", Duration{}, Duration::minutes(5), to.idle_timeout);
}

// Reads the sections of one file into one Config.
class FileReader {
 public:
  FileReader(const toml::table& table, ConfigMistakes& mistakes)
      : mistakes_(mistakes), top_(table, "", "", mistakes) {}

  Config read();

 private:
  // Reads [name] by the member function, where it is there; then finishes it.
  void section(std::string_view name, void (FileReader::*read_it)(ConfigReader&));
  void each(std::string_view name, size_t count_max, void (FileReader::*read_it)(ConfigReader&));

  void top();
  void spool(ConfigReader& reader);
  void events(ConfigReader& reader);
  void http(ConfigReader& reader);
  void control(ConfigReader& reader);
  void source(ConfigReader& reader);
  void dns(ConfigReader& reader);
  void divert(ConfigReader& reader);
  void route(ConfigReader& reader);
  void delivery(ConfigReader& reader);
  void domain(ConfigReader& reader);
  void mx(ConfigReader& reader);
  void log(ConfigReader& reader);

  // A mistake where the name was there before.
  bool fresh(ConfigReader& reader, std::string_view key, std::string_view kind,
             const std::string& name);

  ConfigMistakes& mistakes_;
  ConfigReader top_;
  Config config_;
  std::set<std::string> names_;  // kind and name
};

Config FileReader::read() {
  top();
  if (!top_.has("spool")) top_.wrong("spool", "the table [spool] is missing; it needs a dir");
  section("spool", &FileReader::spool);
  section("events", &FileReader::events);
  section("http", &FileReader::http);
  section("control", &FileReader::control);
  each("source", throttle::kSourcesMax, &FileReader::source);
  section("dns", &FileReader::dns);
  section("divert", &FileReader::divert);
  each("route", kRulesMax, &FileReader::route);
  section("delivery", &FileReader::delivery);
  each("domain", kRulesMax, &FileReader::domain);
  each("mx", kRulesMax, &FileReader::mx);
  section("log", &FileReader::log);
  top_.finish();
  return std::move(config_);
}

void FileReader::section(std::string_view name, void (FileReader::*read_it)(ConfigReader&)) {
  const toml::table* table = top_.table(name);
  if (table == nullptr) return;
  ConfigReader reader(*table, name, std::string(name), mistakes_);
  (this->*read_it)(reader);
  reader.finish();
}

void FileReader::each(std::string_view name, size_t count_max,
                      void (FileReader::*read_it)(ConfigReader&)) {
  size_t number = 0;
  for (const toml::table* table : top_.tables(name, count_max)) {
    ConfigReader reader(*table, name, fmt::format("{}[{}]", name, ++number), mistakes_);
    (this->*read_it)(reader);
    reader.finish();
  }
}

bool FileReader::fresh(ConfigReader& reader, std::string_view key, std::string_view kind,
                       const std::string& name) {
  if (names_.insert(fmt::format("{} {}", kind, name)).second) return true;
  return reader.wrong(key, fmt::format("there is a [[{}]] '{}' above already", kind, name));
}

void FileReader::top() {
  top_.integer("workers", 0, kWorkersMax, config_.workers);
  read_domain(top_, "hostname", config_.hostname);
  std::string postmaster;
  if (top_.text("postmaster", postmaster)) {
    auto address = mail::parse_address(postmaster);
    if (address) {
      config_.postmaster = address->text();
    } else {
      top_.wrong("postmaster", fmt::format("'{}': {}", postmaster, address.error().message));
    }
  }
}

void FileReader::spool(ConfigReader& reader) {
  if (reader.require("dir")) read_absolute_path(reader, "dir", config_.spool.dir);
  reader.size("segment_size", 2u << 20, 1u << 30, config_.spool.segment_size);
  reader.integer("reserve_segments", 1, 64, config_.spool.reserve_segments);
  reader.duration("outcome_sync", Duration::milliseconds(1), Duration::seconds(1),
                  config_.spool.outcome_sync);
  reader.duration("campaign_age", Duration::days(1), Duration::days(3'650),
                  config_.spool.campaign_age);
  reader.size("free_min", 16u << 20, 1ull << 40, config_.spool.free_min);
}

void FileReader::events(ConfigReader& reader) {
  reader.duration("keep", Duration::hours(1), Duration::days(3'650), config_.events.keep);
  reader.size("keep_bytes", 64u << 20, 64ull << 40, config_.events.keep_bytes);
}

void FileReader::http(ConfigReader& reader) {
  HttpConfig& http = config_.http;
  reader.boolean("insecure_listen", http.insecure_listen);
  std::vector<SocketAddress> listen;
  auto take = [&](const std::string& word) -> std::string {
    auto address = SocketAddress::parse(word);
    if (!address) {
      return fmt::format("'{}' is no address: expected \"127.0.0.1:8025\" or \"[::1]:8025\"", word);
    }
    static const std::array kLoopback = {*dns::Network::parse("127.0.0.0/8"),
                                         *dns::Network::parse("::1/128")};
    bool local = kLoopback[0].contains(address->ip) || kLoopback[1].contains(address->ip);
    if (!local && !http.insecure_listen) {
      return fmt::format(
          "'{}' is not loopback and nothing is encrypted; listen on 127.0.0.1 behind a proxy with "
          "TLS, or say insecure_listen = true",
          word);
    }
    if (std::ranges::find(listen, *address) != listen.end())
      return fmt::format("'{}' is there twice", word);
    listen.push_back(*address);
    return {};
  };
  if (reader.texts("listen", kListMax, take)) http.listen = std::move(listen);
  reader.integer("connections", 1, 65'536, http.connections);
  reader.size("body_bytes", 1u << 10, 64u << 20, http.body_bytes);
  reader.integer("batch_lines", 1, 250'000, http.batch_lines);
  reader.duration("timeout", Duration::seconds(1), Duration::minutes(10), http.timeout);
  reader.duration("header_timeout", Duration::milliseconds(100), Duration::minutes(10),
                  http.header_timeout);
  reader.duration("idle_timeout", Duration::milliseconds(100), Duration::hours(1),
                  http.idle_timeout);
}

void FileReader::control(ConfigReader& reader) {
  if (read_absolute_path(reader, "socket", config_.control.socket) &&
      config_.control.socket.size() > kSocketPathMax) {
    reader.wrong("socket", fmt::format("has {} bytes; a socket's path has at most {}",
                                       config_.control.socket.size(), kSocketPathMax));
  }
  std::string word;
  if (!reader.text("mode", word)) return;
  unsigned mode = 0;
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), mode, 8);
  if (error != std::errc{} || end != word.data() + word.size() || mode > 0777) {
    reader.wrong("mode", fmt::format("'{}' are no file permissions: expected \"0600\"", word));
  } else {
    config_.control.mode = mode;
  }
}

void FileReader::source(ConfigReader& reader) {
  traffic::Source source;
  if (reader.require("name") && reader.text("name", source.name)) {
    auto good = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             c == '.' || c == '_' || c == '-';
    };
    if (source.name.empty() || source.name.size() > kSourceNameMax ||
        !std::ranges::all_of(source.name, good)) {
      reader.wrong("name", fmt::format("'{}': expected 1 to {} letters, digits, '.', '_' or '-'",
                                       source.name, kSourceNameMax));
    } else {
      fresh(reader, "name", "source", source.name);
    }
  }
  std::string word;
  if (reader.text("address", word)) {
    auto address = IpAddress::parse(word);
    if (address) {
      source.address = *address;
    } else {
      reader.wrong("address", fmt::format("'{}' is no IPv4 or IPv6 address", word));
    }
  }
  read_domain(reader, "ehlo", source.ehlo_name);
  config_.sources.push_back(std::move(source));
}

void FileReader::dns(ConfigReader& reader) {
  DnsConfig& dns = config_.dns;
  auto take_server = [&](const std::string& word) -> std::string {
    auto address = SocketAddress::parse(word);
    if (!address) {
      auto ip = IpAddress::parse(word);
      if (!ip)
        return fmt::format("'{}' is no address: expected \"192.0.2.53\", a port if not 53", word);
      address = SocketAddress{*ip, 53};
    }
    dns.servers.push_back(*address);
    return {};
  };
  reader.texts("servers", kListMax, take_server);
  reader.duration("timeout", Duration::milliseconds(100), Duration::minutes(1), dns.timeout);
  reader.integer("tries", 1, 10, dns.tries);
  reader.integer("names_in_flight", 1, 30'000, dns.names_in_flight);
  reader.integer("cache_names", 1'000, 10'000'000, dns.cache_names);
  reader.duration("negative_ttl_max", Duration::seconds(1), Duration::days(1),
                  dns.negative_ttl_max);
  auto take_network = [&](const std::string& word) -> std::string {
    auto network = dns::Network::parse(word);
    if (!network) return fmt::format("'{}' is no network: expected \"10.0.0.0/8\"", word);
    dns.allow_networks.push_back(*network);
    return {};
  };
  reader.texts("allow_networks", kListMax, take_network);
}

void FileReader::divert(ConfigReader& reader) {
  std::string word;
  if (!reader.require("all") || !reader.text("all", word)) return;
  auto target = dns::RouteTarget::parse(word);
  if (target) {
    config_.divert = std::move(*target);
  } else {
    reader.wrong("all", target.error().message);
  }
}

void FileReader::route(ConfigReader& reader) {
  dns::Route route;
  std::string word;
  if (reader.has("domain") && reader.text("domain", word) && word == "*") {
    route.pattern = "*";
  } else if (read_pattern(reader, "domain", word)) {
    route.pattern = word.starts_with('.') ? "*" + word : word;
  }
  if (!route.pattern.empty()) fresh(reader, "domain", "route", route.pattern);
  auto take = [&](const std::string& host) -> std::string {
    auto target = dns::RouteTarget::parse(host);
    if (!target) return target.error().message;
    route.targets.push_back(std::move(*target));
    return {};
  };
  if (reader.require("hosts") && reader.texts("hosts", ::postring::dns::kRouteTargetsMax, take) &&
      route.targets.empty()) {
    reader.wrong("hosts", "is empty; expected at least one host");
  }
  config_.routes.push_back(std::move(route));
}

void FileReader::delivery(ConfigReader& reader) {
  DeliveryConfig& delivery = config_.delivery;
  read_limits(reader, delivery.limits);
  // The schedule stands apart: a campaign's own comes before [delivery]'s, behind a rule's.
  if (delivery.limits.retry) delivery.retry = *delivery.limits.retry;
  if (delivery.limits.max_age) delivery.max_age = *delivery.limits.max_age;
  delivery.limits.retry.reset();
  delivery.limits.max_age.reset();
  reader.integer("port", 1, 65'535, delivery.port);
  reader.integer("connections_max", 1, 1'000'000, delivery.connections_max);
  reader.duration("stop_wait", Duration{}, Duration::minutes(10), delivery.stop_wait);
}

void FileReader::domain(ConfigReader& reader) {
  traffic::NamedOverride rule;
  if (read_pattern(reader, "name", rule.pattern)) fresh(reader, "name", "domain", rule.pattern);
  read_limits(reader, rule.override);
  config_.domains.push_back(std::move(rule));
}

void FileReader::mx(ConfigReader& reader) {
  traffic::NamedOverride rule;
  if (read_pattern(reader, "suffix", rule.pattern)) {
    if (rule.pattern.starts_with('.')) rule.pattern.erase(0, 1);
    fresh(reader, "suffix", "mx", rule.pattern);
  }
  read_limits(reader, rule.override);
  config_.mx_suffixes.push_back(std::move(rule));
}

void FileReader::log(ConfigReader& reader) {
  reader.choice("level", kLogLevels, config_.log_level);
}

}  // namespace

std::string ConfigMistake::text() const {
  std::string out = line == 0 ? file : fmt::format("{}:{}", file, line);
  if (!key.empty()) out += ": " + key;
  return out + ": " + message;
}

Result<Config, std::vector<ConfigMistake>> parse_config(std::string_view text,
                                                        const std::string& file) {
  ConfigMistakes mistakes(file);
  try {
    toml::table table = toml::parse(text, file);
    Config config = FileReader(table, mistakes).read();
    if (mistakes.empty()) return config;
  } catch (const toml::parse_error& error) {
    mistakes.add(error.source().begin.line, "",
                 fmt::format("column {}: {}", error.source().begin.column, error.description()));
  }
  return std::unexpected(mistakes.take_sorted());
}

Result<Config, std::vector<ConfigMistake>> load_config(const std::string& file) {
  auto text = read_whole_file(file, kConfigBytesMax);
  if (!text) {
    ConfigMistakes mistakes(file);
    mistakes.add(0, "", fmt::format("cannot be read: {}", std::strerror(text.error())));
    return std::unexpected(mistakes.take_sorted());
  }
  return parse_config(*text, file);
}

}  // namespace postring::engine
