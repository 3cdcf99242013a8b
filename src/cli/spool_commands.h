// `postring spool inspect|verify`: a spool read offline. Neither changes anything.
//
// inspect says in words what there is: segments, records by their types, room, torn tails. verify
// reads every record and names every damage; its exit status is 1 where there is one. While a
// daemon uses the spool both still work, but what is being written may look torn.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "spool/log.h"

namespace postring::cli {

// What one log of the spool (a slice, or the control log) holds.
struct LogReport {
  std::string name;  // of its folder
  uint64_t segments = 0;
  uint64_t spares = 0;
  uint64_t records = 0;
  uint64_t bytes = 0;       // of its records
  uint64_t disk_bytes = 0;  // of its files
  uint64_t torn_bytes = 0;  // written, but never acknowledged
  WallTime oldest;          // when its oldest segment was made
  std::map<std::string, uint64_t> by_type;
  std::vector<spool::Damage> damage;
};

struct SpoolReport {
  std::string dir;
  bool in_use = false;
  std::vector<LogReport> logs;
};

// The error is a sentence: no such folder, no spool, written by a newer postring.
Result<SpoolReport> read_spool(const std::string& dir);

int inspect_spool(const std::string& dir, bool json);
int verify_spool(const std::string& dir, bool json);

}  // namespace postring::cli
