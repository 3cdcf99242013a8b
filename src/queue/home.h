// Home: the recipients of one slice, from acceptance to their last outcome.
//
//   auto home = Home::open(loop, folder, options, campaigns, policies, registry_feed);  // recovers
//   (*home)->set_offer_sink(...);  (*home)->set_event_sink(...);
//   (*home)->start();              // offers what is ready, from the next turn on
//
// One per slice, used on its worker only. It holds the slice's log and a table of what is live, and
// decides what goes next: by destination, class first, fair between campaigns, first in first out
// within one. Callbacks run in a later turn unless it is said otherwise, and exactly once; they are
// dropped when the home goes. The campaigns and policies must outlive it.
//
// Submission. begin() opens a batch, append() stages a recipient in the log, commit() makes them
// durable and sendable together, discard() leaves nothing. A batch that is neither when the process
// ends is discarded by recovery.
//
// Delivery. See queue/lease.h. A lease is not touched by pause, cancel or expiry: whoever holds it
// asks CampaignStates::may_send() and looks at the deadline right before MAIL FROM, and gives back
// what may not go. On a full disk no more is leased than there is room for the outcomes of; where
// an outcome could be written nowhere all the same, the hold sink is told, and no further content
// may leave before it could.
//
// Time. A retry waits by the monotonic clock: a wall clock that jumps makes it neither early nor
// late. The log knows wall time only, so that after a restart a retry comes when the wall clock
// shows its time, and no later than if its wait began with the start. What somebody has said in
// wall time goes by what the wall clock shows, be it right or wrong: a recipient's own earliest
// time, and its deadline. A clock that goes forward ends what is over by it, for good, and what
// waits for a time that it has jumped over comes at once; one that goes back lets both wait longer.
//
// Outcomes are written when they are settled and synced every `outcome_sync`; then the event sink
// gets them, in the order of the log. Who exported them says so with exported(): no segment that is
// still needed for events is reclaimed before. Events not exported when the process ended are given
// to the sink again after start(), with the same contents.
//
// Law: for every batch and campaign Counts::adds_up(), at any moment, also after kill -9.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/units.h"
#include "io/loop.h"
#include "mail/ids.h"
#include "mail/outcome.h"
#include "queue/campaign.h"
#include "queue/counts.h"
#include "queue/event_facts.h"
#include "queue/fingerprint.h"
#include "queue/lease.h"
#include "queue/limits.h"
#include "queue/retry_policy.h"
#include "spool/record.h"

namespace postring::queue {

struct HomeOptions {
  SliceNumber slice = 0;
  uint64_t spool_id = 0;
  uint64_t segment_bytes = 0;  // 0: the log's default
  unsigned reserve_segments = 2;
  // What was appended last and is read without the ring; the rest is taken to be cold.
  uint64_t tail_window_bytes = 64 << 20;
  // False for a slice of an earlier number of workers: it only empties.
  bool takes_mail = true;
  Duration outcome_sync = Duration::milliseconds(5);
  // What ended is remembered this long: batches, their sums and their answers.
  Duration kept = Duration::days(7);
  // Records get no older than this: reclaim runs by time, too.
  Duration record_age_max = Duration::days(30);
  // Seeds fingerprints; the same in all slices of a spool, for its life.
  FingerprintKey fingerprint_key;
  // Up to where events were exported before the start.
  spool::Position exported;
};

enum class SubmitError : uint8_t {
  disk_full,  // 507: what is left is for outcomes
  busy,       // 503: the disk is behind, or a table is full; when_room() tells when to go on
  too_large,  // a recipient's record does not fit
  failed,     // 500: the log is poisoned, nothing is accepted any more
  no_mail,    // this slice only empties
};
const char* name_of(SubmitError error);

struct NewBatch {
  CampaignId campaign = 0;  // 0: a message without a campaign
  TenantId tenant = 0;
  std::string tenant_name;
  std::string idempotency_key;  // empty: none
  MailClass mail_class = MailClass::bulk;
  // Of messages that bring their own content. What is not given, their campaign says.
  ContentId content{};
  std::string inline_content;  // at most kInlineContentMax; empty: stored under `content`
  std::vector<std::string> sources;
  RetryOverride retry;
};

// Views are read during the call only.
struct NewRecipient {
  std::string_view address;  // canonical (mail/address.h)
  std::string_view values;   // encoded (mail/values.h)
  std::string_view ref;
  std::string_view meta;
  WallTime not_before;       // not set: none
  WallTime expires_at;       // not set: by the policy's maximum age
  std::optional<MailClass> mail_class;  // not given: the batch's
  std::string_view source;   // empty: the campaign's
  std::string_view time_zone;
};

// What a commit wrote.
struct Committed {
  BatchId batch = 0;
  WallTime accepted_at;
  uint64_t accepted = 0;
};

// An answer that is kept under an idempotency key, as found by recovery or written by a commit.
struct KeptAnswer {
  TenantId tenant = 0;
  std::string_view key;
  Sha256 digest{};
  std::string_view answer;
  BatchId batch = 0;
  CampaignId campaign = 0;
  WallTime at;
};

// Gets what the registry must know of a slice while it is recovered.
struct RecoverySink {
  // A recipient of the campaign, live or finished: a repetition is a duplicate. May be told twice.
  std::function<void(CampaignId, const Fingerprint&)> seen;
  std::function<void(const KeptAnswer&)> answer;
};

// What holds a waiting recipient, as far as its home knows.
enum class Hold : uint8_t {
  none,           // it is leased: the lane knows
  ready,          // nothing here: the destination's lanes know (destination is set)
  not_started,    // the campaign has not been started
  scheduled,      // the campaign starts later
  paused,         // the campaign is paused
  not_before,     // its own earliest time, next_attempt_at
  retry,          // deferred until next_attempt_at
  ending,         // it is being expired or cancelled
  disk_full,      // the disk is full: what becomes of it could not be written
};
const char* name_of(Hold hold);

// A live recipient with everything known about it.
struct RecipientStatus {
  RecipientId id = 0;
  CampaignId campaign = 0;
  BatchId batch = 0;
  TenantId tenant = 0;
  std::string address, ref, meta;
  MailClass mail_class = MailClass::bulk;
  bool in_flight = false;  // leased; otherwise waiting
  Hold hold = Hold::none;
  DestinationId destination;
  uint32_t attempts = 0;
  WallTime accepted_at, next_attempt_at, expires_at;  // not set: there is none
  Stage stage = Stage::queue;  // of the last attempt, where attempts > 0
  Reply reply;                 // of the last attempt
  std::string source;          // of the last attempt, or the one it must leave by
};

struct StatusPage {
  std::vector<RecipientStatus> recipients;
  uint64_t next = 0;  // give it as `after` for the next page; 0: this was the last
};

struct BatchStatus {
  BatchId id = 0;
  CampaignId campaign = 0;
  TenantId tenant = 0;
  WallTime accepted_at;
  Counts counts;
};

// Recipients of an address that is erased.
struct Erased {
  uint64_t cancelled = 0;
  uint64_t in_flight = 0;  // these end with their attempt
};

struct HomeStats {
  uint64_t recipients = 0;  // live
  uint64_t ready = 0;       // could be pulled now
  uint64_t deferred = 0;    // wait for their time
  uint64_t leased = 0;
  uint64_t destinations = 0;
  uint64_t campaigns = 0;
  uint64_t batches = 0;
  uint64_t segments = 0;
  uint64_t bytes_on_disk = 0;
  uint64_t outcomes_unsynced = 0;
  uint64_t outcomes_waiting = 0;  // for room in the log; nothing is pulled meanwhile
  uint64_t events_waiting = 0;    // for being durable, taken, or read again
  uint64_t deferrals_unwritten = 0;  // on a full disk, since the start
  bool disk_full = false;            // submission is refused; outcomes use what was set aside
  uint64_t table_bytes = 0;  // memory of the recipients' table and its indexes
  uint64_t bytes_appended = 0;    // since the start, as the next two
  uint64_t syncs = 0;
  uint64_t segments_reclaimed = 0;
  uint64_t reclaim_failures = 0;  // in a row: the oldest segment cannot be read or removed
  bool failed = false;       // the log is poisoned
};

// Names a batch that was begun. 0 is none.
using BatchHandle = uint32_t;

class Home {
 public:
  // Blocks while it reads the slice. The error names the file and what is wrong.
  static Result<std::unique_ptr<Home>> open(Loop& loop, std::string folder, HomeOptions options,
                                            CampaignStates& campaigns,
                                            const RetryPolicies& policies,
                                            const RecoverySink& recovery);
  ~Home();
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;

  // Called for every offer, at the end of the turn in which mail became ready.
  void set_offer_sink(std::function<void(const DestinationOffer&)> sink);
  // Called for every durable outcome; `place` is what exported() is told once the event is kept.
  // The facts may be moved from. Without a sink nothing waits for the export.
  void set_event_sink(std::function<void(EventFacts& facts, spool::Position place)> sink);
  // Asked before each event; where it says no, events wait until exported() comes.
  void set_event_room(std::function<bool()> room);
  // Called when is_idle() may have become true of a campaign (a hint; it may get new recipients at
  // once).
  void set_idle_sink(std::function<void(CampaignId)> sink);
  // Called when it changes how much stands still for want of room for outcomes, within the call of
  // whatever changed it; none at first.
  void set_hold_sink(std::function<void(SpoolHold)> sink);
  // Called once when the log failed: sending must stop, no outcome could be kept.
  void set_failure_sink(std::function<void()> sink);

  // Begins to offer, expire, retry and reclaim.
  void start();

  // ---- submission ----
  Result<BatchHandle, SubmitError> begin(const NewBatch& batch);
  BatchId batch_id(BatchHandle batch) const;
  // The id of the recipient. After `busy` it was not taken and may be given again.
  Result<RecipientId, SubmitError> append(BatchHandle batch, const NewRecipient& recipient);
  // Recipients appended so far; their fingerprints in that order, for the registry's admission.
  uint32_t appended(BatchHandle batch) const;
  const std::vector<Fingerprint>& fingerprints(BatchHandle batch) const;
  // Drops recipients by their place in the order of append() (ascending), writes the commit record
  // and syncs. The callback runs when it is durable (or not). The handle is spent at once.
  // `answer` is kept under the batch's idempotency key, with the digest.
  struct CommitInput {
    std::vector<uint32_t> dropped;
    uint64_t duplicates = 0;
    uint64_t rejected = 0;
    Sha256 digest{};
    std::string answer;
  };
  void commit(BatchHandle batch, CommitInput input,
              std::move_only_function<void(Result<Committed, SubmitError>)> callback);
  void discard(BatchHandle batch);
  // Once, when what was busy may succeed.
  void when_room(std::function<void()> callback);

  // ---- delivery ----
  // At most `messages` leases and about `bytes` of records; none where nothing is ready (any more),
  // or while much of it expires.
  void pull(DestinationId destination, uint32_t messages, uint64_t bytes,
            std::move_only_function<void(Pulled)> callback);
  // Each lease ends by exactly one of these: checked.
  void settle(RecipientId id, Report report);
  void give_back(RecipientId id);

  // ---- questions ----
  Counts campaign_counts(CampaignId campaign) const;
  // Of everything that is remembered here, messages without a campaign included.
  Counts all_counts() const;
  // Nothing of the campaign waits or is in flight here, no batch of it is open, and all events of
  // it were exported. Where only that is missing, the idle sink is called when it is done.
  bool is_idle(CampaignId campaign) const;
  std::optional<BatchStatus> batch(BatchId id) const;
  std::vector<CampaignId> campaigns() const;
  // A batch of a message is remembered that refers to this stored content.
  bool needs_content(const ContentId& content) const;
  // What the commit of a batch kept as its answer; nothing where it is not kept.
  void answer(BatchId id, std::move_only_function<void(std::optional<std::string>)> callback);
  // The live recipients of an address, at most `limit`.
  void find(std::string address, uint32_t limit,
            std::move_only_function<void(std::vector<RecipientStatus>)> callback);
  // Calls back when the events of all outcomes so far were exported: who was not found by find() is
  // found among those from then on. After kToldWait in any case. False: they are not, for the log
  // failed or the home is closing.
  void when_told(std::move_only_function<void(bool)> callback);
  // Live recipients of a campaign, each that lives throughout the pages exactly once. `in_flight`
  // not given: both.
  void list(CampaignId campaign, std::optional<bool> in_flight, uint64_t after, uint32_t limit,
            std::move_only_function<void(StatusPage)> callback);
  HomeStats stats() const;
  SliceNumber slice() const;
  bool takes_mail() const;
  // Nothing lives here and nothing is kept: the slice's folder may be removed after close().
  bool is_empty() const;

  // ---- erasing ----
  // Whoever comes next gets it: all who were accepted so far, or are of a batch that is coming in,
  // have one below.
  RecipientId next_id() const;
  // What waits of the address and has an id below `end` is cancelled (`tenant` 0: of every tenant);
  // what is in flight is, when its attempt is over and did not end it. The callback comes
  // when the outcomes are durable, with nothing where the log failed or the home is closing. Then
  // the log is reclaimed until no record names the address: is_erasing() is true that long. From
  // the call on nobody gets an id below `end`, so that after a crash it means the same people.
  void erase(std::string address, TenantId tenant, RecipientId end,
             std::move_only_function<void(std::optional<Erased>)> callback);
  bool is_erasing() const;

  // ---- operator ----
  // What waits for a later attempt to the domain becomes ready now; says how many.
  void retry_now(std::string domain, std::move_only_function<void(uint64_t)> callback);
  // Every event up to and with this one was exported.
  void exported(spool::Position place);
  // From now on every pull, also one that waits, gives nothing: for the stop, which waits for pulls
  // and must not wait for room in the log with them.
  void end_pulls();
  // Takes nothing more, syncs what is written, gives away its events and closes the log. A lease
  // that is still out is tried again after the next start: give all back before. Outcomes that find
  // no room on a full disk for kCloseWait are given up: false, and outcomes_waiting says how many.
  void close(std::move_only_function<void(bool ok)> callback);

 private:
  class State;
  class Replay;
  explicit Home(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace postring::queue
