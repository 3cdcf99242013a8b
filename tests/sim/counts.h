// Counts: what the API says of a campaign or of one of its batches.
//
//   std::optional<Counts> counts = Counts::of(reply.body);   // none: they are not all there
//   if (!counts->add_up()) ledger.broke("counts: " + counts->text());
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace postring::sim {

struct Counts {
  uint64_t accepted = 0, waiting = 0, in_flight = 0;
  std::map<std::string, uint64_t> ends;  // delivered, bounced, expired, cancelled

  static std::optional<Counts> of(std::string_view json);

  uint64_t ended() const;
  uint64_t left() const { return waiting + in_flight; }
  bool add_up() const { return accepted == ended() + left(); }
  void operator+=(const Counts& other);
  bool operator==(const Counts&) const = default;
  std::string text() const;
};

}  // namespace postring::sim
