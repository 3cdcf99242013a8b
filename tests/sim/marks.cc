#include "sim/marks.h"

namespace postring {

// In place of the empty one of the product.
void mark(Mark reached) { ++sim::marks().of[static_cast<size_t>(reached)]; }

namespace sim {
namespace {

// In the order of Mark.
constexpr std::array<const char*, kMarks> kNames = {
    "torn_tail",
    "tail_rewritten",
    "log_poisoned",
    "sync_without_write",
    "segment_from_reserve",
    "spare_made_anew",
    "cold_read",
    "cold_read_again",
    "events_not_begun",
    "events_begun_again",
    "events_from_reserve",
    "events_waited",
    "events_given_up",
    "batch_discarded",
    "copy_counts",
    "backlog_told",
    "backlog_told_before",
    "copied_while_leased",
    "copied_while_unsaved",
    "copies_waited",
    "reclaim_failed",
    "fingerprints_copied",
    "damaged_ended",
    "outcome_waited",
    "deferral_unwritten",
    "pull_waited",
    "lease_given_back",
    "expired_at_pull",
    "expired_in_hand",
    "possible_duplicate",
    "retried_plainly",
    "unsent_too_often",
    "lane_suspended",
    "limit_learned",
    "plain_made_room",
    "next_host",
    "destination_held",
    "rerouted",
    "late_completion",
    "reset_awaited",
    "lone_dot",
    "behind_dot_refused",
    "chunking_failed",
    "pipelining_failed",
    "helo",
    "closed_for_content",
    "garbled",
    "stale_answer",
    "malformed_answer",
    "alias_followed",
    "control_write_waited",
    "control_reclaimed",
    "repeat_answered",
    "completed_again",
};
static_assert(kNames.back() != nullptr);

}  // namespace

MarkCounts& marks() {
  static MarkCounts counts;
  return counts;
}

const char* name_of(Mark mark) { return kNames[static_cast<size_t>(mark)]; }

std::optional<Mark> mark_of(std::string_view name) {
  for (size_t i = 0; i < kMarks; ++i) {
    if (name == kNames[i]) return static_cast<Mark>(i);
  }
  return std::nullopt;
}

}  // namespace sim
}  // namespace postring
