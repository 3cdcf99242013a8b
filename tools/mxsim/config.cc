#include "config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

namespace mxsim {
namespace {

// Takes one value; returns what it expected instead, or nothing.
using Setter = std::function<std::string(Behaviour&, const toml::node&)>;
using Setters = std::map<std::string, Setter, std::less<>>;

template <typename Field>
Setter number(Field Behaviour::*field, uint64_t max) {
  return [=](Behaviour& b, const toml::node& node) -> std::string {
    auto value = node.value_exact<int64_t>();
    if (!value || *value < 0 || static_cast<uint64_t>(*value) > max)
      return "a whole number from 0 to " + std::to_string(max);
    b.*field = static_cast<Field>(*value);
    return "";
  };
}

Setter flag(bool Behaviour::*field) {
  return [=](Behaviour& b, const toml::node& node) -> std::string {
    auto value = node.value_exact<bool>();
    if (!value) return "true or false";
    b.*field = *value;
    return "";
  };
}

Setter text(std::string Behaviour::*field) {
  return [=](Behaviour& b, const toml::node& node) -> std::string {
    auto value = node.value_exact<std::string>();
    if (!value) return "a string";
    b.*field = *value;
    return "";
  };
}

template <typename Value>
Setter one_of(Value Behaviour::*field, std::vector<std::pair<std::string, Value>> names) {
  return [=](Behaviour& b, const toml::node& node) -> std::string {
    auto value = node.value_exact<std::string>();
    std::string expected = "one of";
    for (const auto& [name, meaning] : names) {
      if (value && *value == name) {
        b.*field = meaning;
        return "";
      }
      expected += " \"" + name + "\"";
    }
    return expected;
  };
}

std::string read_share(Share& share, const toml::node& node) {
  auto value = node.value<double>();
  if (!value || *value < 0 || *value > 1) return "a share from 0 to 1";
  share.of_10000 = static_cast<uint32_t>(std::lround(*value * 10000));
  return "";
}

std::string read_times(Share& share, const toml::node& node) {
  auto value = node.value_exact<int64_t>();
  if (!value || *value < 0 || *value > UINT32_MAX) return "a number of attempts";
  share.times = static_cast<uint32_t>(*value);
  return "";
}

void add_stage_keys(Setters& setters) {
  for (size_t i = 0; i < kStages; ++i) {
    std::string stage(kStageNames[i]);
    setters[stage + "_delay_ms"] = [i](Behaviour& b, const toml::node& node) -> std::string {
      auto value = node.value_exact<int64_t>();
      if (!value || *value < 0 || *value > 86'400'000) return "milliseconds";
      b.delay_ms[i] = static_cast<uint32_t>(*value);
      return "";
    };
    for (bool permanent : {false, true}) {
      std::string name = stage + (permanent ? "_5xx" : "_4xx");
      auto share = [=](Behaviour& b) -> Share& {
        return permanent ? b.faults[i].permanent : b.faults[i].temporary;
      };
      setters[name] = [=](Behaviour& b, const toml::node& n) { return read_share(share(b), n); };
      setters[name + "_times"] = [=](Behaviour& b, const toml::node& n) {
        return read_times(share(b), n);
      };
      setters[name + "_text"] = [=](Behaviour& b, const toml::node& n) -> std::string {
        auto value = n.value_exact<std::string>();
        if (!value || value->size() < 3 || (*value)[0] != (permanent ? '5' : '4'))
          return permanent ? "a reply that begins with a 5xx code" : "a reply with a 4xx code";
        (permanent ? b.faults[i].permanent_text : b.faults[i].temporary_text) = *value;
        return "";
      };
    }
  }
}

void add_mischief_keys(Setters& setters, const std::string& name, Mischief Behaviour::*field) {
  setters[name + "_at"] = [=](Behaviour& b, const toml::node& node) -> std::string {
    auto value = node.value_exact<std::string>();
    std::string expected =
        "\"none\" or a stage: connect banner helo mail rcpt data content body quit";
    if (!value) return expected;
    if (*value == "none") {
      (b.*field).on = false;
      return "";
    }
    auto at = std::find(kStageNames.begin(), kStageNames.end(), *value);
    if (at == kStageNames.end()) return expected;
    (b.*field).on = true;
    (b.*field).at = static_cast<Stage>(at - kStageNames.begin());
    return "";
  };
  setters[name + "_share"] = [=](Behaviour& b, const toml::node& node) {
    return read_share((b.*field).share, node);
  };
  setters[name + "_times"] = [=](Behaviour& b, const toml::node& node) {
    return read_times((b.*field).share, node);
  };
}

std::string read_extensions(Behaviour& b, const toml::node& node) {
  std::string expected = "a list of PIPELINING CHUNKING SIZE 8BITMIME SMTPUTF8 ENHANCEDSTATUSCODES";
  const toml::array* list = node.as_array();
  if (!list) return expected;
  Extensions e{false, false, false, false, false, false};
  for (const toml::node& entry : *list) {
    std::string name = entry.value_or(std::string());
    if (name == "PIPELINING")
      e.pipelining = true;
    else if (name == "CHUNKING")
      e.chunking = true;
    else if (name == "SIZE")
      e.size = true;
    else if (name == "8BITMIME")
      e.eight_bit = true;
    else if (name == "SMTPUTF8")
      e.smtputf8 = true;
    else if (name == "ENHANCEDSTATUSCODES")
      e.enhanced_codes = true;
    else
      return expected;
  }
  b.extensions = e;
  return "";
}

std::string read_latency(Behaviour& b, const toml::node& node) {
  if (auto value = node.value_exact<int64_t>(); value && *value >= 0 && *value <= 600'000) {
    b.latency_min_ms = b.latency_max_ms = static_cast<uint32_t>(*value);
    return "";
  }
  const toml::array* list = node.as_array();
  if (list && list->size() == 2) {
    int64_t low = (*list)[0].value_or<int64_t>(-1);
    int64_t high = (*list)[1].value_or<int64_t>(-1);
    if (low >= 0 && low <= high && high <= 600'000) {
      b.latency_min_ms = static_cast<uint32_t>(low);
      b.latency_max_ms = static_cast<uint32_t>(high);
      return "";
    }
  }
  return "milliseconds or [least, most]";
}

Setters make_setters() {
  using B = Behaviour;
  Setters s;
  add_stage_keys(s);
  add_mischief_keys(s, "drop", &B::drop);
  add_mischief_keys(s, "hang", &B::hang);
  add_mischief_keys(s, "malformed", &B::malformed);
  s["extensions"] = read_extensions;
  s["latency_ms"] = read_latency;
  s["ehlo"] = flag(&B::ehlo);
  s["size_limit"] = number(&B::size_limit, 1ull << 40);
  s["max_recipients"] = number(&B::max_recipients, 1'000'000);
  s["drop_resets"] = flag(&B::drop_resets);
  s["drop_accepts"] = flag(&B::drop_accepts);
  s["malformed"] = one_of<Malformed>(&B::malformed_kind, {{"nul", Malformed::kNul},
                                                          {"no_crlf", Malformed::kNoCrlf},
                                                          {"bare_lf", Malformed::kBareLf},
                                                          {"bad_code", Malformed::kBadCode},
                                                          {"mixed_codes", Malformed::kMixedCodes},
                                                          {"long_line", Malformed::kLongLine},
                                                          {"many_lines", Malformed::kManyLines},
                                                          {"binary", Malformed::kBinary},
                                                          {"empty", Malformed::kEmpty}});
  s["greylist_ms"] = number(&B::greylist_ms, 86'400'000);
  s["greylist_by_host"] = flag(&B::greylist_by_host);
  s["close_after_messages"] = number(&B::close_after_messages, 1'000'000'000);
  s["close_text"] = text(&B::close_text);
  s["max_connections"] = number(&B::max_connections, 1'000'000);
  s["max_connections_resets"] = flag(&B::max_connections_resets);
  s["read_bytes_per_s"] = number(&B::read_bytes_per_s, 1'000'000'000);
  s["write_bytes"] = number(&B::write_bytes, 1'000'000);
  s["write_gap_ms"] = number(&B::write_gap_ms, 600'000);
  s["dns"] = one_of<DnsMode>(&B::dns, {{"mx", DnsMode::kMx},
                                       {"implicit", DnsMode::kImplicit},
                                       {"null_mx", DnsMode::kNullMx},
                                       {"nodata", DnsMode::kNoData},
                                       {"nxdomain", DnsMode::kNxdomain},
                                       {"servfail", DnsMode::kServfail},
                                       {"refused", DnsMode::kRefused},
                                       {"timeout", DnsMode::kTimeout},
                                       {"cname", DnsMode::kCname}});
  s["dns_times"] = number(&B::dns_times, UINT32_MAX);
  s["dns_delay_ms"] = number(&B::dns_delay_ms, 600'000);
  s["dns_truncate"] = flag(&B::dns_truncate);
  s["ttl_s"] = number(&B::ttl_s, 604'800);
  s["cname"] = text(&B::cname);
  s["ipv6"] = flag(&B::ipv6);
  s["address"] = text(&B::address);
  s["refuse_hosts"] = number(&B::refuse_hosts, 1000);
  return s;
}

std::string apply(const Setters& setters, Behaviour& behaviour, std::string_view key,
                  const toml::node& value) {
  auto setter = setters.find(key);
  if (setter == setters.end()) return "unknown key '" + std::string(key) + "'";
  std::string expected = setter->second(behaviour, value);
  return expected.empty() ? "" : std::string(key) + ": expected " + expected;
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

std::string parse_pattern(Rule& rule, const std::string& pattern) {
  rule.pattern = lower(pattern);
  size_t open = rule.pattern.find('{');
  if (open == std::string::npos) {
    rule.plain = true;
    rule.prefix = rule.pattern;
    return rule.pattern.empty() ? "an empty pattern" : "";
  }
  size_t close = rule.pattern.find('}', open);
  size_t dots = rule.pattern.find("..", open);
  std::string expected = "expected a name or prefix{first..last}suffix, got '" + pattern + "'";
  if (close == std::string::npos || dots == std::string::npos || dots > close) return expected;
  const char* text = rule.pattern.data();
  auto a = std::from_chars(text + open + 1, text + dots, rule.first);
  auto b = std::from_chars(text + dots + 2, text + close, rule.last);
  if (a.ec != std::errc() || a.ptr != text + dots || b.ec != std::errc() || b.ptr != text + close ||
      rule.first > rule.last || rule.last > 100'000'000)
    return expected;
  rule.prefix = rule.pattern.substr(0, open);
  rule.suffix = rule.pattern.substr(close + 1);
  return "";
}

std::string read_rule(const Setters& setters, Rule& rule, const toml::table& table) {
  for (const auto& [key, value] : table) {
    std::string_view name = key.str();
    std::string wrong;
    if (name == "pattern") {
      wrong = parse_pattern(rule, value.value_or(std::string()));
    } else if (name == "provider") {
      rule.provider = lower(value.value_or(std::string()));
      if (rule.provider.empty()) wrong = "provider: expected a host name";
    } else if (name == "mx_hosts") {
      int64_t hosts = value.value_or<int64_t>(0);
      if (hosts < 1 || hosts > 100) wrong = "mx_hosts: expected 1 to 100";
      rule.mx_hosts = static_cast<uint32_t>(hosts);
    } else {
      wrong = apply(setters, rule.behaviour, name, value);
    }
    if (!wrong.empty()) {
      std::ostringstream where;
      where << "line " << value.source().begin.line << ": " << wrong;
      return where.str();
    }
  }
  return rule.pattern.empty() ? "a [[domain]] without a pattern" : "";
}

std::string read_listen(Config& config, const toml::table& table) {
  for (const auto& [key, value] : table) {
    std::string_view name = key.str();
    if (name == "keep_bodies" && value.is_boolean()) {
      config.keep_bodies = value.value_or(false);
      continue;
    }
    int64_t port = value.value_or<int64_t>(-1);
    if (port < 0 || port > 65535) return std::string(name) + ": expected a port from 0 to 65535";
    auto number = static_cast<uint16_t>(port);
    if (name == "smtp_port")
      config.smtp_port = number;
    else if (name == "dns_port")
      config.dns_port = number;
    else if (name == "control_port")
      config.control_port = number;
    else
      return "unknown key 'listen." + std::string(name) + "'";
  }
  return "";
}

std::string place_hosts(Config& config) {
  uint64_t next = 0;
  for (Rule& rule : config.rules) {
    uint64_t count =
        rule.provider.empty() ? uint64_t{rule.domain_count()} * rule.mx_hosts : rule.mx_hosts;
    if (next + count > kLastAddress - kFirstAddress)
      return rule.pattern + ": more hosts than 127.1.0.0 to 127.254.255.255 holds";
    rule.address_base = static_cast<uint32_t>(next);
    rule.address_count = static_cast<uint32_t>(count);
    next += count;
  }
  return "";
}

std::expected<Config, std::string> read_config(const toml::table& file) {
  const Setters setters = make_setters();
  Config config;
  std::string wrong;
  for (const auto& [key, value] : file) {
    std::string_view name = key.str();
    if (name == "listen" && value.is_table())
      wrong = read_listen(config, *value.as_table());
    else if (name == "default" && value.is_table())
      continue;
    else if (name == "domain" && value.is_array_of_tables())
      continue;
    else
      wrong = "unknown key '" + std::string(name) + "': expected listen, default, [[domain]]";
    if (!wrong.empty()) return std::unexpected(wrong);
  }
  if (const toml::table* defaults = file["default"].as_table()) {
    for (const auto& [key, value] : *defaults) {
      wrong = apply(setters, config.fallback, key.str(), value);
      if (!wrong.empty()) return std::unexpected("[default]: " + wrong);
    }
  }
  if (const toml::array* rules = file["domain"].as_array()) {
    for (const toml::node& entry : *rules) {
      Rule rule;
      rule.behaviour = config.fallback;
      wrong = read_rule(setters, rule, *entry.as_table());
      if (!wrong.empty()) return std::unexpected(wrong);
      config.rules.push_back(std::move(rule));
    }
  }
  wrong = place_hosts(config);
  if (!wrong.empty()) return std::unexpected(wrong);
  return config;
}

}  // namespace

std::expected<Config, std::string> parse_config(std::string_view text) {
  try {
    return read_config(toml::parse(text));
  } catch (const toml::parse_error& error) {
    std::ostringstream where;
    where << "line " << error.source().begin.line << ": " << error.description();
    return std::unexpected(where.str());
  }
}

std::expected<Config, std::string> load_config(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::unexpected(path + ": cannot be read");
  std::ostringstream text;
  text << file.rdbuf();
  auto config = parse_config(text.str());
  if (!config) return std::unexpected(path + ": " + config.error());
  return config;
}

std::string set_key(Behaviour& behaviour, std::string_view key, std::string_view value) {
  try {
    std::string line = "value = " + std::string(value);
    toml::table parsed = toml::parse(line);
    return apply(make_setters(), behaviour, key, *parsed.get("value"));
  } catch (const toml::parse_error& error) {
    return std::string("not a value: ") + std::string(error.description());
  }
}

}  // namespace mxsim
