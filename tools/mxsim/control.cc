#include "control.h"

#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace mxsim {
namespace {

std::string error_json(std::string_view text) {
  return "{\"error\":" + json_string(text) + "}";
}

// Takes the first word off the front.
std::string_view take_word(std::string_view& rest) {
  std::string_view word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(word.size() == rest.size() ? word.size() : word.size() + 1);
  return word;
}

void field(std::string& out, std::string_view name, uint64_t value) {
  if (out.back() != '{') out += ',';
  out += json_string(name) + ':' + std::to_string(value);
}

}  // namespace

Control::Control(World& world, Ledger& ledger, std::vector<Counters>& counters, DnsServer& dns,
                 Loop& loop, int listener)
    : world_(world),
      ledger_(ledger),
      counters_(counters),
      dns_(dns),
      loop_(loop),
      listener_(listener) {
  token_ = loop_.add(listener_, EPOLLIN, [this](uint32_t) { accept_one(); });
}

Control::~Control() {
  for (auto& [id, peer] : peers_) close(peer.fd);
  close(listener_);
}

void Control::accept_one() {
  int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  uint64_t id = next_peer_++;
  peers_[id].fd = fd;
  peers_[id].token = loop_.add(fd, EPOLLIN, [this, id](uint32_t) { on_event(id); });
}

void Control::close_peer(uint64_t id) {
  auto found = peers_.find(id);
  if (found == peers_.end()) return;
  loop_.remove(found->second.token, found->second.fd);
  close(found->second.fd);
  peers_.erase(found);
}

void Control::on_event(uint64_t id) {
  Peer& peer = peers_[id];
  char buffer[4096];
  ssize_t size = recv(peer.fd, buffer, sizeof buffer, 0);
  if (size == 0 || (size < 0 && errno != EAGAIN)) return close_peer(id);
  if (size > 0) peer.input.append(buffer, static_cast<size_t>(size));
  size_t end;
  while ((end = peer.input.find('\n')) != std::string::npos) {
    std::string line = peer.input.substr(0, end);
    peer.input.erase(0, end + 1);
    if (line.ends_with('\r')) line.pop_back();
    peer.output += answer(line) + '\n';
  }
  ssize_t sent = send(peer.fd, peer.output.data(), peer.output.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return close_peer(id);
  if (sent > 0) peer.output.erase(0, static_cast<size_t>(sent));
  loop_.modify(peer.token, peer.fd, EPOLLIN | (peer.output.empty() ? 0u : EPOLLOUT));
}

std::string Control::answer(std::string_view line) {
  std::string_view rest = line;
  std::string_view word = take_word(rest);
  if (word == "stats") return stats();
  if (word == "hosts") return hosts();
  if (word == "recipient") return entry_json(rest, ledger_.find(rest).value_or(Entry()));
  if (word == "body") {
    auto entry = ledger_.find(rest);
    return "{\"body\":" + json_string(entry ? entry->body : "") + "}";
  }
  if (word == "dump") {
    return ledger_.dump(std::string(rest)) ? "{\"ok\":true}"
                                           : error_json("cannot write " + std::string(rest));
  }
  if (word == "reset") {
    ledger_.reset();
    world_.forget();
    return "{\"ok\":true}";
  }
  if (word == "set") {
    std::string_view pattern = take_word(rest);
    std::string_view key = take_word(rest);
    std::string wrong = world_.change(pattern, key, rest);
    return wrong.empty() ? "{\"ok\":true}" : error_json(wrong);
  }
  if (word == "quit") {
    loop_.stop();
    return "{\"ok\":true}";
  }
  return error_json("commands: stats recipient body hosts dump set reset quit");
}

std::string Control::stats() const {
  auto sum = [this](Counters::Count Counters::*count) {
    uint64_t total = 0;
    for (const Counters& each : counters_) total += (each.*count).load(std::memory_order_relaxed);
    return total;
  };
  auto latest = [this](Counters::Count Counters::*count) {
    uint64_t last = 0;
    for (const Counters& each : counters_)
      last = std::max(last, (each.*count).load(std::memory_order_relaxed));
    return last;
  };
  std::string out = "{";
  uint64_t connections = sum(&Counters::connections);
  field(out, "connections", connections);
  field(out, "open_connections", connections - sum(&Counters::closed));
  field(out, "refused_connections", sum(&Counters::refused_connections));
  field(out, "mail_commands", sum(&Counters::mail_commands));
  field(out, "messages", sum(&Counters::messages));
  field(out, "accepted", sum(&Counters::recipients));
  field(out, "bytes", sum(&Counters::bytes));
  field(out, "replies_4xx", sum(&Counters::replies_4xx));
  field(out, "replies_5xx", sum(&Counters::replies_5xx));
  field(out, "drops", sum(&Counters::drops));
  field(out, "reply_lost", sum(&Counters::reply_lost));
  field(out, "last_mail_ms", latest(&Counters::last_mail_ms));
  field(out, "last_message_ms", latest(&Counters::last_message_ms));
  Totals totals = ledger_.totals();
  field(out, "recipients", totals.recipients);
  field(out, "reached", totals.reached);
  field(out, "ledger_accepted", totals.accepted);
  field(out, "duplicated", totals.duplicated);
  field(out, "unexplained", totals.unexplained);
  field(out, "bytes_changed", totals.bytes_changed);
  field(out, "dns_queries", dns_.queries());
  field(out, "dns_tcp_queries", dns_.tcp_queries());
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto microseconds = [](timeval time) {
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_usec);
  };
  field(out, "cpu_us", microseconds(usage.ru_utime) + microseconds(usage.ru_stime));
  out += ",\"violations\":{";
  for (const auto& [name, violation] : ledger_.violations()) {
    if (out.back() != '{') out += ',';
    out += json_string(name) + ":{\"count\":" + std::to_string(violation.count) +
           ",\"example\":" + json_string(violation.example) + "}";
  }
  return out + "}}";
}

std::string Control::hosts() const {
  std::string out = "{\"hosts\":{";
  for (const auto& [address, tally] : world_.hosts()) {
    char text[INET_ADDRSTRLEN] = "";
    in_addr raw{htonl(address)};
    inet_ntop(AF_INET, &raw, text, sizeof text);
    std::string entry = "{";
    field(entry, "open", tally.open);
    field(entry, "most_open", tally.most_open);
    field(entry, "connections", tally.total);
    field(entry, "refused", tally.refused);
    field(entry, "messages", tally.messages);
    if (out.back() != '{') out += ',';
    out += json_string(text) + ':' + entry + '}';
  }
  return out + "}}";
}

}  // namespace mxsim
