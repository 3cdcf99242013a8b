// What must be found: lies of the machine, and known bugs in the product (base/canary.h), each with
// the options under which twenty seeds are enough to find it.
//
//   for (const Planted& one : canaries()) ...
//
// Only simulate_canaries carries the bugs of the product: its files with a plant are compiled a
// second time. Elsewhere a run that is told to have one is refused.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/canary.h"
#include "sim/options.h"

namespace postring::sim {

struct Planted {
  const char* name;
  int64_t plant;  // the option's value
  std::vector<std::string> settings;
};

std::span<const Planted> canaries();

bool carries_product_bugs();

// False: this program does not carry it.
bool plant(int64_t plant);

}  // namespace postring::sim
