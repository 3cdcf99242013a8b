#include "world.h"

#include <algorithm>
#include <charconv>

namespace mxsim {
namespace {

// A number as patterns write it: no sign, no leading zero.
std::optional<uint32_t> parse_index(std::string_view text) {
  uint32_t value = 0;
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Rules::Rules(std::vector<Rule> rules, Behaviour fallback)
    : rules_(std::move(rules)), fallback_(std::move(fallback)) {
  for (uint32_t i = 0; i < rules_.size(); ++i) {
    if (rules_[i].plain)
      plain_.emplace(rules_[i].pattern, i);
    else
      patterns_.push_back(i);
    if (!rules_[i].provider.empty()) providers_.emplace(rules_[i].provider, i);
  }
}

std::optional<uint32_t> Rules::index_in(const Rule& rule, std::string_view name) const {
  if (!name.starts_with(rule.prefix) || !name.ends_with(rule.suffix) ||
      name.size() <= rule.prefix.size() + rule.suffix.size())
    return std::nullopt;
  auto index = parse_index(
      name.substr(rule.prefix.size(), name.size() - rule.prefix.size() - rule.suffix.size()));
  if (!index || *index < rule.first || *index > rule.last) return std::nullopt;
  return *index - rule.first;
}

std::optional<DomainRef> Rules::find_domain(std::string_view name) const {
  if (auto found = plain_.find(std::string(name)); found != plain_.end())
    return DomainRef{found->second, 0};
  for (uint32_t number : patterns_)
    if (auto index = index_in(rules_[number], name)) return DomainRef{number, *index};
  return std::nullopt;
}

std::optional<HostRef> Rules::find_host(std::string_view name) const {
  size_t dot = name.find('.');
  if (!name.starts_with("mx") || dot == std::string_view::npos) return std::nullopt;
  auto number = parse_index(name.substr(2, dot - 2));
  if (!number || *number < 1) return std::nullopt;
  std::string_view parent = name.substr(dot + 1);
  if (auto found = providers_.find(std::string(parent)); found != providers_.end()) {
    if (*number > rules_[found->second].mx_hosts) return std::nullopt;
    return HostRef{found->second, *number - 1};
  }
  auto domain = find_domain(parent);
  if (!domain || !rules_[domain->rule].provider.empty()) return std::nullopt;
  const Rule& rule = rules_[domain->rule];
  if (*number > rule.mx_hosts) return std::nullopt;
  return HostRef{domain->rule, domain->index * rule.mx_hosts + *number - 1};
}

HostRef Rules::host_at(uint32_t address) const {
  if (address < kFirstAddress) return {};
  uint32_t place = address - kFirstAddress;
  auto after = std::upper_bound(rules_.begin(), rules_.end(), place,
                                [](uint32_t p, const Rule& r) { return p < r.address_base; });
  if (after == rules_.begin()) return {};
  const Rule& rule = *(after - 1);
  if (place - rule.address_base >= rule.address_count) return {};
  return {static_cast<uint32_t>(after - 1 - rules_.begin()), place - rule.address_base};
}

std::string Rules::host_name(uint32_t rule, uint32_t, std::string_view domain_name,
                             uint32_t number) const {
  const std::string& provider = rules_[rule].provider;
  return "mx" + std::to_string(number + 1) + "." +
         (provider.empty() ? std::string(domain_name) : provider);
}

uint32_t Rules::address_of(uint32_t rule, uint32_t domain, uint32_t number) const {
  const Rule& r = rules_[rule];
  return kFirstAddress + r.address_base + (r.provider.empty() ? domain * r.mx_hosts : 0) + number;
}

uint32_t Rules::number_of(HostRef host) const {
  return host.offset % rules_[host.rule].mx_hosts;
}

std::string Rules::change(std::string_view pattern, std::string_view key, std::string_view value) {
  if (pattern == "default") return set_key(fallback_, key, value);
  for (Rule& rule : rules_)
    if (rule.pattern == pattern) return set_key(rule.behaviour, key, value);
  return "no rule has the pattern '" + std::string(pattern) + "'";
}

World::World(const Config& config)
    : rules_(std::make_shared<const Rules>(config.rules, config.fallback)) {}

std::shared_ptr<const Rules> World::rules() const {
  std::lock_guard lock(mutex_);
  return rules_;
}

std::string World::change(std::string_view pattern, std::string_view key, std::string_view value) {
  std::lock_guard lock(mutex_);
  auto changed = std::make_shared<Rules>(*rules_);
  std::string wrong = changed->change(pattern, key, value);
  if (!wrong.empty()) return wrong;
  rules_ = std::move(changed);
  version_.fetch_add(1, std::memory_order_release);
  return "";
}

std::optional<uint64_t> World::open_connection(uint32_t address, uint32_t most) {
  std::lock_guard lock(mutex_);
  HostTally& tally = hosts_[address];
  if (most != 0 && tally.open >= most) {
    ++tally.refused;
    return std::nullopt;
  }
  tally.most_open = std::max(tally.most_open, ++tally.open);
  return tally.total++;
}

void World::close_connection(uint32_t address, uint64_t messages) {
  std::lock_guard lock(mutex_);
  HostTally& tally = hosts_[address];
  if (tally.open > 0) --tally.open;
  tally.messages += messages;
}

std::map<uint32_t, HostTally> World::hosts() const {
  std::lock_guard lock(mutex_);
  return hosts_;
}

bool World::greylisted(const std::string& key, uint32_t wait_ms) {
  std::lock_guard lock(mutex_);
  Clock::time_point now = Clock::now();
  auto [entry, is_new] = greylist_.try_emplace(key, now);
  return is_new || now - entry->second < std::chrono::milliseconds(wait_ms);
}

uint32_t World::count_up(const std::string& key) {
  std::lock_guard lock(mutex_);
  return counts_[key]++;
}

void World::forget() {
  std::lock_guard lock(mutex_);
  greylist_.clear();
  counts_.clear();
  for (auto entry = hosts_.begin(); entry != hosts_.end();) {
    if (entry->second.open == 0) {
      entry = hosts_.erase(entry);
      continue;
    }
    entry->second = {entry->second.open, entry->second.open, 0, 0, 0};
    ++entry;
  }
}

}  // namespace mxsim
