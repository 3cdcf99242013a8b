#include "sim/faults.h"

namespace postring::sim {
namespace {

constexpr std::array<const char*, kFaults> kFaultNames = {
    "killed",
    "power cut",
    "in a file operation",
    "in recovery",
    "stopped in order",
    "other number of workers",
    "stalled",
    "clock forward",
    "clock back",
    "submission queue full",
    "completions overflowed",
    "cancelled",
    "cancelled too late",
    "short read or write",
    "sync failed",
    "disk filled",
    "no space",
    "page old",
    "page torn",
    "size old",
    "name undone",
    "write lost",
    "write kept",
    "read failed",
    "bit flipped",
    "short send",
    "short receive",
    "byte by byte",
    "connection refused",
    "unreachable",
    "client lost",
    "DNS server failure",
    "DNS timeout",
    "null MX",
    "no such domain",
    "DNS malformed",
    "dead MX first",
    "alias",
    "alias loop",
};
constexpr std::array<const char*, kHostFaults> kHostFaultNames = {
    "reset",    "close",   "421",      "too many connections", "greylisted",
    "deferred", "unknown", "unwanted", "tarpit",               "multiline",
    "malformed", "cut",    "not known", "not ahead",          "silent",
};
constexpr std::array<const char*, kSteps> kStepNames = {
    "greeting", "EHLO", "MAIL", "RCPT", "DATA", "content", "dot", "RSET", "QUIT",
};
static_assert(kFaultNames.back() != nullptr && kHostFaultNames.back() != nullptr &&
              kStepNames.back() != nullptr);

}  // namespace

const char* name_of(Fault fault) { return kFaultNames[static_cast<size_t>(fault)]; }
const char* name_of(HostFault fault) { return kHostFaultNames[static_cast<size_t>(fault)]; }
const char* name_of(Step step) { return kStepNames[static_cast<size_t>(step)]; }

void FaultCounts::add(const FaultCounts& other) {
  for (size_t i = 0; i < kFaults; ++i) of[i] += other.of[i];
  for (size_t i = 0; i < kHostFaults; ++i) {
    for (size_t step = 0; step < kSteps; ++step) of_hosts[i][step] += other.of_hosts[i][step];
  }
}

}  // namespace postring::sim
