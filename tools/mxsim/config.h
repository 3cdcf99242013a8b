// Reads the configuration (TOML) of the simulated internet.
//
//     [listen]
//     smtp_port = 0        # 0 picks a free one; all hosts of 127.0.0.0/8 answer at this port
//     dns_port = 0
//     control_port = 0
//     [default]            # applies to every rule that says nothing else, and to unknown domains
//     latency_ms = [20, 150]
//     [[domain]]
//     pattern = "d{0..199}.example"
//     mx_hosts = 2
//     rcpt_4xx = 0.1       # a share of recipients, by hash of recipient and attempt
//     rcpt_4xx_times = 1
//
// All keys of a rule are listed in README.md beside this file. Unknown keys and values are errors.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "behaviour.h"

namespace mxsim {

struct Config {
  uint16_t smtp_port = 0;
  uint16_t dns_port = 0;
  uint16_t control_port = 0;
  bool keep_bodies = false;  // the ledger keeps each recipient's last message whole
  Behaviour fallback;
  std::vector<Rule> rules;
};

// The error says what is wrong and where.
std::expected<Config, std::string> load_config(const std::string& path);
std::expected<Config, std::string> parse_config(std::string_view text);

// Changes one key of a behaviour; `value` is written as in the file (`0.5`, `"rcpt"`, `[1, 2]`).
// Returns an error in words, empty when done.
std::string set_key(Behaviour& behaviour, std::string_view key, std::string_view value);

}  // namespace mxsim
