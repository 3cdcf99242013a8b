// Faults: what a run does wrong to the product, and how often it did, counted where it is done.
//
//   if (faults.drawn(random, options.refuse, Fault::refused)) ...
//   faults.count(HostFault::reset, Step::rcpt);
//
// A kind that stays at zero over many seeds is a dial that does nothing.
#pragma once

#include <array>
#include <cstdint>

#include "base/random.h"
#include "sim/options.h"

namespace postring::sim {

enum class Fault : uint8_t {
  // The process.
  killed,
  power_cut,
  in_file_operation,  // of the two above: in the middle of what the product does
  in_recovery,        // and these: before it was ready
  stopped,            // in order, and started again
  other_workers,      // started again with another number of them
  stalled,
  clock_forward,
  clock_back,
  // The ring.
  submission_full,
  completions_overflowed,
  cancelled,
  cancelled_too_late,
  // The disk.
  short_io,
  sync_failed,
  disk_filled,  // by others, for a while
  no_space,     // what was refused for want of space
  page_old,
  page_torn,
  size_old,
  name_undone,  // a change of names that was not durable
  write_lost,   // under way when the process ended
  write_kept,
  read_failed,
  bit_flipped,
  // The network.
  short_send,
  short_receive,
  bytewise,
  refused,
  unreachable,
  client_lost,
  // Names.
  dns_server_failure,
  dns_timeout,
  domain_null_mx,
  domain_missing,
  dns_malformed,
  domain_dead_first,
  domain_alias,
  domain_loop,
  count_
};
constexpr size_t kFaults = static_cast<size_t>(Fault::count_);
const char* name_of(Fault fault);

// What a mail host does wrong, and at which step of the dialogue.
enum class HostFault : uint8_t {
  reset,
  close,
  closing_421,
  too_many,  // connections: 421
  greylisted,
  deferred,
  unknown,
  unwanted,
  tarpit,
  multiline,
  malformed,
  cut,
  not_known,  // a command it had offered
  not_ahead,  // though it had offered that
  silent,     // says nothing any more, and keeps the connection
  count_
};
constexpr size_t kHostFaults = static_cast<size_t>(HostFault::count_);
const char* name_of(HostFault fault);

enum class Step : uint8_t { greeting, ehlo, mail, rcpt, data, content, dot, rset, quit, count_ };
constexpr size_t kSteps = static_cast<size_t>(Step::count_);
const char* name_of(Step step);

struct FaultCounts {
  std::array<uint64_t, kFaults> of{};
  std::array<std::array<uint64_t, kSteps>, kHostFaults> of_hosts{};

  uint64_t operator[](Fault fault) const { return of[static_cast<size_t>(fault)]; }
  void add(const FaultCounts& other);
};

struct Faults {
  Options options;
  bool on = true;
  FaultCounts counts = {};

  // With `chance` of 1,000, while there are faults.
  bool drawn(Random& random, int64_t chance) const {
    return on && random.chance(static_cast<uint64_t>(chance), 1'000);
  }
  bool drawn(Random& random, int64_t chance, Fault fault) {
    bool is = drawn(random, chance);
    if (is) count(fault);
    return is;
  }
  // As drawn(), and no number is drawn where it is off.
  bool met(Random& random, int64_t chance) const { return chance > 0 && drawn(random, chance); }
  void count(Fault fault) { ++counts.of[static_cast<size_t>(fault)]; }
  void count(HostFault fault, Step step) {
    ++counts.of_hosts[static_cast<size_t>(fault)][static_cast<size_t>(step)];
  }
};

}  // namespace postring::sim
