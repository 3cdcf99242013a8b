// The simulated internet as the servers see it: which name and which address belongs to which rule,
// and the little that hosts remember between connections.
//
// `Rules` never changes once made; a change of behaviour makes a new one, which every worker takes
// up at its next turn. Everything else is behind a mutex, since it is touched once a connection or
// once a greylisted recipient.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "behaviour.h"
#include "config.h"

namespace mxsim {

using Clock = std::chrono::steady_clock;

// A rule by its number; kNoRule stands for what no rule covers.
inline constexpr uint32_t kNoRule = UINT32_MAX;

struct DomainRef {
  uint32_t rule = kNoRule;
  uint32_t index = 0;  // which domain of the rule's pattern
};

struct HostRef {
  uint32_t rule = kNoRule;
  uint32_t offset = 0;  // which address of the rule
};

class Rules {
 public:
  Rules(std::vector<Rule> rules, Behaviour fallback);

  const Rule& rule(uint32_t number) const { return rules_[number]; }
  const Behaviour& behaviour(uint32_t number) const {
    return number == kNoRule ? fallback_ : rules_[number].behaviour;
  }
  // Names are lower case and without a final dot.
  std::optional<DomainRef> find_domain(std::string_view name) const;
  std::optional<HostRef> find_host(std::string_view name) const;
  HostRef host_at(uint32_t address) const;

  std::string host_name(uint32_t rule, uint32_t domain, std::string_view domain_name,
                        uint32_t number) const;
  uint32_t address_of(uint32_t rule, uint32_t domain, uint32_t number) const;
  // Which of its domain's (or provider's) hosts this is, from 0.
  uint32_t number_of(HostRef host) const;

  // A copy with one key of one rule ("default" names the fallback) changed; an error in words.
  std::string change(std::string_view pattern, std::string_view key, std::string_view value);

 private:
  std::optional<uint32_t> index_in(const Rule& rule, std::string_view name) const;

  std::vector<Rule> rules_;
  Behaviour fallback_;
  std::unordered_map<std::string, uint32_t> plain_;
  std::unordered_map<std::string, uint32_t> providers_;
  std::vector<uint32_t> patterns_;
};

struct HostTally {
  uint32_t open = 0;
  uint32_t most_open = 0;
  uint64_t total = 0;
  uint64_t refused = 0;
  uint64_t messages = 0;
};

class World {
 public:
  explicit World(const Config& config);

  std::shared_ptr<const Rules> rules() const;
  uint64_t version() const { return version_.load(std::memory_order_acquire); }
  std::string change(std::string_view pattern, std::string_view key, std::string_view value);

  // The number of this connection to the host, from 0; nothing where `most` are open already.
  std::optional<uint64_t> open_connection(uint32_t address, uint32_t most);
  void close_connection(uint32_t address, uint64_t messages);
  std::map<uint32_t, HostTally> hosts() const;

  // True while `key` has to wait: from its first call until `wait_ms` later.
  bool greylisted(const std::string& key, uint32_t wait_ms);
  // How often this was called for `key` before.
  uint32_t count_up(const std::string& key);
  void forget();

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Rules> rules_;
  std::atomic<uint64_t> version_{1};
  std::map<uint32_t, HostTally> hosts_;
  std::unordered_map<std::string, Clock::time_point> greylist_;
  std::unordered_map<std::string, uint32_t> counts_;
};

}  // namespace mxsim
