#include "sim/counts.h"

#include "sim/json.h"

namespace postring::sim {

std::optional<Counts> Counts::of(std::string_view json) {
  Counts counts;
  bool whole = true;
  auto read = [&](const std::string& name) {
    std::optional<uint64_t> count = json_number(json, "/counts/" + name);
    whole = whole && count;
    return count.value_or(0);
  };
  for (const char* end : {"delivered", "bounced", "expired", "cancelled"}) {
    counts.ends[end] = read(end);
  }
  counts.waiting = read("waiting");
  counts.in_flight = read("in_flight");
  counts.accepted = read("accepted");
  if (!whole) return std::nullopt;
  return counts;
}

uint64_t Counts::ended() const {
  uint64_t sum = 0;
  for (const auto& [end, count] : ends) sum += count;
  return sum;
}

void Counts::operator+=(const Counts& other) {
  accepted += other.accepted;
  waiting += other.waiting;
  in_flight += other.in_flight;
  for (const auto& [end, count] : other.ends) ends[end] += count;
}

std::string Counts::text() const {
  std::string text;
  for (const auto& [end, count] : ends) text += end + " " + std::to_string(count) + " ";
  return text + "waiting " + std::to_string(waiting) + " in_flight " + std::to_string(in_flight) +
         " accepted " + std::to_string(accepted);
}

}  // namespace postring::sim
