// What the records of a slice say: plain structs with their bytes.
//
//   std::string bytes;
//   encode(recipient, bytes);                    // appends
//   log.append(Recipient::kType, bytes, Room::submission);
//   Recipient again;
//   if (!decode(view.payload, again)) ...        // damage or a newer version
//
// Texts are views: those of a decoded struct point into the payload. encode() checks the bounds
// below, which the caller must hold; decode() refuses what encode() would not have written, so that
// what was read can always be written again. Absent optional fields cost no bytes: each payload
// begins with flags that say which are there. Times are kept relative to the record's own time;
// ids as slice and counter.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/units.h"
#include "mail/ids.h"
#include "mail/outcome.h"
#include "spool/record.h"

namespace postring::spool {

constexpr size_t kAddressMax = 512;
constexpr size_t kRefMax = 256;
constexpr size_t kMetaMax = 256;
constexpr size_t kValuesMax = 512 * 1'024;
constexpr size_t kTimeZoneMax = 64;
constexpr size_t kSourceNameMax = 64;
constexpr size_t kHostNameMax = 255;
constexpr size_t kIdempotencyKeyMax = 255;
constexpr size_t kAnswerMax = 512 * 1'024;
constexpr size_t kEntryKeyMax = 512;
constexpr size_t kEntryValueMax = 768 * 1'024;
constexpr size_t kFingerprintBytes = 16;
constexpr size_t kFingerprintsMax = 32'768;
constexpr size_t kInlineContentMax = 65'536;
constexpr size_t kSourcesTextMax = 4'096;
constexpr size_t kRetryStepsMax = 32;
constexpr size_t kTenantNameMax = 128;
constexpr size_t kDroppedMax = 256 * 1'024;  // 250,000 places, a byte each where all are dropped
static_assert(kAnswerMax + kDroppedMax + kInlineContentMax + kSourcesTextMax + 4'096 <=
              kPayloadMax);

// One submitted recipient. Counts only once its batch's commit follows.
struct Recipient {
  static constexpr RecordType kType = RecordType::recipient;
  RecipientId id = 0;
  BatchId batch = 0;
  CampaignId campaign = 0;  // 0: a message of its own
  TenantId tenant = 0;
  MailClass mail_class = MailClass::bulk;
  WallTime accepted_at;
  WallTime not_before;           // optional
  WallTime expires_at;           // optional
  std::string_view source;       // optional: the name of the source it must leave by
  std::string_view ref;          // optional: the submitter's own name for it
  std::string_view meta;         // optional
  std::string_view time_zone;    // optional: IANA name
  std::string_view address;
  std::string_view values;       // merge values, in the form that mail/ gives them; may be empty
  bool operator==(const Recipient&) const = default;
};

// What stands for a content that could not be read when its commit was copied.
constexpr std::string_view kLostContent = "lost";

// The batch's recipients are accepted: everything before it with this batch id counts, but for the
// dropped ones. Copied forward (`copied`) while the batch is kept: then it only says what the batch
// is, the counting was done by the first.
struct BatchCommit {
  static constexpr RecordType kType = RecordType::batch_commit;
  BatchId batch = 0;
  CampaignId campaign = 0;
  TenantId tenant = 0;
  bool copied = false;
  MailClass mail_class = MailClass::bulk;
  WallTime committed_at;
  uint64_t accepted = 0;
  uint64_t duplicates = 0;
  uint64_t rejected = 0;
  std::string_view idempotency_key;  // optional
  std::array<uint8_t, 32> digest{};  // of the request's body; all zero: absent
  std::string_view answer;           // optional: what a repeat is answered with
  // Recipients of the batch that are duplicates: their places in the batch, from 0, as varints,
  // the first as it is, each further one as the distance to the one before.
  std::string_view dropped;          // optional
  // Of a message without a campaign, which otherwise says these.
  std::string_view tenant_name;      // optional
  std::array<uint8_t, 32> content{};  // the name of the stored content; all zero: absent
  std::string_view inline_content;   // optional: the compiled content itself, or kLostContent
  std::string_view sources;          // optional: names separated by commas
  std::string_view retry;            // optional: waits in seconds, as varints
  uint64_t max_age_s = 0;            // optional
  bool operator==(const BatchCommit&) const = default;
};

// The batch will never be committed: its recipients are nothing.
struct BatchDiscard {
  static constexpr RecordType kType = RecordType::batch_discard;
  BatchId batch = 0;
  bool operator==(const BatchDiscard&) const = default;
};

struct ReplyView {
  uint16_t code = 0;                  // 0: there was no reply
  std::array<uint8_t, 3> enhanced{};  // class 0: none
  std::string_view text;              // at most kReplyTextMax
  bool operator==(const ReplyView&) const = default;
};

// What an attempt ended in. `recipient` is where the newest Recipient or Folded of the id lay when
// it was written: it is there at least as long as this record counts.
struct OutcomeRecord {
  static constexpr RecordType kType = RecordType::outcome;
  RecipientId id = 0;
  BatchId batch = 0;
  CampaignId campaign = 0;  // 0: a message of its own
  Position recipient;
  uint32_t attempt = 0;
  Outcome outcome = Outcome::delivered;
  Stage stage = Stage::queue;
  bool possible_duplicate = false;
  WallTime logged_at;
  WallTime queued_at;            // optional
  WallTime next_attempt;         // optional: with deferred
  ReplyView reply;
  std::string_view source;       // optional
  std::string_view remote_host;  // optional
  std::string_view remote_ip;    // optional: 4 or 16 bytes in network order
  uint64_t bytes = 0;            // of the message as sent
  uint64_t duration_us = 0;      // of the attempt
  bool operator==(const OutcomeRecord&) const = default;
};

// A live recipient, copied forward with what was known of it. Newer than every record of its id
// before it.
struct Folded {
  static constexpr RecordType kType = RecordType::folded;
  Recipient recipient;
  uint32_t attempts = 0;
  Stage stage = Stage::queue;       // of the last attempt
  bool possible_duplicate = false;  // an attempt's final reply was lost
  WallTime last_attempt;            // optional
  WallTime next_attempt;            // optional
  ReplyView reply;                  // of the last attempt
  std::string_view last_source;     // optional: the source of the last attempt
  bool operator==(const Folded&) const = default;
};

// Counters of one batch, or with batch 0 of one campaign, as they were at this place of the log;
// replaces what was counted before.
struct Sums {
  static constexpr RecordType kType = RecordType::sums;
  CampaignId campaign = 0;
  BatchId batch = 0;
  TenantId tenant = 0;
  uint64_t accepted = 0;
  uint64_t delivered = 0;
  uint64_t bounced = 0;
  uint64_t expired = 0;
  uint64_t cancelled = 0;
  uint64_t deferrals = 0;  // attempts that were deferred
  uint64_t duplicates = 0;  // refused at submission
  uint64_t rejected = 0;
  bool operator==(const Sums&) const = default;
};

// Fingerprints of an open campaign's finished recipients, which keep being duplicates after their
// records are gone.
struct Seen {
  static constexpr RecordType kType = RecordType::seen;
  CampaignId campaign = 0;
  std::string_view fingerprints;  // kFingerprintBytes each, as add_fingerprint() writes them
  bool operator==(const Seen&) const = default;

  size_t count() const { return fingerprints.size() / kFingerprintBytes; }
  // Two words: high, low.
  std::array<uint64_t, 2> fingerprint(size_t index) const;
};
void add_fingerprint(std::string& fingerprints, uint64_t high, uint64_t low);

// A named value: what registries, caps, marks and keys keep. The newest of a key counts.
struct Entry {
  static constexpr RecordType kType = RecordType::entry;
  std::string_view key;
  std::string_view value;
  bool operator==(const Entry&) const = default;
};
struct EntryErased {
  static constexpr RecordType kType = RecordType::entry_erased;
  std::string_view key;
  bool operator==(const EntryErased&) const = default;
};

void encode(const Recipient& record, std::string& out);
void encode(const BatchCommit& record, std::string& out);
void encode(const BatchDiscard& record, std::string& out);
void encode(const OutcomeRecord& record, std::string& out);
void encode(const Folded& record, std::string& out);
void encode(const Sums& record, std::string& out);
void encode(const Seen& record, std::string& out);
void encode(const Entry& record, std::string& out);
void encode(const EntryErased& record, std::string& out);

[[nodiscard]] bool decode(std::string_view payload, Recipient& record);
[[nodiscard]] bool decode(std::string_view payload, BatchCommit& record);
[[nodiscard]] bool decode(std::string_view payload, BatchDiscard& record);
[[nodiscard]] bool decode(std::string_view payload, OutcomeRecord& record);
[[nodiscard]] bool decode(std::string_view payload, Folded& record);
[[nodiscard]] bool decode(std::string_view payload, Sums& record);
[[nodiscard]] bool decode(std::string_view payload, Seen& record);
[[nodiscard]] bool decode(std::string_view payload, Entry& record);
[[nodiscard]] bool decode(std::string_view payload, EntryErased& record);

// Whether the payload is what a record of the type says; true for types that are not known here.
bool is_decodable(RecordType type, std::string_view payload);

}  // namespace postring::spool
