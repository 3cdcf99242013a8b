// Control: what there is once in the process, on the control worker: the registry and the event
// log.
//
// It gives campaigns' states and keys to every worker and knows when all of them have it, keeps the
// events of all workers, and remembers up to where each slice's events are kept. Used on the
// control worker only; others come through Worker::ask().
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/erasures.h"
#include "engine/event_entry.h"
#include "engine/exporter.h"
#include "engine/registry.h"
#include "engine/shared.h"
#include "engine/worker.h"
#include "spool/event_log.h"
#include "submission/backend.h"

namespace postring::engine {

// Of event log space for each recipient that still waits for its outcome, and how often that is
// looked at.
constexpr uint64_t kEventReserveBytes = 136;
constexpr Duration kRoomLook = Duration::seconds(1);
constexpr Duration kMarksWritten = Duration::seconds(1);  // how far events may be told twice

class Control {
 public:
  // Opens the registry and the event log; blocks.
  static Result<std::unique_ptr<Control>> open(Shared& shared, Loop& loop);
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  Registry& registry() { return *registry_; }
  spool::EventLog& events() { return *events_; }
  void set_retention(const EventsConfig& limits) {
    if (!closing_) events_->set_retention(limits.keep, limits.keep_bytes);
  }

  // For the workers' start.
  std::vector<queue::CampaignInfo> campaigns() const;
  const std::map<SliceNumber, spool::Position>& exported() const { return marks_; }

  // When every worker was made: tells the registry what homes found, gives everybody the keys.
  void start(Worker& worker, std::vector<Recovered> recovered);

  // Keeps events of worker `from` and calls `kept` on it when they are durable. On a full disk with
  // nothing left aside they wait, until stopping() was called.
  void keep(size_t from, EventBatch batch, Exporter::Kept kept);
  void read_events(TenantId tenant, submission::EventQuery query,
                   submission::Answer<submission::EventPage> answer);

  // Erases an address; `tenant` 0: of every tenant.
  void erase(TenantId tenant, const std::string& address,
             submission::Answer<submission::EraseResult> answer);
  const Erasures& erasures() const { return *erasures_; }

  // A write to the spool failed: what was accepted is safe, nothing new can be. Calls what
  // when_failed() gave, once.
  void spool_failed();
  void when_failed(Job call) { on_failure_ = std::move(call); }
  // Calls with true when the disk takes no more mail, with false when it does again.
  void when_disk_full(std::function<void(bool full)> call) { on_disk_full_ = std::move(call); }

  // Calls with the words of damage that a reader of events was led around.
  void when_damaged(std::function<void(const std::string&)> call) { on_damage_ = std::move(call); }
  void tell_damage(const spool::EventPage& page) {
    if (!page.problem.empty() && on_damage_) on_damage_(page.problem);
  }

  // Events that would have to wait for room are given up for this life of the process; the next one
  // makes them from the outcomes.
  void stopping() { events_->give_up_waiting(); }

  // Stopping: the last marks, then both logs.
  void close(Job done);

 private:
  Control(Shared& shared, Loop& loop);
  Result<void> read_marks();
  void write_marks();
  void end_marks(bool ok);
  void publish_campaign(const queue::CampaignInfo& info, Job done);
  void publish_key(const KeyInfo& key, Job done);
  void remove_campaign(CampaignId id);
  void broadcast(std::function<void(Worker&)> call, Job done);
  void keep_complete(queue::EventFacts facts, Job done);
  void sync_events();
  void watch_room();

  // control_erase.cc
  void erase_before(TenantId tenant, const std::string& address, std::vector<RecipientId> ends,
                    submission::Answer<submission::EraseResult> answer);
  void ask_homes_to_erase(const Erasure& erasure,
                          std::move_only_function<void(std::optional<queue::Erased>)> done);
  void erase_again();
  void append_event(const std::string& event);
  std::vector<uint64_t> erasures_to_watch() const;
  void watch_erasures(const std::vector<uint64_t>& watched, bool erasing);

  struct EventWait;
  void read_for(std::unique_ptr<EventWait> wait);
  void on_page(std::unique_ptr<EventWait> wait, Result<spool::EventPage, spool::EventsGone> page);
  void wake_readers();

  Shared& shared_;
  Loop& loop_;
  Worker* worker_ = nullptr;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<spool::EventLog> events_;
  std::unique_ptr<Erasures> erasures_;
  // Kept with the events that are durable; written to a file now and then.
  std::map<SliceNumber, spool::Position> marks_;
  std::map<SliceNumber, spool::Position> marks_written_;
  bool writing_marks_ = false;
  Job marks_done_;  // stopping: when the last are written
  Timer marks_timer_;
  std::vector<Exporter::Kept> kept_;  // of what was appended since the last sync was asked for
  bool sync_asked_ = false;
  std::vector<std::unique_ptr<EventWait>> waits_;
  Timer waits_timer_;
  Job on_failure_;
  std::function<void(bool)> on_disk_full_;
  std::function<void(const std::string&)> on_damage_;
  bool disk_full_ = false;
  bool closing_ = false;
  Timer room_timer_;
};

}  // namespace postring::engine
