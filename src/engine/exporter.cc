#include "engine/exporter.h"

#include "base/canary.h"
#include "base/check.h"

namespace postring::engine {

Exporter::Exporter(Loop& loop, Send send, Tell tell)
    : send_(std::move(send)), tell_(std::move(tell)) {
  loop.add_turn_end([this] { flush(); });
}

void Exporter::add(const queue::EventFacts& facts, SliceNumber slice, spool::Position end) {
  count(facts);
  if (canary(Canary::deferral_untold) && facts.outcome == Outcome::deferred) return;
  pending_.events.push_back(encode_event_entry(facts));
  pending_.bytes += pending_.events.back().size();
  ++pending_.entries;
  pending_.ends[slice] = end;
  bool ended = facts.outcome && *facts.outcome != Outcome::deferred;
  if (!canary(Canary::event_after_the_end) || !ended) return;
  queue::EventFacts again = facts;
  again.outcome = Outcome::deferred;
  ++again.attempt;
  pending_.events.push_back(encode_event_entry(again));
  pending_.bytes += pending_.events.back().size();
  ++pending_.entries;
}

void Exporter::flush() {
  if (pending_.entries == 0 || under_way_bytes_ >= kExportBytesMax) return;
  EventBatch batch = std::move(pending_);
  pending_ = {};
  // An empty event has bytes too: what is under way is never zero while something is.
  uint64_t bytes = batch.bytes;
  CHECK(bytes > 0);
  under_way_bytes_ += bytes;
  auto ends = batch.ends;
  send_(std::move(batch), [this, bytes, ends = std::move(ends)](bool ok) {
    under_way_bytes_ -= bytes;
    if (!ok) return;
    for (const auto& [slice, end] : ends) tell_(slice, end);
  });
}

void Exporter::count(const queue::EventFacts& facts) {
  using reporting::Counter;
  metrics_.add(Counter::events_exported);
  if (!facts.outcome) return;
  switch (*facts.outcome) {
    case Outcome::delivered: metrics_.add(Counter::outcomes_delivered); break;
    case Outcome::deferred: metrics_.add(Counter::outcomes_deferred); break;
    case Outcome::bounced: metrics_.add(Counter::outcomes_bounced); break;
    case Outcome::expired: metrics_.add(Counter::outcomes_expired); break;
    case Outcome::cancelled: metrics_.add(Counter::outcomes_cancelled); break;
  }
  bool tried = *facts.outcome != Outcome::expired && *facts.outcome != Outcome::cancelled;
  if (tried && facts.attempt == 1) {
    metrics_.observe(reporting::Histogram::queue_wait,
                     facts.logged - facts.duration - facts.queued);
  }
  if (facts.possible_duplicate) metrics_.add(Counter::possible_duplicates);
  if (*facts.outcome == Outcome::delivered) {
    metrics_.add(Counter::message_bytes_sent, facts.bytes);
    metrics_.observe(reporting::Histogram::delivery, facts.duration);
  }
}

}  // namespace postring::engine
