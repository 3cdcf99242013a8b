// Settings: how mail to a site is sent, from the careful defaults and the operator's overrides.
//
// An override names what it changes and leaves the rest. They apply from the general to the
// particular, so the particular wins:
//
//     defaults -> MX suffixes, shorter before longer -> domains, shorter suffix before longer,
//     the exact name last
//
// A domain pattern is "example.com" (that name only) or ".example.com" (every name below it); an MX
// suffix covers the name itself and every host below it and applies where all MX hosts of the site
// are covered. A domain that an override names has lanes of its own: its limits never spill over to
// domains that share its MX hosts.
//
// A Rules is immutable: every worker may hold it, a reload hands out a new one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "throttle/token_bucket.h"

namespace postring::traffic {

enum class Pipelining : uint8_t {
  off,     // one command, one reply
  within,  // MAIL, RCPT and DATA together (RFC 2920)
  across,  // and the next message's ride with this one's final dot (RFC 2920 section 3.1)
};

// What becomes of a message whose final dot was sent and whose reply never came.
enum class LostFinalReply : uint8_t { retry, assume_delivered };

constexpr uint32_t kConnectionsMax = 10'000;
constexpr uint32_t kMessagesPerConnectionMax = 1'000'000;
constexpr uint32_t kRetryStepsMax = 32;

struct Settings {
  uint32_t connections = 10;               // of one lane at once
  uint32_t messages_per_connection = 500;  // then QUIT
  throttle::Rate rate = throttle::Rate::per_second(100);
  uint32_t burst = 20;
  uint32_t recipients_per_transaction = 100;
  Pipelining pipelining = Pipelining::across;
  bool chunking = true;
  LostFinalReply on_lost_final_reply = LostFinalReply::retry;
  Duration idle_timeout = Duration::seconds(5);
  Duration connect_timeout = Duration::seconds(30);
  // Empty and zero: what the campaign or the global schedule says.
  std::vector<Duration> retry;
  Duration max_age;

  bool operator==(const Settings&) const = default;
};

// Where the operator has allow-listed the network of every host, nobody needs to be treated with
// care: no rate, more connections.
Settings careful_settings();
Settings allowed_network_settings();

// Empty fields change nothing.
struct Override {
  std::optional<uint32_t> connections;
  std::optional<uint32_t> messages_per_connection;
  std::optional<throttle::Rate> rate;
  std::optional<uint32_t> burst;
  std::optional<uint32_t> recipients_per_transaction;
  std::optional<Pipelining> pipelining;
  std::optional<bool> chunking;
  std::optional<LostFinalReply> on_lost_final_reply;
  std::optional<Duration> idle_timeout;
  std::optional<Duration> connect_timeout;
  std::optional<std::vector<Duration>> retry;
  std::optional<Duration> max_age;

  void apply_to(Settings& settings) const;
};

// Says which value is out of its bounds and what is allowed; empty where all is well.
std::string what_is_wrong(const Override& override);

struct NamedOverride {
  std::string pattern;  // lower-case A-labels
  Override override;
};

class Rules {
 public:
  Rules() = default;
  // Patterns must be distinct within each list.
  Rules(Override defaults, std::vector<NamedOverride> mx_suffixes,
        std::vector<NamedOverride> domains);

  // For a lane to `mx_hosts` that carries mail for `domain`. `allowed_network`: every address of
  // the site lies in a network the configuration lists.
  Settings for_site(std::string_view domain, std::span<const std::string> mx_hosts,
                    bool allowed_network) const;
  // For what is decided before the hosts are known (retry, max_age).
  Settings for_domain(std::string_view domain) const;
  // Tells domains apart that must not share a lane though they share MX hosts: the pattern of the
  // most particular domain override that covers the domain, empty for none.
  std::string_view lane_mark(std::string_view domain) const;

 private:
  void apply_domains(std::string_view domain, Settings& settings) const;

  Override defaults_;
  std::vector<NamedOverride> mx_suffixes_;  // shorter patterns first
  std::vector<NamedOverride> domains_;
};

}  // namespace postring::traffic
