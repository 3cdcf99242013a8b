// Backend: what the API asks of the engine. The API knows HTTP, JSON, keys' scopes and the form of
// a batch; the engine behind this interface knows workers, homes and the registry.
//
// One Backend per worker, used on that worker only. Every call that has to ask someone else takes
// an Answer, which is called exactly once, on the same worker, in this or a later loop turn. What
// is given by reference or view is valid during the call only, unless it says otherwise. A Backend
// outlives every call: an Answer may come after the client went away, and is then ignored by the
// API, not by the Backend.
//
// Tenants: a Caller sees its own tenant only. What belongs to another one does not exist
// (Refusal::not_found). An operator's Caller has tenant kEveryTenant where it names none.
//
// Idempotency: a creating call with a key is durable together with the key. Asked again with the
// same key and digest it gives the same value and creates nothing; with another digest it is
// refused with key_reused; while the first is still at work with key_busy. Keys belong to a tenant
// and are kept while the campaign is open and kIdempotencyKept more.
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
#include "mail/content.h"
#include "mail/ids.h"
#include "mail/outcome.h"

namespace postring::submission {

constexpr Duration kIdempotencyKept = Duration::days(7);
constexpr size_t kIdempotencyKeyMax = 128;  // bytes, printable ASCII
constexpr TenantId kEveryTenant = UINT32_MAX;

// Why something is not done. Each has one HTTP status (submission/problems.cc).
enum class Refusal : uint8_t {
  not_found,    // 404
  wrong_state,  // 409: the campaign's state does not allow it
  key_busy,     // 409: the first request with this Idempotency-Key is still at work
  key_reused,   // 422: this Idempotency-Key came with another body before
  invalid,      // 422: what was asked cannot be (an unknown source, ...)
  cursor_gone,  // 410: events before `oldest_cursor` are no longer kept
  busy,         // 503 with Retry-After: a queue, a budget or a mailbox is full
  stopping,     // 503 with Retry-After: the daemon is being stopped
  no_space,     // 507 with Retry-After: the disk is filling, delivery has what is left
  failed,       // 500: the spool could not be written
};

struct Refused {
  Refusal why = Refusal::failed;
  std::string detail = {};  // a sentence for the caller
  Duration retry_after = {};
  std::string oldest_cursor = {};  // cursor_gone
  uint64_t events_missed = 0;      // cursor_gone
};

template <typename T>
using Answer = std::move_only_function<void(Result<T, Refused>)>;

// ---- who asks --------------------------------------------------------------------------------

constexpr uint8_t kScopeSubmit = 1;
constexpr uint8_t kScopeRead = 2;
constexpr uint8_t kScopeAdmin = 4;

struct Caller {
  TenantId tenant = 0;
  std::string tenant_name;
  uint8_t scopes = 0;
};

struct IdempotencyKey {
  std::string key;  // empty: none was given, the other member means nothing
  Sha256 digest{};  // of everything that must be the same in a repeat
};

// ---- campaigns -------------------------------------------------------------------------------

enum class CampaignState : uint8_t { loading, scheduled, running, paused, cancelled, complete };

// accepted = delivered + bounced + expired + cancelled + waiting + in_flight, always.
struct Counts {
  uint64_t accepted = 0;
  uint64_t delivered = 0;
  uint64_t bounced = 0;
  uint64_t expired = 0;
  uint64_t cancelled = 0;
  uint64_t waiting = 0;
  uint64_t in_flight = 0;
  uint64_t deferrals = 0;  // attempts that ended in "deferred", no part of the sum
  uint64_t duplicate = 0;  // refused at submission, no part of the sum
  uint64_t rejected = 0;   // likewise
};

struct NewCampaign {
  std::string name;
  std::string content;  // compiled bytes (mail/content_source.h); named by mail::content_name
  MailClass mail_class = MailClass::bulk;
  std::vector<std::string> sources;  // names; empty: the configuration's default
  WallTime start_at;                 // set: scheduled from then on; not set: waits for start
  std::vector<Duration> retry;       // empty: the configuration's
  Duration max_age;                  // 0: the configuration's
};

struct CampaignCreated {
  CampaignId id = 0;
  WallTime created_at;
  CampaignState state = CampaignState::loading;
};

struct CampaignInfo {
  CampaignId id = 0;
  TenantId tenant = 0;
  std::string tenant_name;
  std::string name;
  std::string content;  // its name: 64 hexadecimal digits
  CampaignState state = CampaignState::loading;
  bool closed = false;  // takes no more recipients
  MailClass mail_class = MailClass::bulk;
  std::vector<std::string> sources;
  WallTime created_at, start_at, started_at, closed_at, completed_at;  // not set: not yet
  Counts counts;
};

struct CampaignPage {
  std::vector<CampaignInfo> campaigns;
  CampaignId next = 0;  // give it as `after` for the next page; 0: this was the last
};

enum class CampaignCommand : uint8_t { start, close, pause, resume, cancel };

struct CommandResult {
  CampaignState state = CampaignState::loading;
  bool closed = false;
  Counts counts;  // pause, cancel: delivered is "sent", waiting (or cancelled) is "stopped"
};

// ---- recipients ------------------------------------------------------------------------------

// One line of a batch, checked. Views are valid during append() only.
struct NewRecipient {
  uint32_t line = 0;         // from 1, as the client counts
  std::string_view address;  // canonical (mail/address.h)
  std::string_view values;   // encoded for the campaign's content (mail/values.h)
  std::string_view ref;      // the submitter's own name for it; empty: none
  std::string_view meta;     // handed back in every event; empty: none
  WallTime not_before;       // not set: none
  WallTime expires_at;       // not set: the campaign's max_age
  std::optional<MailClass> mail_class;
  std::string_view source;     // empty: the campaign's
  std::string_view time_zone;  // IANA name or offset; empty: none
};
constexpr size_t kRefMax = 256;
constexpr size_t kMetaMax = 256;
constexpr size_t kSourceNameMax = 64;
constexpr size_t kTimeZoneMax = 64;

struct BatchAnswer {
  BatchId batch = 0;
  uint64_t accepted = 0;
  uint64_t duplicate = 0;
  uint64_t rejected = 0;
  std::string rejections;  // a JSON array as the API wrote it, at most kRejectionsBytesMax
};
constexpr size_t kRejectionsMax = 1'000;
constexpr size_t kRejectionsBytesMax = 480 * 1'024;

// A batch on its way in. Nothing of it exists for anybody until commit() answers; destroying it
// before leaves nothing. After commit() was called the object may go at any time: the batch is
// finished all the same.
class BatchWriter {
 public:
  virtual ~BatchWriter() = default;

  // The campaign's content, valid as long as the writer.
  virtual const mail::Content& content() const = 0;
  virtual bool knows_source(std::string_view name) const = 0;

  // Takes the recipient (copies what it needs); at most kBatchLinesMax times.
  virtual void append(const NewRecipient& recipient) = 0;
  // False while the writer wants no more for now: `ready` is called once when it does again. The
  // recipient of an append() that made it so was taken.
  virtual bool wants_more() const = 0;
  virtual void when_ready(std::function<void()> ready) = 0;

  // Drops duplicates (the same ref, or without one the same address, within the campaign), makes
  // the rest durable and sendable, and answers. `digest` is that of the whole body; with an
  // Idempotency-Key given to begin_batch, the answer is durable under it.
  virtual void commit(const Sha256& digest, uint64_t rejected, std::string rejections,
                      Answer<BatchAnswer> answer) = 0;
};
constexpr uint32_t kBatchLinesMax = 250'000;
constexpr uint64_t kBatchBytesMax = 64u << 20;  // after decompression

// What is taken in one batch; at most the above.
struct BatchLimits {
  uint32_t lines = kBatchLinesMax;
  uint64_t bytes = kBatchBytesMax;
};

// Either a writer, or (the key is known) what was answered before: the API reads the body all the
// same, and gives the old answer only where the digest is the same.
struct BatchBegun {
  std::unique_ptr<BatchWriter> writer;
  BatchAnswer earlier;
  Sha256 earlier_digest{};
};

struct BatchInfo {
  BatchId id = 0;
  CampaignId campaign = 0;
  WallTime accepted_at;
  Counts counts;
};

struct NewMessage {
  CampaignId campaign = 0;  // 0: none
  // One of the two. Own content is small mostly and may lie inline in its record.
  std::string content;       // compiled bytes
  std::string content_name;  // of a stored one
  MailClass mail_class = MailClass::transactional;
  std::vector<std::string> sources;
  std::vector<Duration> retry;
  Duration max_age;
  struct To {
    std::string address;  // canonical
    std::string values;
    std::string ref, meta;
  };
  std::vector<To> to;  // envelope recipients, 1 to kMessageRecipientsMax
  WallTime not_before, expires_at;
};
constexpr size_t kMessageRecipientsMax = 100;

struct MessageAccepted {
  BatchId batch = 0;
  std::vector<RecipientId> recipients;  // in the order of `to`
  WallTime accepted_at;
};

enum class RecipientState : uint8_t {
  waiting,
  in_flight,
  delivered,
  bounced,
  expired,
  cancelled,
};

struct RecipientInfo {
  RecipientId id = 0;
  CampaignId campaign = 0;
  BatchId batch = 0;
  std::string address, ref, meta;
  RecipientState state = RecipientState::waiting;
  std::optional<MailClass> mail_class;  // not set: not known any more
  uint32_t attempts = 0;
  WallTime accepted_at, next_attempt_at, expires_at, finished_at;  // not set: there is none
  Stage stage = Stage::queue;  // of the last attempt, where attempts > 0
  Reply reply;                 // of the last attempt
  std::string source;
  std::string hold;  // waiting: what holds it, in words
};

struct EraseResult {
  uint64_t cancelled = 0;
  uint64_t in_flight = 0;  // these end with their attempt
};

struct RecipientPage {
  std::vector<RecipientInfo> recipients;
  std::string next;  // give it as `after` for the next page; empty: this was the last
};

struct RecipientQuery {
  CampaignId campaign = 0;
  std::optional<RecipientState> state;
  uint32_t limit = 100;  // 1 to kRecipientsPageMax
  std::string after;     // empty: from the start
};
constexpr uint32_t kRecipientsPageMax = 1'000;
constexpr uint32_t kCampaignsPageMax = 1'000;

// ---- events ----------------------------------------------------------------------------------

struct EventQuery {
  std::string after;        // a cursor; empty: from the oldest that is kept
  CampaignId campaign = 0;  // 0: all
  std::string type;         // empty: all
  uint32_t limit = 1'000;   // 1 to kEventsPageMax
  Duration wait;            // answer when there is one, or after this long with none
};
constexpr uint32_t kEventsPageMax = 10'000;
constexpr Duration kEventsWaitMax = Duration::seconds(60);

struct EventPage {
  std::string events;  // JSON objects, separated by commas, without brackets
  uint32_t count = 0;
  std::string next;  // the cursor after the last one looked at; never empty
};

// ---- the interface ---------------------------------------------------------------------------

struct Health {
  bool ready = false;
  std::string reason;  // why it is not ready, in words; ready: empty or a remark ("divert is on")
};

class Backend {
 public:
  virtual ~Backend() = default;

  // Keys: asked per request, so answered at once from the worker's own copy.
  virtual std::optional<Caller> authenticate(const Sha256& key_hash) const = 0;
  virtual std::optional<TenantId> find_tenant(std::string_view name) const = 0;
  virtual Health health() const = 0;
  virtual void metrics(Answer<std::string> answer) = 0;  // Prometheus text format

  virtual void create_campaign(const Caller& caller, const IdempotencyKey& key,
                               NewCampaign campaign, Answer<CampaignCreated> answer) = 0;
  virtual void command_campaign(const Caller& caller, CampaignId id, CampaignCommand command,
                                Answer<CommandResult> answer) = 0;
  virtual void get_campaign(const Caller& caller, CampaignId id, Answer<CampaignInfo> answer) = 0;
  virtual void list_campaigns(const Caller& caller, CampaignId after, uint32_t limit,
                              Answer<CampaignPage> answer) = 0;

  // `key` carries no digest yet: commit() does.
  virtual void begin_batch(const Caller& caller, CampaignId campaign, const std::string& key,
                           Answer<BatchBegun> answer) = 0;
  virtual void get_batch(const Caller& caller, BatchId id, Answer<BatchInfo> answer) = 0;

  // A content that was stored before, by its name, valid as long as it is held.
  virtual void find_content(const Caller& caller, const std::string& name,
                            Answer<std::shared_ptr<const mail::Content>> answer) = 0;
  virtual void submit_message(const Caller& caller, const IdempotencyKey& key, NewMessage message,
                              Answer<MessageAccepted> answer) = 0;

  virtual void list_recipients(const Caller& caller, const RecipientQuery& query,
                               Answer<RecipientPage> answer) = 0;
  // Everything known about a canonical address, newest first, at most kRecipientsPageMax.
  virtual void find_recipients(const Caller& caller, const std::string& address,
                               Answer<std::vector<RecipientInfo>> answer) = 0;

  // Ends what lives of a canonical address and was accepted before now; from the answer on nothing
  // that is told names it.
  virtual void erase_recipients(const Caller& caller, const std::string& address,
                                Answer<EraseResult> answer) = 0;

  virtual void read_events(const Caller& caller, EventQuery query, Answer<EventPage> answer) = 0;
};

constexpr const char* name_of(CampaignState state) {
  constexpr const char* kNames[] = {"loading", "scheduled", "running",
                                    "paused",  "cancelled", "complete"};
  return kNames[static_cast<uint8_t>(state)];
}

constexpr const char* name_of(RecipientState state) {
  constexpr const char* kNames[] = {"waiting", "in_flight", "delivered",
                                    "bounced", "expired",   "cancelled"};
  return kNames[static_cast<uint8_t>(state)];
}

constexpr const char* name_of(CampaignCommand command) {
  constexpr const char* kNames[] = {"start", "close", "pause", "resume", "cancel"};
  return kNames[static_cast<uint8_t>(command)];
}

}  // namespace postring::submission
