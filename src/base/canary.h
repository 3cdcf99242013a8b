// Canary: a known bug that the simulator plants in the product, to see that its laws find it.
//
//   if (canary(Canary::expiry_skipped_while_paused) && paused) continue;
//
// In every build but simulate_canaries the answer is a constant: no code, no cost. There, the files
// that hold a plant are compiled a second time with POSTRING_CANARIES, and planted() is the one
// that the seed was told (tests/sim/canaries.h).
#pragma once

#include <cstdint>

namespace postring {

enum class Canary : uint8_t {
  none,
  success_before_fsync,         // a batch is acknowledged as soon as its commit was staged
  outcome_dropped,              // a last outcome is not kept while its recipient's segment lives
  lease_not_returned,           // a message that is given back stays with nobody
  expiry_skipped_while_paused,  // deadlines of a paused campaign are not looked at
  pause_forgotten,              // what was handed out before a pause goes on
  deadline_forgotten,           // what was handed out before its deadline goes on
  one_connection_too_many,      // a lane's limit is one higher
  event_after_the_end,          // a recipient that has ended is said to have been deferred
  attempt_not_counted,          // a deferred recipient's next attempt has the same number
  deferral_untold,              // a deferral becomes no event
  bounce_counted_delivered,     // what bounced counts as delivered
  rate_not_kept,                // a lane's rate is twice as high
  wrong_recipient,              // RCPT names another one
  date_of_sending,              // Date is the time of the attempt, not of acceptance
  deferral_told_delivered,      // a reply that says "later" is taken for success
  duplicate_untold,             // that the reply to a content was lost is forgotten
  duplicate_told_of_all,        // it is said of what was answered, too
  bounced_for_nothing,          // a reply that says "later" ends its recipient
  dot_at_piece_edge,            // a value that begins with a dot is put at a line's start as it is
};

#ifdef POSTRING_CANARIES
Canary planted();
// Another name for the linker than the constant's.
inline namespace with_canaries {
inline bool canary(Canary one) { return planted() == one; }
}  // namespace with_canaries
#else
constexpr bool canary(Canary) { return false; }
#endif

}  // namespace postring
