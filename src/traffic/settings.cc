#include "traffic/settings.h"

#include <algorithm>

namespace postring::traffic {

namespace {

// "b.example" and "a.b.example" are covered by "b.example".
bool covers_suffix(std::string_view suffix, std::string_view name) {
  if (!name.ends_with(suffix)) return false;
  if (name.size() == suffix.size()) return true;
  return suffix.starts_with('.') || name[name.size() - suffix.size() - 1] == '.';
}

bool covers_domain(std::string_view pattern, std::string_view name) {
  if (!pattern.starts_with('.')) return pattern == name;
  return name.size() > pattern.size() && name.ends_with(pattern);
}

// Exact names come after every suffix, whatever their length.
bool more_general(const NamedOverride& a, const NamedOverride& b) {
  bool a_exact = !a.pattern.starts_with('.');
  bool b_exact = !b.pattern.starts_with('.');
  if (a_exact != b_exact) return b_exact;
  return a.pattern.size() < b.pattern.size();
}

template <typename T>
void set(const std::optional<T>& from, T& to) {
  if (from) to = *from;
}

std::string bounds(std::string_view what, int64_t found, int64_t low, int64_t high) {
  return std::string(what) + " is " + std::to_string(found) + "; allowed are " +
         std::to_string(low) + " to " + std::to_string(high);
}

}  // namespace

Settings careful_settings() {
  return Settings{};
}

Settings allowed_network_settings() {
  Settings settings;
  settings.connections = 32;
  settings.messages_per_connection = 10'000;
  settings.rate = throttle::Rate::unlimited();
  return settings;
}

void Override::apply_to(Settings& settings) const {
  set(connections, settings.connections);
  set(messages_per_connection, settings.messages_per_connection);
  set(rate, settings.rate);
  set(burst, settings.burst);
  set(recipients_per_transaction, settings.recipients_per_transaction);
  set(pipelining, settings.pipelining);
  set(chunking, settings.chunking);
  set(on_lost_final_reply, settings.on_lost_final_reply);
  set(idle_timeout, settings.idle_timeout);
  set(connect_timeout, settings.connect_timeout);
  set(retry, settings.retry);
  set(max_age, settings.max_age);
}

std::string what_is_wrong(const Override& override) {
  auto outside = [](const std::optional<uint32_t>& value, int64_t low, int64_t high) {
    return value && (*value < low || *value > high);
  };
  if (outside(override.connections, 1, kConnectionsMax))
    return bounds("connections", *override.connections, 1, kConnectionsMax);
  if (outside(override.messages_per_connection, 1, kMessagesPerConnectionMax))
    return bounds("messages_per_connection", *override.messages_per_connection, 1,
                  kMessagesPerConnectionMax);
  if (outside(override.burst, 1, throttle::kBurstMax))
    return bounds("burst", *override.burst, 1, throttle::kBurstMax);
  if (outside(override.recipients_per_transaction, 1, 1'000))
    return bounds("recipients_per_transaction", *override.recipients_per_transaction, 1, 1'000);
  if (override.rate &&
      (override.rate->period.us < 1 || override.rate->period > throttle::kRatePeriodMax))
    return "the period of a rate must be between 1 us and 1 day";
  if (override.connect_timeout && override.connect_timeout->us < 1'000'000)
    return "connect_timeout must be at least 1s";
  if (override.idle_timeout && override.idle_timeout->us < 0)
    return "idle_timeout must not be negative";
  if (override.retry && override.retry->size() > kRetryStepsMax)
    return bounds("the number of retry steps", static_cast<int64_t>(override.retry->size()), 1,
                  kRetryStepsMax);
  if (override.retry && override.retry->empty()) return "retry must name at least one wait";
  if (override.retry && std::ranges::any_of(*override.retry, [](Duration d) { return d.us <= 0; }))
    return "every wait in retry must be longer than zero";
  if (override.max_age && override.max_age->us <= 0) return "max_age must be longer than zero";
  return {};
}

Rules::Rules(Override defaults, std::vector<NamedOverride> mx_suffixes,
             std::vector<NamedOverride> domains)
    : defaults_(std::move(defaults)),
      mx_suffixes_(std::move(mx_suffixes)),
      domains_(std::move(domains)) {
  std::ranges::stable_sort(mx_suffixes_, [](const auto& a, const auto& b) {
    return a.pattern.size() < b.pattern.size();
  });
  std::ranges::stable_sort(domains_, more_general);
}

Settings Rules::for_site(std::string_view domain, std::span<const std::string> mx_hosts,
                         bool allowed_network) const {
  Settings settings = allowed_network ? allowed_network_settings() : careful_settings();
  defaults_.apply_to(settings);
  for (const NamedOverride& rule : mx_suffixes_) {
    bool all = !mx_hosts.empty() && std::ranges::all_of(mx_hosts, [&](const std::string& host) {
      return covers_suffix(rule.pattern, host);
    });
    if (all) rule.override.apply_to(settings);
  }
  apply_domains(domain, settings);
  return settings;
}

Settings Rules::for_domain(std::string_view domain) const {
  return for_site(domain, {}, false);
}

std::string_view Rules::lane_mark(std::string_view domain) const {
  std::string_view mark;
  for (const NamedOverride& rule : domains_)
    if (covers_domain(rule.pattern, domain)) mark = rule.pattern;
  return mark;
}

void Rules::apply_domains(std::string_view domain, Settings& settings) const {
  for (const NamedOverride& rule : domains_)
    if (covers_domain(rule.pattern, domain)) rule.override.apply_to(settings);
}

}  // namespace postring::traffic
