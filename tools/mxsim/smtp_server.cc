#include "smtp_server.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "choice.h"
#include "sockets.h"

namespace mxsim {
namespace {

constexpr size_t kReadSize = 256 * 1024;
constexpr size_t kHeldLimit = 1024 * 1024;
constexpr uint64_t kFarewellMs = 5'000;
constexpr uint64_t kSlowReadMs = 100;

}  // namespace

SmtpServer::SmtpServer(World& world, Ledger* ledger, Counters& counters, bool keep_bodies,
                       int listener, int listener6)
    : listeners_{listener, listener6}, buffer_(new char[kReadSize]) {
  site_.world = &world;
  site_.ledger = ledger;
  site_.counters = &counters;
  site_.keep_bodies = keep_bodies;
  site_.rules = world.rules();
  for (int fd : listeners_)
    if (fd >= 0) loop_.add(fd, EPOLLIN, [this, fd](uint32_t) { accept_all(fd); });
  loop_.each_turn([this] {
    uint64_t version = site_.world->version();
    if (version == version_) return;
    version_ = version;
    site_.rules = site_.world->rules();
  });
}

SmtpServer::~SmtpServer() {
  for (auto& [id, connection] : connections_) close(connection->fd);
  for (int fd : listeners_)
    if (fd >= 0) close(fd);
}

void SmtpServer::accept_all(int listener) {
  for (int i = 0; i < 64; ++i) {
    int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    take(fd);
  }
}

void SmtpServer::take(int fd) {
  uint32_t host = local_address(fd);
  if (host != 0 && host >> 24 != 127) {
    reset_connection(fd);
    return;
  }
  Counters::add(site_.counters->connections);
  HostRef ref = site_.rules->host_at(host);
  const Behaviour& behaviour = site_.rules->behaviour(ref.rule);
  bool refused = ref.rule != kNoRule && site_.rules->number_of(ref) < behaviour.refuse_hosts;
  auto number = refused ? std::optional<uint64_t>()
                        : site_.world->open_connection(host, behaviour.max_connections);
  if (!number) {
    Counters::add(site_.counters->refused_connections);
    Counters::add(site_.counters->closed);
    if (refused || behaviour.max_connections_resets) return reset_connection(fd);
    constexpr std::string_view kTooMany = "421 4.7.0 Too many connections from you\r\n";
    if (send(fd, kTooMany.data(), kTooMany.size(), MSG_NOSIGNAL) < 0) errno = 0;
    close(fd);
    return;
  }
  set_no_delay(fd);
  if (behaviour.read_bytes_per_s != 0) {
    int bytes = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
  uint64_t id = next_id_++;
  auto made = std::make_unique<Connection>(site_, host, peer_address(fd), *number);
  Connection& connection = *made;
  connection.id = id;
  connection.fd = fd;
  uint32_t spread = behaviour.latency_max_ms - behaviour.latency_min_ms;
  connection.latency_ms = behaviour.latency_min_ms +
                          (spread == 0 ? 0 : static_cast<uint32_t>(mix(host) % (spread + 1)));
  connections_.emplace(id, std::move(made));
  connection.events = EPOLLIN;
  connection.token = loop_.add(
      fd, EPOLLIN, [this, &connection](uint32_t events) { on_event(connection, events); });
  connection.session.start();
  advance(connection);
}

void SmtpServer::later(uint64_t delay_ms, Connection& connection,
                       void (SmtpServer::*what)(Connection&)) {
  loop_.after_ms(delay_ms, [this, id = connection.id, what] {
    auto found = connections_.find(id);
    if (found != connections_.end()) (this->*what)(*found->second);
  });
}

void SmtpServer::on_event(Connection& connection, uint32_t events) {
  if ((events & EPOLLOUT) != 0) {
    connection.blocked = false;
    if (!write_some(connection)) return;
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return update_events(connection);
  if (connection.latency_ms != 0 && !connection.read_later && (events & EPOLLERR) == 0) {
    connection.read_later = true;
    later(connection.latency_ms, connection, &SmtpServer::read_after_wait);
    return update_events(connection);
  }
  bool reads = (connection.events & EPOLLIN) != 0;
  if (reads)
    read_some(connection);
  else if ((events & (EPOLLHUP | EPOLLERR)) != 0)
    drop(connection, false);
}

void SmtpServer::read_after_wait(Connection& connection) {
  connection.read_later = false;
  read_some(connection);
}

void SmtpServer::read_some(Connection& connection) {
  Session& session = connection.session;
  uint32_t slow = session.behaviour().read_bytes_per_s;
  uint64_t skippable = connection.held.empty() ? session.skippable() : 0;
  if (skippable > kReadSize / 8 && slow == 0) {
    // MSG_TRUNC lets the kernel throw the bytes away without copying them.
    ssize_t size = recv(connection.fd, nullptr, std::min<uint64_t>(skippable, 1 << 30), MSG_TRUNC);
    if (size > 0) {
      session.skip(static_cast<uint64_t>(size));
      return advance(connection);
    }
  }
  size_t most = kReadSize;
  if (slow != 0) most = std::max<size_t>(1, slow * kSlowReadMs / 1000);
  ssize_t size = recv(connection.fd, buffer_.get(), most, 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return update_events(connection);
  if (size <= 0) return drop(connection, false);
  if (slow != 0) {
    connection.read_later = true;
    later(kSlowReadMs, connection, &SmtpServer::read_after_wait);
  }
  if (connection.farewell) return update_events(connection);
  if (session.before_greeting() && session.waiting() && connection.held.empty())
    session.talked_early();
  feed(connection, buffer_.get(), static_cast<size_t>(size));
}

void SmtpServer::feed(Connection& connection, const char* bytes, size_t size) {
  std::string& held = connection.held;
  Session& session = connection.session;
  if (held.empty()) {
    size_t used = session.receive(bytes, size);
    held.assign(bytes + used, size - used);
  } else {
    held.append(bytes, size);
    held.erase(0, session.receive(held.data(), held.size()));
  }
  advance(connection);
}

void SmtpServer::resume_after_wait(Connection& connection) {
  connection.resume_later = false;
  connection.session.resume();
  std::string& held = connection.held;
  if (!held.empty()) held.erase(0, connection.session.receive(held.data(), held.size()));
  advance(connection);
}

void SmtpServer::write_after_wait(Connection& connection) {
  connection.write_later = false;
  if (write_some(connection)) update_events(connection);
}

// What follows from what the session just did. The connection may be gone afterwards.
void SmtpServer::advance(Connection& connection) {
  Session& session = connection.session;
  if (session.ending() == Ending::kReset) return drop(connection, true);
  if (session.waiting() && session.wait_ms() != Session::kForever && !connection.resume_later) {
    connection.resume_later = true;
    later(session.wait_ms(), connection, &SmtpServer::resume_after_wait);
  }
  if (write_some(connection)) update_events(connection);
}

// False when the connection is gone.
bool SmtpServer::write_some(Connection& connection) {
  std::string& output = connection.session.output();
  const Behaviour& behaviour = connection.session.behaviour();
  while (connection.written < output.size() && !connection.blocked && !connection.write_later) {
    size_t size = output.size() - connection.written;
    if (behaviour.write_bytes != 0) size = std::min<size_t>(size, behaviour.write_bytes);
    ssize_t sent = send(connection.fd, output.data() + connection.written, size, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN && errno != EINTR) {
        drop(connection, false);
        return false;
      }
      connection.blocked = true;
      break;
    }
    connection.written += static_cast<size_t>(sent);
    if (behaviour.write_bytes != 0 && behaviour.write_gap_ms != 0) {
      connection.write_later = true;
      later(behaviour.write_gap_ms, connection, &SmtpServer::write_after_wait);
    }
  }
  if (connection.written < output.size()) return true;
  output.clear();
  connection.written = 0;
  if (connection.session.ending() != Ending::kClose || connection.session.waiting() ||
      connection.farewell)
    return true;
  finish(connection);
  return true;
}

// Says goodbye so that the last reply arrives: closing at once would reset a connection with unread
// input.
void SmtpServer::finish(Connection& connection) {
  connection.farewell = true;
  shutdown(connection.fd, SHUT_WR);
  loop_.after_ms(kFarewellMs, [this, id = connection.id] {
    auto found = connections_.find(id);
    if (found != connections_.end()) drop(*found->second, false);
  });
}

void SmtpServer::update_events(Connection& connection) {
  bool reads = !connection.read_later && connection.held.size() < kHeldLimit;
  uint32_t events = (reads ? EPOLLIN : 0u) | (connection.blocked ? EPOLLOUT : 0u);
  if (events == connection.events) return;
  connection.events = events;
  loop_.modify(connection.token, connection.fd, events);
}

void SmtpServer::drop(Connection& connection, bool reset) {
  site_.world->close_connection(connection.host, connection.session.messages());
  Counters::add(site_.counters->closed);
  loop_.remove(connection.token, connection.fd);
  if (reset)
    reset_connection(connection.fd);
  else
    close(connection.fd);
  connections_.erase(connection.id);
}

}  // namespace mxsim
