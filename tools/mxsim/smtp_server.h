// One worker of the SMTP side: its listening sockets, its connections, its loop.
//
// All hosts listen at one port; which host a client reached is told by the address it connected to.
// Only connections to 127.0.0.0/8 and ::1 are taken.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "ledger.h"
#include "loop.h"
#include "session.h"
#include "world.h"

namespace mxsim {

class SmtpServer {
 public:
  // `ledger` null: count only. The sockets are listening ones; they are closed at the end.
  SmtpServer(World& world, Ledger* ledger, Counters& counters, bool keep_bodies, int listener,
             int listener6);
  ~SmtpServer();
  SmtpServer(const SmtpServer&) = delete;
  SmtpServer& operator=(const SmtpServer&) = delete;

  void run() { loop_.run(); }
  void stop() { loop_.stop(); }

 private:
  struct Connection {
    Connection(Site& site, uint32_t at, uint32_t client, uint64_t number)
        : host(at), session(site, at, client, number) {}
    uint64_t id = 0;
    int fd = -1;
    uint32_t host;
    Loop::Token token = 0;
    Session session;
    std::string held;     // came, but the session waits
    size_t written = 0;   // of the session's output
    uint32_t events = 0;  // asked of epoll
    uint32_t latency_ms = 0;
    bool read_later = false;   // a timer reads
    bool write_later = false;  // a timer writes
    bool resume_later = false;
    bool blocked = false;   // the socket takes no more output
    bool farewell = false;  // all is said; waits for the client to close
  };

  void accept_all(int listener);
  void take(int fd);
  void on_event(Connection& connection, uint32_t events);
  void read_some(Connection& connection);
  void feed(Connection& connection, const char* bytes, size_t size);
  void advance(Connection& connection);
  bool write_some(Connection& connection);
  void finish(Connection& connection);
  void update_events(Connection& connection);
  void drop(Connection& connection, bool reset);
  void later(uint64_t delay_ms, Connection& connection, void (SmtpServer::*what)(Connection&));
  void read_after_wait(Connection& connection);
  void write_after_wait(Connection& connection);
  void resume_after_wait(Connection& connection);

  Site site_;
  Loop loop_;
  uint64_t version_ = 0;
  uint64_t next_id_ = 1;
  int listeners_[2];
  std::unique_ptr<char[]> buffer_;
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;
};

}  // namespace mxsim
