#include "sim/marks.h"

#include <utility>

namespace postring {

// In place of the empty one of the product.
void mark(Mark reached) { ++sim::marks().of[static_cast<size_t>(reached)]; }

namespace sim {
namespace {

// As the compiler spells it: "... kMark = postring::Mark::torn_tail; ...", or a "]" behind it.
template <Mark kMark>
constexpr std::string_view spelled() {
  std::string_view text = __PRETTY_FUNCTION__;
  text.remove_prefix(text.find("kMark = "));
  text = text.substr(0, text.find_first_of(";]"));
  return text.substr(text.rfind(':') + 1);
}

template <size_t... kIndex>
constexpr std::array<std::string_view, kMarks> spell_all(std::index_sequence<kIndex...>) {
  return {spelled<static_cast<Mark>(kIndex)>()...};
}

constexpr auto kNames = spell_all(std::make_index_sequence<kMarks>());
static_assert(kNames[static_cast<size_t>(Mark::helo)] == "helo");

}  // namespace

MarkCounts& marks() {
  static MarkCounts counts;
  return counts;
}

std::string_view name_of(Mark mark) { return kNames[static_cast<size_t>(mark)]; }

std::optional<Mark> mark_of(std::string_view name) {
  for (size_t i = 0; i < kMarks; ++i) {
    if (name == kNames[i]) return static_cast<Mark>(i);
  }
  return std::nullopt;
}

}  // namespace sim
}  // namespace postring
