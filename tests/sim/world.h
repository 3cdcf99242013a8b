// World: one run of the simulator, from the options of a seed to a verdict.
//
//   World world(seed, options, log);
//   Verdict verdict = world.run();
//
// First everything may fail while clients bring their campaigns in (safety); then the world heals,
// and everything has to drain within a bounded time, the daemon has to stop in order and leave
// nothing over, and to come back with the same numbers and events, also where it was killed in the
// start before (liveness). The laws are the Ledger's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/account.h"
#include "sim/api_client.h"
#include "sim/dns_world.h"
#include "sim/event_reader.h"
#include "sim/ledger.h"
#include "sim/machine.h"
#include "sim/messenger.h"
#include "sim/net.h"
#include "sim/node.h"
#include "sim/options.h"
#include "sim/schedule.h"
#include "sim/smtp_host.h"
#include "sim/submitter.h"

namespace postring::sim {

struct Verdict {
  enum class Kind : uint8_t { good, liveness, correctness };
  Kind kind = Kind::good;
  std::string what;
  uint64_t unseed = 0;
  uint64_t hash = 0;
  Duration simulated;
  uint64_t steps = 0;
  uint64_t recipients = 0, deliveries = 0, duplicates = 0, events = 0, retries = 0;
  uint64_t connections = 0;
  FaultCounts faults;
};

class World {
 public:
  using Say = std::function<void(const std::string& line)>;

  // `say` gets the daemon's log and what the world does; nothing: silence.
  World(uint64_t seed, const Options& options, Say say);
  ~World();
  Verdict run();

 private:
  void make_hosts();
  void count_domain(DomainKind kind);
  void make_clients();
  void make_messenger(Random& random);
  void make_keys();
  // Gives the client the key that the answer holds.
  bool take_key(ApiClient& api, const std::string& json);
  void plan_faults();
  void plan_second_faults(Random& random);
  void jump_clock(Random& random);
  void flip_bit(Random& random);
  struct Flip {
    std::string path;
    uint64_t at;
    std::byte before;
  };
  bool still_lies(const Flip& flip) const;
  std::vector<std::string> damaged_logs() const;
  void mend_contents();
  engine::Config config() const;
  void say(const std::string& line);

  void start_node();
  void restart_after(Duration wait);
  // At a start: lets a crash come in it, or later under load.
  void arm_crash();
  // Back to when an end of the process now may lose outcomes.
  Instant unsafe_since(bool power_cut) const;
  void kill_node(bool power_cut);
  void end_in_start(bool started);
  void stop_node();
  void on_node_ended();
  void heal();
  // Runs until the condition holds; false: it does not within `limit`, or a law was broken.
  bool run_until(const std::function<bool()>& condition, Duration limit);
  bool drained() const;
  std::string what_waits() const;
  void check_rates();
  void check_connections(const IpAddress& ip);
  void settle(Verdict& verdict);
  // It stops, starts, is killed in a start, and says the same as before each time.
  void come_back(Verdict& verdict);
  bool stop_for_good(Verdict& verdict);
  bool killed_in_start();
  std::string ask_for_all(Verdict& verdict);
  void judge(Verdict& verdict);

  Schedule schedule_;
  Faults faults_;
  Random random_;
  Net net_;
  DnsWorld dns_;
  Wall wall_;
  Ledger ledger_;
  Machine machine_;
  Say say_;
  std::vector<std::unique_ptr<SmtpHost>> hosts_;
  std::unique_ptr<Node> node_;
  std::vector<std::unique_ptr<Node>> former_;
  std::unique_ptr<ApiClient> operator_;
  std::unique_ptr<ApiClient> api_;
  std::vector<std::unique_ptr<Submitter>> submitters_;
  std::unique_ptr<EventReader> reader_;
  // Of another tenant; none where no messages are sent.
  std::unique_ptr<ApiClient> other_api_;
  std::unique_ptr<Messenger> messenger_;
  std::unique_ptr<EventReader> other_reader_;
  std::unique_ptr<Account> account_;
  std::vector<Instant> starts_;
  bool stopping_ = false;  // in order
  bool healed_ = false;
  bool damage_named_ = false;          // the run ends there
  std::vector<Flip> flips_;
  bool rests_ = false;     // is not started again by itself
  uint64_t start_operations_ = 0;  // that the last start took
  Random crash_random_;
  int64_t busy_crashes_left_ = 0;
  // What the lives before were not sure of when they were killed, until a start has ended.
  Instant left_unsafe_since_ = Instant::never();
};

}  // namespace postring::sim
