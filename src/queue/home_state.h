// Home::State: what a home consists of, for the home_*.cc files only. What it does: queue/home.h.
//
//     staged ---commit is durable---> place() --+--> ready (in its flow) --pull--> leased
//                                       ^       +--> due (until its time)            |
//                                       |       +--> finishing (expired, cancelled)  |
//                                       +----- deferred, given back ----- settle ----+--> gone
//
// place() is the only way into a queue: it looks at campaign, deadline and time. An entry that is
// finishing or whose report waits for room stays in the table until its outcome is in the log.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <set>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/timers.h"
#include "queue/destinations.h"
#include "queue/due_times.h"
#include "queue/home.h"
#include "queue/recipients.h"
#include "spool/log.h"
#include "spool/records.h"

namespace postring::queue {

// The log's entry that says which ids come next: two varints, recipients' and batches' counters.
constexpr std::string_view kNextIdsKey = "next ids";

constexpr uint64_t kCounterMask = (uint64_t{1} << 48) - 1;  // of an id

// What was counted of a batch or campaign; `waiting` follows from it.
struct Tally {
  uint64_t accepted = 0;
  uint64_t delivered = 0;
  uint64_t bounced = 0;
  uint64_t expired = 0;
  uint64_t cancelled = 0;
  uint64_t deferrals = 0;
  uint64_t duplicates = 0;
  uint64_t rejected = 0;
  uint64_t in_flight = 0;

  void count(Outcome outcome);
  Counts counts() const;
  uint64_t live() const { return accepted - delivered - bounced - expired - cancelled; }
  void set(const spool::Sums& sums);
  void write(spool::Sums& sums) const;
};

struct CampaignAtHome {
  CampaignId id = 0;
  TenantId tenant = 0;  // of a message without a campaign: they have a flow per tenant
  Tally tally;
  spool::Position last_outcome;  // since the start
  Slot parked = kNoSlot;  // flows that wait for the campaign to run, strung by ring_next
  uint32_t open_batches = 0;
  uint32_t batches = 0;
  bool may_send = true;
  bool cancelled = false;
  bool unparking = false;
};

// What a campaign would say, of a message without one.
struct MessageInfo {
  std::string tenant_name;
  ContentId content{};
  bool has_inline_content = false;
  SourceSet sources = 0;
  RetryOverride retry;
};

// A batch until its commit is durable.
struct OpenBatch {
  std::string idempotency_key;
  std::string inline_content;
  std::vector<std::string> sources;
  SourceSet source_set = 0;
  RetryOverride retry;
  WallTime age_base;  // what the maximum age counts from, where it is later than acceptance
  std::vector<Fingerprint> fingerprints;
  EntryList entries;
  uint32_t appended = 0;
  uint32_t first_segment = 0;  // 0: nothing was written yet
  bool committing = false;      // commit() was called
  bool commit_written = false;  // the record is in the log, and counted
};

struct Batch {
  Slot next = kNoSlot;
  BatchId id = 0;
  uint32_t campaign = 0;
  TenantId tenant = 0;
  MailClass mail_class = MailClass::bulk;
  WallTime committed_at;
  Tally tally;
  spool::Position commit;
  std::unique_ptr<MessageInfo> message;
  std::unique_ptr<OpenBatch> open;
};

// A lease that is out: what its outcome will need of the record.
struct Flight {
  Slot next = kNoSlot;
  WallTime accepted_at;
  spool::Position base;
  uint32_t address_bytes = 0;
  uint32_t ref_bytes = 0;
  std::string bytes;  // address, ref, meta
};

// A recipient's record and what its last outcome says. Views hold during the callback.
struct Loaded {
  spool::Recipient recipient;
  spool::Position base;
  Stage stage = Stage::queue;
  spool::ReplyView reply;
  std::string_view last_source;
  WallTime last_attempt, next_attempt;
};

// An outcome on its way into the log.
struct Ending {
  Slot slot = kNoSlot;
  spool::Position base;
  EventFacts facts;
  Duration wait;  // deferred: until the next attempt
};

struct Deferral {
  uint32_t attempt = 0;
  Duration wait;
  std::string source;
};

struct Event {
  EventFacts facts;
  spool::Position place;
};

class Home::State {
 public:
  State(Loop& loop, HomeOptions options, CampaignStates& campaigns, const RetryPolicies& policies);
  ~State();

  // ---- home_recovery.cc ----
  Result<void> recover(std::string folder, const RecoverySink& sink);

  // ---- home.cc ----
  void start();
  void schedule_turn();
  void turn();
  void reserve_for_outcomes();
  void later(Job job) {
    callbacks_.push_back(std::move(job));
    schedule_turn();
  }
  void fail();
  uint32_t now_s() const { return static_cast<uint32_t>(loop_.wall_now().whole_seconds()); }
  // The wall clock as it was at the start, moved on by the monotonic one.
  WallTime steady_now() const { return steady_base_ + (loop_.now() - Instant{}); }
  uint32_t steady_s() const { return static_cast<uint32_t>(steady_now().whole_seconds()); }
  static uint32_t seconds_up(WallTime time);
  uint32_t use_campaign(CampaignId id, TenantId tenant);
  void release_campaign(uint32_t number);
  Slot make_batch(BatchId id, CampaignId campaign, TenantId tenant);
  void set_message(Batch& batch, std::unique_ptr<MessageInfo> message);
  void forget_batch(Slot slot);
  void on_campaign(const CampaignInfo* before, const CampaignInfo& now);
  const RetryOverride* retry_of(const Batch& batch) const;
  HomeStats stats() const;
  void close(std::move_only_function<void(bool)> callback);
  void close_log();

  // ---- home_queue.cc ----
  void place(Slot slot);
  void enqueue(Slot slot);
  void make_ready(Slot slot, bool front);
  void take_out(Slot slot);  // of whichever list it is in
  void remove(Slot slot);    // from the table: it is finished, or never was
  void announce(uint32_t destination);
  void send_offers();
  DueTimes& due_of(const Entry& entry) { return entry.has(kEntryTried) ? retries_ : not_before_; }
  DueTimes* next_due();
  bool fire_due();
  void arm_due();
  bool activate();
  bool unpark();
  bool sweep();
  void begin_sweep(bool whole);
  bool sweep_page(uint32_t page);
  void park(uint32_t flow);
  void leave_parked(uint32_t flow);
  void finish(Slot slot, Outcome outcome);
  void housekeeping();
  void forget_old();

  // ---- home_submit.cc ----
  Result<BatchHandle, SubmitError> begin(const NewBatch& in);
  Result<RecipientId, SubmitError> append(BatchHandle handle, const NewRecipient& in);
  void commit(BatchHandle handle, CommitInput input,
              std::move_only_function<void(Result<Committed, SubmitError>)> callback);
  void try_commit(Slot slot, CommitInput input,
                  std::move_only_function<void(Result<Committed, SubmitError>)> callback);
  std::string encode_commit(const Batch& batch, const CommitInput& input, WallTime now) const;
  static std::string packed(const std::vector<Duration>& waits);  // as a commit has them
  // What it says of the batch itself. Both texts must outlive it.
  spool::BatchCommit describe(const Batch& batch, std::string_view sources,
                              std::string_view retry) const;
  void discard(BatchHandle handle);
  Batch& open_batch(BatchHandle handle);
  void drop_entries(Batch& batch, const std::vector<uint32_t>& dropped);
  void drop_batch(Slot slot);
  void on_committed(Slot slot, bool ok, uint64_t accepted,
                    std::move_only_function<void(Result<Committed, SubmitError>)>& callback);

  // ---- home_lease.cc ----
  struct PullOp;
  void pull(std::shared_ptr<PullOp> op);
  bool can_pull() const;
  uint64_t endings_max() const;
  // Room for one more outcome beside those that are on their way.
  bool may_end_more() const { return flights_.used() + finishing_ < endings_max(); }
  uint64_t bytes_of_endings() const {
    return (flights_.used() + finishing_) * kOutcomeBytesMax;
  }
  void wait_for_room();
  void say_hold();
  void collect(const std::shared_ptr<PullOp>& op);
  void lease(const std::shared_ptr<PullOp>& op, Slot slot);
  void fill(const std::shared_ptr<PullOp>& op, size_t index, Slot slot, const Loaded* loaded);
  void settle_damaged(RecipientId id);
  void complete(const std::shared_ptr<PullOp>& op);
  void retry_pulls();
  void end_pulls();
  void settle(RecipientId id, Report report);
  void give_back(RecipientId id);
  Slot leased_slot(RecipientId id) const;
  EventFacts facts_of_flight(Slot slot) const;

  // ---- home_outcome.cc ----
  void save(Ending ending);
  Result<spool::Position, spool::AppendError> write(const Ending& ending);
  void apply(Ending& ending, spool::Position place);
  void end_work(const Ending& ending);
  void apply_deferred(Slot slot, const Deferral& facts);
  void defer_unwritten(const Ending& ending);
  void keep_event(EventFacts facts, spool::Position place);
  void retry_unsaved();
  void outcome_written();
  void sync_outcomes();
  bool has_event_room();
  void emit_durable();
  bool export_backlog();
  void exported(spool::Position place);
  void end_flight(Slot slot);
  void check_idle(uint32_t campaign);
  bool is_idle(CampaignId campaign);
  bool is_told(const CampaignAtHome& campaign) const;
  bool is_told_up_to(spool::Position place) const;
  void when_told(std::move_only_function<void(bool)> callback);
  void end_told_waits();
  void tell_idle();

  // ---- home_query.cc ----
  using LoadCallback = std::move_only_function<void(const Loaded* loaded)>;
  // Calls back at once where everything is warm; with null where a record cannot be read.
  void load(Slot slot, LoadCallback callback);
  void load_once(Slot slot, LoadCallback callback);
  void load_base(spool::Position base, std::string outcome, LoadCallback callback);
  using CommitCallback = std::move_only_function<void(const spool::BatchCommit* commit)>;
  void load_commit(BatchId id, CommitCallback callback);
  static bool decode_loaded(const spool::RecordView& base, std::string_view outcome,
                            Loaded& loaded);
  RecipientStatus status_of(Slot slot, const Loaded& loaded) const;
  WallTime next_attempt_of(const Entry& entry) const;
  struct StatusOp;
  struct ListOp;
  void find(std::string address, uint32_t limit,
            std::move_only_function<void(std::vector<RecipientStatus>)> callback);
  void load_statuses(std::vector<Slot> slots,
                     std::move_only_function<void(std::vector<RecipientStatus>)> callback);
  bool run_lists();
  bool run_retries();
  bool is_live(const Entry& entry) const {
    return entry.state() != EntryState::free &&
           (entry.state() != EntryState::staged || batches_[entry.batch].open == nullptr);
  }

  // ---- home_erase.cc ----
  struct EraseOp;
  bool run_erasures();
  void end_erasure(std::optional<Erased> erased);
  void judge_erased(const std::shared_ptr<EraseOp>& op, RecipientId id);
  void mark_erased(EraseOp& op, Slot slot);
  std::string next_ids() const;
  void begin_erase_pass();
  bool is_erasing() const;

  // ---- home_reclaim.cc ----
  void reclaim();
  bool reclaim_wanted() const;
  bool reclaim_allowed(uint32_t segment) const;
  bool may_copy(uint64_t bytes) const;
  void copy_record(const spool::RecordView& record);
  void copy_recipient(const spool::RecordView& record, const spool::Recipient& recipient);
  void copy_commit(const spool::RecordView& record);
  void note_seen(CampaignId campaign, const Fingerprint& fingerprint);
  void flush_seen(CampaignId campaign);
  void replace_lost_commits();
  std::string stand_in(const Batch& batch) const;
  void append_copy(spool::RecordType type, std::string payload);
  void end_damaged(Slot slot);
  void copy_folded(Slot slot, const Loaded& loaded);
  void scanned(bool ok);
  void reclaim_failed();
  void copy_next();
  void wait_for_copy_room();
  void write_snapshot();
  void pump_copies();
  void unlink_copied();

  // ---- fixed from the start ----
  Loop& loop_;
  HomeOptions options_;
  CampaignStates& campaign_states_;
  const RetryPolicies& policies_;
  const WallTime steady_base_;
  std::unique_ptr<spool::Log> log_;
  std::shared_ptr<State*> self_;  // jobs hold it weakly

  std::function<void(const DestinationOffer&)> offer_sink_;
  std::function<void(EventFacts&, spool::Position)> event_sink_;
  std::function<bool()> event_room_;
  std::function<void(CampaignId)> idle_sink_;
  std::function<void(SpoolHold)> hold_sink_;
  std::function<void()> failure_sink_;

  // ---- what lives here ----
  Recipients recipients_;
  Destinations destinations_;
  SourceSets source_sets_;
  DueTimes not_before_;  // by the wall clock
  DueTimes retries_;     // by steady_now(): one that jumps makes them neither early nor late
  std::deque<CampaignAtHome> campaigns_;
  std::map<std::pair<CampaignId, TenantId>, uint32_t> campaign_numbers_;
  std::vector<uint32_t> free_campaigns_;
  SlotTable<Batch, 256> batches_;
  std::map<BatchId, Slot> batch_slots_;
  std::map<ContentId, uint32_t> message_contents_;  // stored ones: how many batches name them
  SlotTable<Flight, 1'024> flights_;
  std::map<uint32_t, uint64_t> live_in_segment_;  // by base segment
  uint64_t live_units_ = 0;                       // of kSizeUnit, of their records
  uint64_t ready_ = 0;
  uint64_t next_counter_ = 1;
  uint64_t next_batch_ = 1;
  uint32_t open_batches_ = 0;
  std::string scratch_;

  // ---- work for the coming turns ----
  bool recovering_ = false;
  bool started_ = false;
  bool closing_ = false;
  bool log_closed_ = false;
  std::move_only_function<void(bool)> close_callback_;
  bool failed_ = false;
  bool turn_scheduled_ = false;
  std::deque<Job> callbacks_;
  std::deque<uint32_t> announced_;
  std::array<std::deque<EntryList>, kClasses> activations_;
  std::deque<uint32_t> unparking_;
  std::deque<std::shared_ptr<PullOp>> waiting_pulls_;
  bool pulls_ended_ = false;
  std::deque<std::shared_ptr<ListOp>> lists_;
  struct RetryOp {
    std::string domain;
    Slot at = 0;
    uint64_t count = 0;
    std::move_only_function<void(uint64_t)> callback;
  };
  std::deque<RetryOp> retry_asks_;
  uint32_t finishing_ = 0;

  std::deque<std::shared_ptr<EraseOp>> erasures_;
  uint64_t erased_live_ = 0;        // marked ones that still live
  bool erase_pass_wanted_ = false;  // records that name an erased address may lie up to the tail
  uint32_t erase_through_ = 0;      // segments up to this one are reclaimed for it
  Instant next_erase_pass_;

  // A look over the table for what is expired or cancelled.
  bool sweeping_ = false;
  bool sweep_whole_ = false;  // of every page: a campaign was cancelled
  bool sweep_again_ = false;
  uint32_t sweep_at_ = 0;  // page
  Instant next_sweep_;
  Instant next_forget_;
  std::deque<std::pair<WallTime, BatchId>> ended_messages_;

  // ---- outcomes ----
  std::deque<Ending> unsaved_;
  bool waits_for_room_ = false;
  SpoolHold hold_ = SpoolHold::none;  // as it was said
  uint64_t deferrals_unwritten_ = 0;
  bool events_blocked_ = false;
  std::deque<Event> events_;
  // Events made from their records: of outcomes of an earlier life, or beyond kEventsHeldMax.
  std::deque<spool::Position> backlog_;
  std::deque<spool::Position> overflow_;  // behind events_; become the backlog after those
  bool backlog_busy_ = false;
  bool backlog_is_old_ = true;       // of before the start: whose outcomes they are is not known
  spool::Position backlog_end_;      // the last of these that the sink was given
  std::set<CampaignId> idle_untold_;  // idle but for events that are not exported
  struct ToldWait {
    spool::Position place;
    Instant until;
    std::move_only_function<void(bool)> callback;
  };
  std::deque<ToldWait> told_waits_;
  uint64_t unsynced_ = 0;
  bool sync_running_ = false;
  spool::Position last_outcome_;  // written
  spool::Position exported_;

  // ---- reclaim of the oldest segment ----
  bool reclaiming_ = false;
  bool scan_done_ = false;
  uint32_t reclaim_segment_ = 0;
  std::deque<std::pair<spool::RecordType, std::string>> copies_;  // wait for room
  std::deque<RecipientId> to_fold_;
  bool folding_ = false;
  bool copies_wait_ = false;  // for room
  bool unlink_waits_ = false;
  uint32_t reclaim_failures_ = 0;  // in a row
  Instant reclaim_after_;
  std::map<CampaignId, std::string> seen_;
  std::set<BatchId> commits_copied_;  // while the segment is scanned
  spool::Position copies_end_;

  Timer due_timer_;
  Timer sweep_timer_;
  Timer sync_timer_;
  Timer housekeeping_timer_;
  Timer close_timer_;
};

}  // namespace postring::queue
