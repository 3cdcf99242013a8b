// Exporter: takes the durable outcomes of a worker's homes, gives them the form of events, and
// hands them to the event log of the control worker.
//
// Events of one turn travel together. When the event log has made them durable, the homes are told
// (Home::exported), which lets them reclaim. At most kExportBytesMax are under way and as many wait
// here; then has_room() is false and the homes hold back what follows: nothing is lost.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/event_entry.h"
#include "io/loop.h"
#include "mail/ids.h"
#include "queue/event_facts.h"
#include "reporting/metrics.h"
#include "spool/record.h"

namespace postring::engine {

constexpr uint64_t kExportBytesMax = 16u << 20;

class Exporter {
 public:
  // Sends a batch to the event log; `kept` is called on this worker when it is durable (true), or
  // when it will not be in this life of the process.
  using Kept = std::move_only_function<void(bool ok)>;
  using Send = std::function<void(EventBatch batch, Kept kept)>;
  // Tells a home of this worker.
  using Tell = std::function<void(SliceNumber slice, spool::Position end)>;

  Exporter(Loop& loop, Send send, Tell tell);

  // From a home's event sink.
  void add(const queue::EventFacts& facts, SliceNumber slice, spool::Position end);

  bool has_room() const { return pending_.bytes < kExportBytesMax; }
  // Nothing waits and nothing is under way.
  bool idle() const { return pending_.entries == 0 && under_way_bytes_ == 0; }
  const reporting::Metrics& metrics() const { return metrics_; }
  reporting::Metrics& metrics() { return metrics_; }

 private:
  void flush();
  void count(const queue::EventFacts& facts);

  Send send_;
  Tell tell_;
  EventBatch pending_;
  uint64_t under_way_bytes_ = 0;
  reporting::Metrics metrics_;
};

}  // namespace postring::engine
