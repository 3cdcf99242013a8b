// The DNS side: answers for the domains and hosts of the rules over UDP and TCP.
//
// It stands for a whole resolver: what no rule knows does not exist (NXDOMAIN).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "dns_message.h"
#include "loop.h"
#include "world.h"

namespace mxsim {

// What the rules say about one question. `count` is asked how often the domain was asked for
// before.
class Zone {
 public:
  explicit Zone(World& world) : world_(world) {}
  Answer resolve(const Question& question);

 private:
  Answer of_domain(const Rules& rules, DomainRef domain, const Question& question);
  Answer of_host(const Rules& rules, HostRef host, const Question& question);
  void add_addresses(const Rules& rules, uint32_t rule, uint32_t address, std::string_view name,
                     uint16_t type, Answer& answer);
  void add_mx(const Rules& rules, DomainRef domain, std::string_view name, Answer& answer);
  bool misbehaves(const Behaviour& behaviour, std::string_view name);

  World& world_;
};

class DnsServer {
 public:
  // The sockets are bound (and the TCP one listens) to the same port.
  DnsServer(World& world, Loop& loop, int udp, int tcp);
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  uint64_t queries() const { return queries_.load(std::memory_order_relaxed); }
  uint64_t tcp_queries() const { return tcp_queries_.load(std::memory_order_relaxed); }

 private:
  struct Peer {
    int fd = -1;
    Loop::Token token = 0;
    std::string input;
  };
  void read_udp();
  void accept_tcp();
  void read_tcp(uint64_t id);
  void answer_tcp(uint64_t id, std::string_view message);
  void close_tcp(uint64_t id);

  Zone zone_;
  Loop& loop_;
  int udp_;
  int tcp_;
  Loop::Token udp_token_;
  Loop::Token tcp_token_;
  uint64_t next_peer_ = 1;
  std::unordered_map<uint64_t, Peer> peers_;
  std::atomic<uint64_t> queries_{0};
  std::atomic<uint64_t> tcp_queries_{0};
};

}  // namespace mxsim
