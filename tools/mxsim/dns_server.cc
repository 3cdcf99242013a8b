#include "dns_server.h"

#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "sockets.h"

namespace mxsim {
namespace {

constexpr size_t kPeerLimit = 65536 + 2;

Answer nothing(const Question& question, uint32_t ttl_s, Rcode rcode) {
  Answer answer;
  answer.rcode = rcode;
  answer.authority.push_back(soa_record(question.name, ttl_s));
  return answer;
}

}  // namespace

Answer Zone::resolve(const Question& question) {
  auto rules = world_.rules();
  Answer answer;
  if (auto domain = rules->find_domain(question.name)) {
    answer = of_domain(*rules, *domain, question);
    const Behaviour& behaviour = rules->behaviour(domain->rule);
    answer.delay_ms = behaviour.dns_delay_ms;
    answer.truncate_udp = behaviour.dns_truncate;
    return answer;
  }
  if (auto host = rules->find_host(question.name)) return of_host(*rules, *host, question);
  return nothing(question, 60, Rcode::kNxDomain);
}

bool Zone::misbehaves(const Behaviour& behaviour, std::string_view name) {
  if (behaviour.dns == DnsMode::kMx) return false;
  if (behaviour.dns_times == 0) return true;
  return world_.count_up("dns " + std::string(name)) < behaviour.dns_times;
}

void Zone::add_addresses(const Rules& rules, uint32_t rule, uint32_t address, std::string_view name,
                         uint16_t type, Answer& answer) {
  const Behaviour& behaviour = rules.behaviour(rule);
  if (type == kTypeA || type == kTypeAny) {
    in_addr fixed{};
    if (!behaviour.address.empty() && inet_pton(AF_INET, behaviour.address.c_str(), &fixed) == 1)
      address = ntohl(fixed.s_addr);
    answer.answers.push_back(a_record(name, behaviour.ttl_s, address));
  }
  if ((type == kTypeAaaa || type == kTypeAny) && behaviour.ipv6)
    answer.answers.push_back(aaaa_loopback_record(name, behaviour.ttl_s));
}

void Zone::add_mx(const Rules& rules, DomainRef domain, std::string_view name, Answer& answer) {
  const Rule& rule = rules.rule(domain.rule);
  for (uint32_t i = 0; i < rule.mx_hosts; ++i) {
    auto preference = static_cast<uint16_t>(10 * (i + 1));
    answer.answers.push_back(mx_record(name, rule.behaviour.ttl_s, preference,
                                       rules.host_name(domain.rule, domain.index, name, i)));
  }
}

Answer Zone::of_domain(const Rules& rules, DomainRef domain, const Question& question) {
  const Behaviour& behaviour = rules.behaviour(domain.rule);
  std::string_view name = question.name;
  Answer answer;
  DnsMode mode = misbehaves(behaviour, name) ? behaviour.dns : DnsMode::kMx;
  bool asks_mx = question.type == kTypeMx || question.type == kTypeAny;
  switch (mode) {
    case DnsMode::kMx:
      if (asks_mx) add_mx(rules, domain, name, answer);
      break;
    case DnsMode::kImplicit:
      add_addresses(rules, domain.rule, rules.address_of(domain.rule, domain.index, 0), name,
                    question.type, answer);
      break;
    case DnsMode::kNullMx:
      if (asks_mx) answer.answers.push_back(mx_record(name, behaviour.ttl_s, 0, ""));
      break;
    case DnsMode::kNoData:
      break;
    case DnsMode::kNxdomain:
      return nothing(question, behaviour.ttl_s, Rcode::kNxDomain);
    case DnsMode::kServfail:
      answer.rcode = Rcode::kServFail;
      return answer;
    case DnsMode::kRefused:
      answer.rcode = Rcode::kRefused;
      return answer;
    case DnsMode::kTimeout:
      answer.silent = true;
      return answer;
    case DnsMode::kCname: {
      answer.answers.push_back(cname_record(name, behaviour.ttl_s, behaviour.cname));
      auto target = rules.find_domain(behaviour.cname);
      if (question.type == kTypeCname || !target || behaviour.cname == name) return answer;
      Question next = question;
      next.name = behaviour.cname;
      Answer rest = of_domain(rules, *target, next);
      answer.rcode = rest.rcode;
      answer.silent = rest.silent;
      answer.answers.insert(answer.answers.end(), rest.answers.begin(), rest.answers.end());
      answer.authority = rest.authority;
      return answer;
    }
  }
  if (answer.answers.empty()) return nothing(question, behaviour.ttl_s, Rcode::kNoError);
  return answer;
}

Answer Zone::of_host(const Rules& rules, HostRef host, const Question& question) {
  Answer answer;
  const Rule& rule = rules.rule(host.rule);
  add_addresses(rules, host.rule, kFirstAddress + rule.address_base + host.offset, question.name,
                question.type, answer);
  if (answer.answers.empty()) return nothing(question, rule.behaviour.ttl_s, Rcode::kNoError);
  return answer;
}

DnsServer::DnsServer(World& world, Loop& loop, int udp, int tcp)
    : zone_(world), loop_(loop), udp_(udp), tcp_(tcp) {
  udp_token_ = loop_.add(udp_, EPOLLIN, [this](uint32_t) { read_udp(); });
  tcp_token_ = loop_.add(tcp_, EPOLLIN, [this](uint32_t) { accept_tcp(); });
}

DnsServer::~DnsServer() {
  for (auto& [id, peer] : peers_) close(peer.fd);
  close(udp_);
  close(tcp_);
}

void DnsServer::read_udp() {
  char buffer[4096];
  for (int i = 0; i < 256; ++i) {
    sockaddr_storage from{};
    socklen_t from_size = sizeof from;
    ssize_t size =
        recvfrom(udp_, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &from_size);
    if (size < 0) return;
    queries_.fetch_add(1, std::memory_order_relaxed);
    auto question = parse_question(std::string_view(buffer, static_cast<size_t>(size)));
    if (!question) continue;
    Answer answer = zone_.resolve(*question);
    if (answer.silent) continue;
    size_t limit = answer.truncate_udp ? 0 : question->udp_size;
    std::string reply = write_answer(*question, answer, limit);
    auto send_it = [fd = udp_, reply, from, from_size] {
      if (sendto(fd, reply.data(), reply.size(), 0, reinterpret_cast<const sockaddr*>(&from),
                 from_size) < 0)
        errno = 0;  // a lost answer is what UDP is like
    };
    if (answer.delay_ms == 0)
      send_it();
    else
      loop_.after_ms(answer.delay_ms, send_it);
  }
}

void DnsServer::accept_tcp() {
  int fd = accept4(tcp_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  uint64_t id = next_peer_++;
  peers_[id].fd = fd;
  peers_[id].token = loop_.add(fd, EPOLLIN, [this, id](uint32_t) { read_tcp(id); });
}

void DnsServer::close_tcp(uint64_t id) {
  auto found = peers_.find(id);
  if (found == peers_.end()) return;
  loop_.remove(found->second.token, found->second.fd);
  close(found->second.fd);
  peers_.erase(found);
}

void DnsServer::read_tcp(uint64_t id) {
  Peer& peer = peers_[id];
  char buffer[4096];
  ssize_t size = recv(peer.fd, buffer, sizeof buffer, 0);
  if (size < 0 && errno == EAGAIN) return;
  if (size <= 0 || peer.input.size() > kPeerLimit) return close_tcp(id);
  peer.input.append(buffer, static_cast<size_t>(size));
  while (true) {
    auto found = peers_.find(id);
    if (found == peers_.end() || found->second.input.size() < 2) return;
    std::string& input = found->second.input;
    size_t length =
        static_cast<size_t>(static_cast<uint8_t>(input[0])) << 8 | static_cast<uint8_t>(input[1]);
    if (input.size() < 2 + length) return;
    std::string message = input.substr(2, length);
    input.erase(0, 2 + length);
    answer_tcp(id, message);
  }
}

void DnsServer::answer_tcp(uint64_t id, std::string_view message) {
  queries_.fetch_add(1, std::memory_order_relaxed);
  tcp_queries_.fetch_add(1, std::memory_order_relaxed);
  auto question = parse_question(message);
  if (!question) return close_tcp(id);
  Answer answer = zone_.resolve(*question);
  if (answer.silent) return;
  std::string reply = write_answer(*question, answer, 65535);
  std::string framed;
  framed += static_cast<char>(reply.size() >> 8 & 255);
  framed += static_cast<char>(reply.size() & 255);
  framed += reply;
  loop_.after_ms(answer.delay_ms, [this, id, framed] {
    auto found = peers_.find(id);
    if (found == peers_.end()) return;
    if (send(found->second.fd, framed.data(), framed.size(), MSG_NOSIGNAL) < 0) close_tcp(id);
  });
}

}  // namespace mxsim
