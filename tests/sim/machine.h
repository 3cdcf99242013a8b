// Machine: the computer the simulated process runs on: its clock, disk, network, descriptors.
//
// The seams of src/io/ are implemented on it (sim_*.cc): they find the machine through machine(),
// for a process asks its system and not an object. One machine at a time.
//
// The process may end at any file operation, in the middle of what the product does: the machine
// then keeps the disk as it is at that moment, cut by the loss of power or not, and what the
// process still does until it returns to the world happens to a disk that nobody will see.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/random.h"
#include "io/signals.h"
#include "sim/disk.h"
#include "sim/faults.h"
#include "sim/net.h"
#include "sim/schedule.h"
#include "sim/wall.h"

namespace postring::sim {

class DnsWorld;
class SimRing;

// What a descriptor of the process stands for.
struct OpenFile {
  InodePtr inode;
  std::string path;
};
struct OpenSocket {
  StreamPtr stream;  // none: not connected
  IpAddress to = {};  // whom it was told to connect to
};
using Descriptor =
    std::variant<std::monostate, OpenFile, OpenSocket, std::shared_ptr<Listener>>;

// What a ring does under load: a completion that nobody has heard of yet, a write under way.
enum class Busy : uint8_t { completion, write };

struct Machine {
  Machine(Schedule& schedule_, const Wall& wall_, Faults& faults_, Net& net_, DnsWorld& dns_,
          uint64_t seed)
      : schedule(schedule_),
        wall(wall_),
        faults(faults_),
        net(net_),
        dns(dns_),
        random(seed),
        entropy(random.next()),
        disk(std::make_unique<Disk>(static_cast<uint64_t>(faults.options.disk_bytes))) {}

  // The lowest free number, as Linux gives it.
  int open(Descriptor what);
  void close(int descriptor);
  template <typename T>
  T* find(int descriptor) {
    if (descriptor < 3 || static_cast<size_t>(descriptor) - 3 >= descriptors.size()) return nullptr;
    return std::get_if<T>(&descriptors[static_cast<size_t>(descriptor) - 3]);
  }
  size_t open_count() const;
  // Sockets that are connected to the address, or are being connected.
  uint32_t connections_to(const IpAddress& ip) const;

  // With `chance` of 1,000, while there are faults.
  bool fault(int64_t chance) { return faults.drawn(random, chance); }
  bool met(int64_t chance, Fault kind) {
    bool is = faults.met(random, chance);
    if (is) faults.count(kind);
    return is;
  }
  bool fault(int64_t chance, Fault kind) { return faults.drawn(random, chance, kind); }
  Duration up_to(int64_t us_max) { return Duration::microseconds(random.between(1, us_max)); }

  // Called by every file operation that changes something.
  void file_operation();
  // Called by the ring for what it does while there is something to do.
  void did(Busy what) {
    if (what == end_of && end_in_busy > 0) --end_in_busy, ends = end_in_busy == 0;
  }
  // The process ends: what the disk then holds, and nothing of it stays open.
  void end_process(bool power_cut);
  // Puts the disk aside as it is now; end_process() then takes that one.
  void freeze_disk(bool power_cut);

  Schedule& schedule;
  const Wall& wall;
  Faults& faults;
  Net& net;
  DnsWorld& dns;
  Random random;
  Random entropy;  // what the process takes for unguessable
  std::unique_ptr<Disk> disk;
  std::vector<Descriptor> descriptors;  // from 3 on

  // How many file operations until the process ends in one; 0: none.
  uint64_t end_in_operations = 0;
  uint64_t operations = 0;  // so many were there
  bool end_with_power = false;
  std::unique_ptr<Disk> frozen;
  // How many of these until it ends right behind one; 0: it does not.
  Busy end_of = Busy::completion;
  uint64_t end_in_busy = 0;
  bool ends = false;

  std::vector<SimRing*> rings;  // of the process that runs, in the order of making
  std::vector<std::unique_ptr<Disk>> old_disks;  // maps of ended processes point into them
  std::function<void(Signal)> on_signal;  // of the process's SignalWatch
  std::function<void()> on_watch_ended;   // the last thing before the workers finish
  std::function<void(const IpAddress& ip)> on_connect;
  int64_t sync_failures_left = 0;
  Instant sync_failed_at = Instant::never();  // the first one of the process that runs
};

Machine& machine();
void set_machine(Machine* machine);

}  // namespace postring::sim
