// Net: connections in memory between the simulated process and the actors of its world.
//
// A Stream is one connection. The process has a descriptor of it and uses it through the ring
// (sim_ring.cc); the other end is an Actor: a session of a mail host, or a client of the API. Bytes
// take their time in both directions and never overtake each other. What the process has not
// received when it closes or ends is lost, and the actor learns that (reset).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "io/socket_address.h"
#include "sim/faults.h"
#include "sim/schedule.h"

namespace postring::sim {

class Stream;
using StreamPtr = std::shared_ptr<Stream>;

class Actor {
 public:
  virtual ~Actor() = default;
  virtual void on_open(Stream& stream) = 0;
  // `sent` is when the process handed the last of these bytes over.
  virtual void on_bytes(Stream& stream, std::string_view bytes, Instant sent) = 0;
  // Nothing more comes; `reset`: and nothing more arrives there.
  virtual void on_end(Stream& stream, bool reset) = 0;
};

class Stream : public std::enable_shared_from_this<Stream> {
 public:
  Stream(Schedule& schedule, Faults& faults, uint64_t seed, std::shared_ptr<Actor> actor)
      : schedule_(schedule), faults_(faults), random_(seed), actor_(std::move(actor)) {}

  // ---- the actor's end
  void say(std::string bytes);
  void finish();  // says no more
  void abort();   // a reset, in both directions
  bool lost() const { return process_gone_ || aborted_; }
  uint64_t said() const { return said_; }
  // Set once the process has received everything up to `offset` of what was said.
  void mark(uint64_t offset, std::shared_ptr<Instant> when);

  // ---- the process's end
  void open_for_process();  // tells the actor
  size_t take(std::span<std::byte> buffer);
  bool readable() const { return !inbox_.empty() || end_arrived_ || reset_arrived_; }
  bool ended() const { return end_arrived_; }
  bool reset() const { return reset_arrived_; }
  size_t room() const;
  void send(std::string bytes);
  void close(bool reset);
  std::function<void()> on_readable, on_writable;
  SocketAddress peer;

 private:
  Instant arrival(Instant& last);
  void arrive(std::string bytes);
  void deliver(std::string bytes, Instant sent);
  void wake_reader();
  void wake_writer();

  Schedule& schedule_;
  Faults& faults_;
  Random random_;
  std::shared_ptr<Actor> actor_;
  std::string inbox_;
  bool end_arrived_ = false, reset_arrived_ = false;
  bool process_gone_ = false, finished_ = false, aborted_ = false;
  Instant to_process_, to_actor_;
  uint64_t said_ = 0, taken_ = 0;
  size_t under_way_ = 0;  // sent by the process and not yet with the actor
  std::vector<std::pair<uint64_t, std::shared_ptr<Instant>>> marks_;
};

// A listener of the process: who connects waits here for an accept.
struct Listener {
  SocketAddress address;
  std::string path;  // of a Unix socket
  std::deque<StreamPtr> waiting;
  std::function<void()> on_waiting;
};

class Net {
 public:
  Net(Schedule& schedule, Faults& faults, uint64_t seed)
      : schedule_(schedule), faults_(faults), random_(seed) {}

  // Who answers at the address; nothing: refuses.
  using Host = std::function<std::shared_ptr<Actor>()>;
  void add_host(const IpAddress& ip, Host host) { hosts_[ip] = std::move(host); }

  // From the process: `done` gets the stream or an errno; never called where nobody answers.
  struct Opened {
    StreamPtr stream;
    int error = 0;
  };
  void connect(const SocketAddress& to, std::function<void(Opened)> done);

  // From a client to the process: to one of the listeners of the address or path, false: refused.
  bool connect_to_process(const std::string& where, std::shared_ptr<Actor> client);
  void add_listener(std::shared_ptr<Listener> listener);
  void drop_listeners();
  void drop_listener(const Listener* listener);

  uint64_t connections() const { return connections_; }

 private:
  StreamPtr make_stream(std::shared_ptr<Actor> actor);
  Duration latency();

  Schedule& schedule_;
  Faults& faults_;
  Random random_;
  std::map<IpAddress, Host> hosts_;
  std::vector<std::shared_ptr<Listener>> listeners_;
  uint64_t connections_ = 0;
};

}  // namespace postring::sim
