// How tests and tools ask what arrived and change how hosts behave: one command a line over TCP on
// loopback, one JSON object a line back.
//
//     stats                        counts, violations, ports
//     recipient ADDRESS            its ledger entry, {"attempts":0} where nothing came
//     body ADDRESS                 its last message (keep_bodies = true), as a JSON string
//     hosts                        connections per host address
//     dump FILE                    the whole ledger into a file, one entry a line
//     set PATTERN KEY VALUE        VALUE as in the configuration; PATTERN "default" for [default]
//     reset                        forgets ledger, violations, greylists and attempt counts
//     quit                         ends the program
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dns_server.h"
#include "ledger.h"
#include "loop.h"
#include "world.h"

namespace mxsim {

class Control {
 public:
  Control(World& world, Ledger& ledger, std::vector<Counters>& counters, DnsServer& dns, Loop& loop,
          int listener);
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  std::string answer(std::string_view line);

 private:
  struct Peer {
    int fd = -1;
    Loop::Token token = 0;
    std::string input;
    std::string output;
  };
  void accept_one();
  void on_event(uint64_t id);
  void close_peer(uint64_t id);
  std::string stats() const;
  std::string hosts() const;

  World& world_;
  Ledger& ledger_;
  std::vector<Counters>& counters_;
  DnsServer& dns_;
  Loop& loop_;
  int listener_;
  Loop::Token token_;
  uint64_t next_peer_ = 1;
  std::unordered_map<uint64_t, Peer> peers_;
};

}  // namespace mxsim
