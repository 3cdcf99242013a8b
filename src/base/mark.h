// Mark: a rare path of the product, and whether tests have taken it.
//
//   if (target.preference > best) mark(Mark::next_host);
//
// A call that does nothing: mark.cc is empty. The simulator links a mark() of its own in its place,
// as it does with the seams, and says which paths its seeds have reached (tests/sim/marks.h). So
// the objects stay the same in both; a mark stands where a call costs nothing that counts.
#pragma once

#include <cstddef>
#include <cstdint>

namespace postring {

enum class Mark : uint8_t {
  // The log.
  torn_tail,              // recovery left bytes behind that nobody was told are durable
  tail_rewritten,         // recovery wrote what it had read once more
  log_poisoned,           // a write or a sync failed
  sync_without_write,     // a sync came back cancelled, for its write was short or failed
  segment_from_reserve,   // the disk gave nothing, and what was set aside became a segment
  spare_made_anew,        // a segment that had been prepared was not as it should be
  cold_read,              // a record was read through the ring
  cold_read_again,        // the disk refused, and was asked again
  // The log of events.
  events_not_begun,       // a segment was made and its header never became durable
  events_begun_again,     // a segment without a durable block, made once more
  events_from_reserve,    // written where space had been set aside
  events_waited,          // for room on the disk
  events_given_up,        // at a stop: the next start tells them
  // Recovery of a home.
  batch_discarded,        // its commit was never written
  copy_counts,            // the copy of a recipient replaced its original
  backlog_told,           // events of outcomes that an earlier life had written
  backlog_told_before,    // of these, some whose recipient is reclaimed
  // Reclaim.
  copied_while_leased,
  copied_while_unsaved,   // its outcome waited for room
  copies_waited,          // for room
  reclaim_failed,
  fingerprints_copied,
  damaged_ended,          // a recipient whose record cannot be read
  // Outcomes.
  outcome_waited,         // for room
  deferral_unwritten,     // the disk is full: forgotten by the next life
  pull_waited,            // for an outcome that waited
  // Leases.
  lease_given_back,
  expired_at_pull,
  expired_in_hand,
  // Delivery.
  possible_duplicate,
  retried_plainly,        // a reply that our own way of asking may have caused
  unsent_too_often,       // never judged, again and again
  lane_suspended,
  limit_learned,          // one connection more was refused
  plain_made_room,        // a connection ended for the one that asks plainly
  next_host,              // a less preferred one
  destination_held,       // DNS failed
  rerouted,               // to another lane, or found again after its time
  late_completion,        // an operation ended while its connection was closing
  // SMTP.
  reset_awaited,          // where nothing may be said ahead
  lone_dot,               // 354, and nobody left to deliver to
  behind_dot_refused,     // the next message's MAIL, said with the final dot
  chunking_failed,        // BDAT fell back to DATA
  pipelining_failed,
  helo,                   // EHLO was refused
  closed_for_content,     // 421 in place of the reply to a content
  garbled,                // not a reply of SMTP
  // DNS.
  stale_answer,
  malformed_answer,
  alias_followed,
  // The control worker.
  control_write_waited,   // for room
  control_reclaimed,
  repeat_answered,        // a batch that came again
  completed_again,        // what could not be written when a campaign was complete
  count_
};
constexpr size_t kMarks = static_cast<size_t>(Mark::count_);

void mark(Mark reached);

}  // namespace postring
