// Marks: which rare paths of the product (base/mark.h) the runs of the simulator have reached.
//
//   marks().clear();                     // a run begins
//   MarkCounts reached = marks();        // it has ended
//
// One run at a time, on one thread.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "base/mark.h"

namespace postring::sim {

struct MarkCounts {
  std::array<uint32_t, kMarks> of{};  // how often

  void clear() { of = {}; }
  void add(const MarkCounts& other) {
    for (size_t i = 0; i < kMarks; ++i) of[i] += other.of[i];
  }
};

// Of the run that goes on.
MarkCounts& marks();

// As base/mark.h spells it.
std::string_view name_of(Mark mark);
std::optional<Mark> mark_of(std::string_view name);

}  // namespace postring::sim
