#include "spool/records.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"

namespace postring::spool {
namespace {

// Flags of the optional fields; bits that are not spelled here must be zero.
enum RecipientFlag : uint32_t {
  kHasNotBefore = 1 << 0,
  kHasExpiry = 1 << 1,
  kHasSource = 1 << 2,
  kHasRef = 1 << 3,
  kHasMeta = 1 << 4,
  kHasTimeZone = 1 << 5,
  kHasCampaign = 1 << 6,
  // Bits 7 and 8: the class.
  kClassShift = 7,
  kRecipientFlagsEnd = 1 << 9,
};
enum CommitFlag : uint32_t {
  kHasKey = 1 << 0,
  kHasDigest = 1 << 1,
  kHasAnswer = 1 << 2,
  kCopied = 1 << 3,
  kHasDropped = 1 << 4,
  kHasTenantName = 1 << 5,
  kHasContent = 1 << 6,
  kHasInlineContent = 1 << 7,
  kHasSources = 1 << 8,
  kHasRetry = 1 << 9,
  kHasMaxAge = 1 << 10,
  // Bits 11 and 12: the class.
  kCommitClassShift = 11,
  kCommitFlagsEnd = 1 << 13,
};
enum AttemptFlag : uint32_t {
  kHasQueuedAt = 1 << 0,
  kHasNextAttempt = 1 << 1,
  kHasReply = 1 << 2,
  kHasEnhanced = 1 << 3,
  kHasAttemptSource = 1 << 4,
  kHasRemoteHost = 1 << 5,
  kHasRemoteIp = 1 << 6,
  kPossibleDuplicate = 1 << 7,
  kHasLastAttempt = 1 << 8,
  kHasAttemptCampaign = 1 << 9,
  kAttemptFlagsEnd = 1 << 10,
};

// What a folded recipient's flags never say.
constexpr uint32_t kOutcomeOnly =
    kHasQueuedAt | kHasRemoteHost | kHasRemoteIp | kHasAttemptCampaign;

// A retry step is a varint of at most 10 bytes.
constexpr size_t kRetryTextMax = kRetryStepsMax * 10;

using Digest = std::array<uint8_t, 32>;

constexpr uint32_t flag_if(bool condition, uint32_t flag) { return condition ? flag : 0; }

// Ids are slice << 48 | counter: small numbers both, each its own varint.
void write_id(ByteWriter& writer, uint64_t id) {
  writer.varint(id >> 48);
  writer.varint(id & ((uint64_t{1} << 48) - 1));
}

void write_position(ByteWriter& writer, Position position) {
  writer.varint(position.segment);
  writer.varint(position.offset);
}

void write_digest(ByteWriter& writer, const Digest& digest) {
  writer.raw({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

void write_time(ByteWriter& writer, WallTime time, WallTime base) {
  writer.signed_varint(
      static_cast<int64_t>(static_cast<uint64_t>(time.us) - static_cast<uint64_t>(base.us)));
}

// A reader that also knows what encode() never writes.
class Decoder {
 public:
  explicit Decoder(std::string_view payload) : reader_(payload) {}

  uint32_t flags(uint32_t end) { return static_cast<uint32_t>(number(end - 1)); }
  uint64_t number(uint64_t max = UINT64_MAX) {
    uint64_t value = reader_.varint();
    require(value <= max);
    return value;
  }
  uint8_t byte(uint8_t max) {
    auto value = reader_.fixed<uint8_t>();
    require(value <= max);
    return value;
  }
  uint64_t id() {
    uint64_t slice = number(UINT16_MAX);
    uint64_t counter = number((uint64_t{1} << 48) - 1);
    return slice << 48 | counter;
  }
  Position position() {
    auto segment = static_cast<uint32_t>(number(UINT32_MAX));
    return {segment, static_cast<uint32_t>(number(UINT32_MAX))};
  }
  // An optional digest: one that is there is not all zero.
  Digest digest() {
    Digest value{};
    std::string_view bytes = reader_.raw(value.size());
    std::copy(bytes.begin(), bytes.end(), value.begin());
    require(value != Digest{});
    return value;
  }
  WallTime time() { return {reader_.fixed<int64_t>()}; }
  // An optional time: one that is there is set.
  WallTime time_after(WallTime base) {
    auto delta = static_cast<uint64_t>(reader_.signed_varint());
    WallTime value{static_cast<int64_t>(static_cast<uint64_t>(base.us) + delta)};
    require(value.is_set());
    return value;
  }
  std::string_view text(size_t max) {
    std::string_view value = reader_.text();
    require(value.size() <= max);
    return value;
  }
  // An optional text: one that is there is not empty.
  std::string_view some_text(size_t max) {
    std::string_view value = text(max);
    require(!value.empty());
    return value;
  }
  std::string_view raw(size_t size) { return reader_.raw(size); }
  std::string_view rest(size_t max) {
    std::string_view value = reader_.rest();
    require(value.size() <= max);
    return value;
  }
  void require(bool condition) { good_ = good_ && condition; }
  bool done() const { return good_ && reader_.done(); }

 private:
  ByteReader reader_;
  bool good_ = true;
};

void write_reply(ByteWriter& writer, const ReplyView& reply) {
  writer.fixed(reply.code);
  writer.text(reply.text);
}
void write_enhanced(ByteWriter& writer, const ReplyView& reply) {
  for (uint8_t part : reply.enhanced) writer.fixed(part);
}
bool has_reply(const ReplyView& reply) { return reply.code != 0 || !reply.text.empty(); }
bool has_enhanced(const ReplyView& reply) {
  return reply.enhanced != std::array<uint8_t, 3>{};
}
void check_reply(const ReplyView& reply) { CHECK(reply.text.size() <= kReplyTextMax); }

void read_reply(Decoder& decoder, uint32_t flags, ReplyView& reply) {
  reply = {};
  if (flags & kHasReply) {
    std::string_view code = decoder.raw(2);
    if (code.size() == 2) std::memcpy(&reply.code, code.data(), 2);
    reply.text = decoder.text(kReplyTextMax);
    decoder.require(has_reply(reply));
  }
  if (flags & kHasEnhanced) {
    for (uint8_t& part : reply.enhanced) part = decoder.byte(UINT8_MAX);
    decoder.require(has_enhanced(reply));
  }
}

uint32_t flags_of(const Recipient& record) {
  return flag_if(record.not_before.is_set(), kHasNotBefore) |
         flag_if(record.expires_at.is_set(), kHasExpiry) |
         flag_if(!record.source.empty(), kHasSource) | flag_if(!record.ref.empty(), kHasRef) |
         flag_if(!record.meta.empty(), kHasMeta) |
         flag_if(!record.time_zone.empty(), kHasTimeZone) |
         flag_if(record.campaign != 0, kHasCampaign) |
         static_cast<uint32_t>(record.mail_class) << kClassShift;
}

void write_recipient(const Recipient& record, ByteWriter& writer) {
  CHECK(record.address.size() <= kAddressMax);
  CHECK(record.ref.size() <= kRefMax);
  CHECK(record.meta.size() <= kMetaMax);
  CHECK(record.values.size() <= kValuesMax);
  CHECK(record.time_zone.size() <= kTimeZoneMax);
  CHECK(record.source.size() <= kSourceNameMax);
  CHECK(record.mail_class <= MailClass::bulk);
  uint32_t flags = flags_of(record);
  writer.varint(flags);
  write_id(writer, record.id);
  write_id(writer, record.batch);
  if (flags & kHasCampaign) write_id(writer, record.campaign);
  writer.varint(record.tenant);
  writer.fixed(record.accepted_at.us);
  if (flags & kHasNotBefore) write_time(writer, record.not_before, record.accepted_at);
  if (flags & kHasExpiry) write_time(writer, record.expires_at, record.accepted_at);
  if (flags & kHasSource) writer.text(record.source);
  if (flags & kHasRef) writer.text(record.ref);
  if (flags & kHasMeta) writer.text(record.meta);
  if (flags & kHasTimeZone) writer.text(record.time_zone);
  writer.text(record.address);
  writer.text(record.values);
}

void read_recipient(Decoder& decoder, Recipient& record) {
  record = {};
  uint32_t flags = decoder.flags(kRecipientFlagsEnd);
  decoder.require((flags >> kClassShift) <= static_cast<uint32_t>(MailClass::bulk));
  record.mail_class = static_cast<MailClass>(flags >> kClassShift);
  record.id = decoder.id();
  record.batch = decoder.id();
  if (flags & kHasCampaign) {
    record.campaign = decoder.id();
    decoder.require(record.campaign != 0);
  }
  record.tenant = static_cast<TenantId>(decoder.number(UINT32_MAX));
  record.accepted_at = decoder.time();
  if (flags & kHasNotBefore) record.not_before = decoder.time_after(record.accepted_at);
  if (flags & kHasExpiry) record.expires_at = decoder.time_after(record.accepted_at);
  if (flags & kHasSource) record.source = decoder.some_text(kSourceNameMax);
  if (flags & kHasRef) record.ref = decoder.some_text(kRefMax);
  if (flags & kHasMeta) record.meta = decoder.some_text(kMetaMax);
  if (flags & kHasTimeZone) record.time_zone = decoder.some_text(kTimeZoneMax);
  record.address = decoder.text(kAddressMax);
  record.values = decoder.text(kValuesMax);
}

}  // namespace

void encode(const Recipient& record, std::string& out) {
  ByteWriter writer(out);
  write_recipient(record, writer);
}

bool decode(std::string_view payload, Recipient& record) {
  Decoder decoder(payload);
  read_recipient(decoder, record);
  return decoder.done();
}

namespace {

uint32_t flags_of(const BatchCommit& record) {
  return flag_if(!record.idempotency_key.empty(), kHasKey) |
         flag_if(record.digest != Digest{}, kHasDigest) |
         flag_if(!record.answer.empty(), kHasAnswer) | flag_if(record.copied, kCopied) |
         flag_if(!record.dropped.empty(), kHasDropped) |
         flag_if(!record.tenant_name.empty(), kHasTenantName) |
         flag_if(record.content != Digest{}, kHasContent) |
         flag_if(!record.inline_content.empty(), kHasInlineContent) |
         flag_if(!record.sources.empty(), kHasSources) |
         flag_if(!record.retry.empty(), kHasRetry) | flag_if(record.max_age_s != 0, kHasMaxAge) |
         static_cast<uint32_t>(record.mail_class) << kCommitClassShift;
}

void check_bounds(const BatchCommit& record) {
  CHECK(record.mail_class <= MailClass::bulk);
  CHECK(record.idempotency_key.size() <= kIdempotencyKeyMax);
  CHECK(record.answer.size() <= kAnswerMax);
  CHECK(record.dropped.size() <= kDroppedMax);
  CHECK(record.tenant_name.size() <= kTenantNameMax);
  CHECK(record.inline_content.size() <= kInlineContentMax);
  CHECK(record.sources.size() <= kSourcesTextMax);
  CHECK(record.retry.size() <= kRetryTextMax);
}

}  // namespace

void encode(const BatchCommit& record, std::string& out) {
  check_bounds(record);
  uint32_t flags = flags_of(record);
  ByteWriter writer(out);
  writer.varint(flags);
  write_id(writer, record.batch);
  write_id(writer, record.campaign);
  writer.varint(record.tenant);
  writer.fixed(record.committed_at.us);
  writer.varint(record.accepted);
  writer.varint(record.duplicates);
  writer.varint(record.rejected);
  if (flags & kHasKey) writer.text(record.idempotency_key);
  if (flags & kHasDigest) write_digest(writer, record.digest);
  if (flags & kHasAnswer) writer.text(record.answer);
  if (flags & kHasDropped) writer.text(record.dropped);
  if (flags & kHasTenantName) writer.text(record.tenant_name);
  if (flags & kHasContent) write_digest(writer, record.content);
  if (flags & kHasInlineContent) writer.text(record.inline_content);
  if (flags & kHasSources) writer.text(record.sources);
  if (flags & kHasRetry) writer.text(record.retry);
  if (flags & kHasMaxAge) writer.varint(record.max_age_s);
}

bool decode(std::string_view payload, BatchCommit& record) {
  Decoder decoder(payload);
  record = {};
  uint32_t flags = decoder.flags(kCommitFlagsEnd);
  decoder.require((flags >> kCommitClassShift) <= static_cast<uint32_t>(MailClass::bulk));
  record.mail_class = static_cast<MailClass>(flags >> kCommitClassShift);
  record.copied = (flags & kCopied) != 0;
  record.batch = decoder.id();
  record.campaign = decoder.id();
  record.tenant = static_cast<TenantId>(decoder.number(UINT32_MAX));
  record.committed_at = decoder.time();
  record.accepted = decoder.number();
  record.duplicates = decoder.number();
  record.rejected = decoder.number();
  if (flags & kHasKey) record.idempotency_key = decoder.some_text(kIdempotencyKeyMax);
  if (flags & kHasDigest) record.digest = decoder.digest();
  if (flags & kHasAnswer) record.answer = decoder.some_text(kAnswerMax);
  if (flags & kHasDropped) record.dropped = decoder.some_text(kDroppedMax);
  if (flags & kHasTenantName) record.tenant_name = decoder.some_text(kTenantNameMax);
  if (flags & kHasContent) record.content = decoder.digest();
  if (flags & kHasInlineContent) record.inline_content = decoder.some_text(kInlineContentMax);
  if (flags & kHasSources) record.sources = decoder.some_text(kSourcesTextMax);
  if (flags & kHasRetry) record.retry = decoder.some_text(kRetryTextMax);
  if (flags & kHasMaxAge) {
    record.max_age_s = decoder.number();
    decoder.require(record.max_age_s != 0);
  }
  return decoder.done();
}

void encode(const BatchDiscard& record, std::string& out) {
  ByteWriter writer(out);
  write_id(writer, record.batch);
}

bool decode(std::string_view payload, BatchDiscard& record) {
  Decoder decoder(payload);
  record.batch = decoder.id();
  return decoder.done();
}

void encode(const OutcomeRecord& record, std::string& out) {
  check_reply(record.reply);
  CHECK(record.source.size() <= kSourceNameMax);
  CHECK(record.remote_host.size() <= kHostNameMax);
  CHECK(record.remote_ip.empty() || record.remote_ip.size() == 4 || record.remote_ip.size() == 16);
  CHECK(record.outcome <= Outcome::cancelled);
  CHECK(record.stage <= Stage::done);
  uint32_t flags = flag_if(record.queued_at.is_set(), kHasQueuedAt) |
                   flag_if(record.next_attempt.is_set(), kHasNextAttempt) |
                   flag_if(has_reply(record.reply), kHasReply) |
                   flag_if(has_enhanced(record.reply), kHasEnhanced) |
                   flag_if(!record.source.empty(), kHasAttemptSource) |
                   flag_if(!record.remote_host.empty(), kHasRemoteHost) |
                   flag_if(!record.remote_ip.empty(), kHasRemoteIp) |
                   flag_if(record.campaign != 0, kHasAttemptCampaign) |
                   flag_if(record.possible_duplicate, kPossibleDuplicate);
  ByteWriter writer(out);
  writer.varint(flags);
  write_id(writer, record.id);
  write_id(writer, record.batch);
  if (flags & kHasAttemptCampaign) write_id(writer, record.campaign);
  write_position(writer, record.recipient);
  writer.varint(record.attempt);
  // Both in one byte.
  writer.fixed(static_cast<uint8_t>(static_cast<unsigned>(record.outcome) << 4 |
                                    static_cast<unsigned>(record.stage)));
  writer.fixed(record.logged_at.us);
  if (flags & kHasQueuedAt) write_time(writer, record.queued_at, record.logged_at);
  if (flags & kHasNextAttempt) write_time(writer, record.next_attempt, record.logged_at);
  if (flags & kHasReply) write_reply(writer, record.reply);
  if (flags & kHasEnhanced) write_enhanced(writer, record.reply);
  if (flags & kHasAttemptSource) writer.text(record.source);
  if (flags & kHasRemoteHost) writer.text(record.remote_host);
  if (flags & kHasRemoteIp) writer.text(record.remote_ip);
  writer.varint(record.bytes);
  writer.varint(record.duration_us);
}

bool decode(std::string_view payload, OutcomeRecord& record) {
  Decoder decoder(payload);
  record = {};
  uint32_t flags = decoder.flags(kAttemptFlagsEnd);
  decoder.require((flags & kHasLastAttempt) == 0);
  record.possible_duplicate = (flags & kPossibleDuplicate) != 0;
  record.id = decoder.id();
  record.batch = decoder.id();
  if (flags & kHasAttemptCampaign) {
    record.campaign = decoder.id();
    decoder.require(record.campaign != 0);
  }
  record.recipient = decoder.position();
  record.attempt = static_cast<uint32_t>(decoder.number(UINT32_MAX));
  uint8_t both = decoder.byte(UINT8_MAX);
  decoder.require((both >> 4) <= static_cast<unsigned>(Outcome::cancelled));
  decoder.require((both & 15) <= static_cast<unsigned>(Stage::done));
  record.outcome = static_cast<Outcome>(both >> 4);
  record.stage = static_cast<Stage>(both & 15);
  record.logged_at = decoder.time();
  if (flags & kHasQueuedAt) record.queued_at = decoder.time_after(record.logged_at);
  if (flags & kHasNextAttempt) record.next_attempt = decoder.time_after(record.logged_at);
  read_reply(decoder, flags, record.reply);
  if (flags & kHasAttemptSource) record.source = decoder.some_text(kSourceNameMax);
  if (flags & kHasRemoteHost) record.remote_host = decoder.some_text(kHostNameMax);
  if (flags & kHasRemoteIp) {
    record.remote_ip = decoder.text(16);
    decoder.require(record.remote_ip.size() == 4 || record.remote_ip.size() == 16);
  }
  record.bytes = decoder.number();
  record.duration_us = decoder.number();
  return decoder.done();
}

void encode(const Folded& record, std::string& out) {
  check_reply(record.reply);
  CHECK(record.last_source.size() <= kSourceNameMax);
  CHECK(record.stage <= Stage::done);
  uint32_t flags = flag_if(record.next_attempt.is_set(), kHasNextAttempt) |
                   flag_if(record.last_attempt.is_set(), kHasLastAttempt) |
                   flag_if(has_reply(record.reply), kHasReply) |
                   flag_if(has_enhanced(record.reply), kHasEnhanced) |
                   flag_if(!record.last_source.empty(), kHasAttemptSource) |
                   flag_if(record.possible_duplicate, kPossibleDuplicate);
  ByteWriter writer(out);
  write_recipient(record.recipient, writer);
  writer.varint(flags);
  writer.varint(record.attempts);
  writer.fixed(static_cast<uint8_t>(record.stage));
  WallTime base = record.recipient.accepted_at;
  if (flags & kHasLastAttempt) write_time(writer, record.last_attempt, base);
  if (flags & kHasNextAttempt) write_time(writer, record.next_attempt, base);
  if (flags & kHasReply) write_reply(writer, record.reply);
  if (flags & kHasEnhanced) write_enhanced(writer, record.reply);
  if (flags & kHasAttemptSource) writer.text(record.last_source);
}

bool decode(std::string_view payload, Folded& record) {
  Decoder decoder(payload);
  record = {};
  read_recipient(decoder, record.recipient);
  uint32_t flags = decoder.flags(kAttemptFlagsEnd);
  decoder.require((flags & kOutcomeOnly) == 0);
  record.possible_duplicate = (flags & kPossibleDuplicate) != 0;
  record.attempts = static_cast<uint32_t>(decoder.number(UINT32_MAX));
  record.stage = static_cast<Stage>(decoder.byte(static_cast<uint8_t>(Stage::done)));
  WallTime base = record.recipient.accepted_at;
  if (flags & kHasLastAttempt) record.last_attempt = decoder.time_after(base);
  if (flags & kHasNextAttempt) record.next_attempt = decoder.time_after(base);
  read_reply(decoder, flags, record.reply);
  if (flags & kHasAttemptSource) record.last_source = decoder.some_text(kSourceNameMax);
  return decoder.done();
}

void encode(const Sums& record, std::string& out) {
  ByteWriter writer(out);
  write_id(writer, record.campaign);
  write_id(writer, record.batch);
  writer.varint(record.tenant);
  for (uint64_t count : {record.accepted, record.delivered, record.bounced, record.expired,
                         record.cancelled, record.deferrals, record.duplicates,
                         record.rejected}) {
    writer.varint(count);
  }
}

bool decode(std::string_view payload, Sums& record) {
  Decoder decoder(payload);
  record.campaign = decoder.id();
  record.batch = decoder.id();
  record.tenant = static_cast<TenantId>(decoder.number(UINT32_MAX));
  for (uint64_t* count : {&record.accepted, &record.delivered, &record.bounced, &record.expired,
                          &record.cancelled, &record.deferrals, &record.duplicates,
                          &record.rejected}) {
    *count = decoder.number();
  }
  return decoder.done();
}

std::array<uint64_t, 2> Seen::fingerprint(size_t index) const {
  CHECK(index < count());
  std::array<uint64_t, 2> words;
  std::memcpy(words.data(), fingerprints.data() + index * kFingerprintBytes, kFingerprintBytes);
  return words;
}

void add_fingerprint(std::string& fingerprints, uint64_t high, uint64_t low) {
  ByteWriter writer(fingerprints);
  writer.fixed(high);
  writer.fixed(low);
}

void encode(const Seen& record, std::string& out) {
  CHECK(record.fingerprints.size() % kFingerprintBytes == 0);
  CHECK(record.count() <= kFingerprintsMax);
  ByteWriter writer(out);
  write_id(writer, record.campaign);
  writer.raw(record.fingerprints);
}

bool decode(std::string_view payload, Seen& record) {
  Decoder decoder(payload);
  record.campaign = decoder.id();
  record.fingerprints = decoder.rest(kFingerprintsMax * kFingerprintBytes);
  decoder.require(record.fingerprints.size() % kFingerprintBytes == 0);
  return decoder.done();
}

void encode(const Entry& record, std::string& out) {
  CHECK(record.key.size() <= kEntryKeyMax);
  CHECK(record.value.size() <= kEntryValueMax);
  ByteWriter writer(out);
  writer.text(record.key);
  writer.raw(record.value);
}

bool decode(std::string_view payload, Entry& record) {
  Decoder decoder(payload);
  record.key = decoder.text(kEntryKeyMax);
  record.value = decoder.rest(kEntryValueMax);
  return decoder.done();
}

void encode(const EntryErased& record, std::string& out) {
  CHECK(record.key.size() <= kEntryKeyMax);
  out += record.key;
}

bool decode(std::string_view payload, EntryErased& record) {
  Decoder decoder(payload);
  record.key = decoder.rest(kEntryKeyMax);
  return decoder.done();
}

namespace {

template <typename Record>
bool decodes(std::string_view payload) {
  Record record;
  return decode(payload, record);
}

}  // namespace

bool is_decodable(RecordType type, std::string_view payload) {
  switch (type) {
    case RecordType::none: return false;
    case RecordType::skip:
    case RecordType::seal:
    case RecordType::follow: return true;
    case RecordType::recipient: return decodes<Recipient>(payload);
    case RecordType::batch_commit: return decodes<BatchCommit>(payload);
    case RecordType::batch_discard: return decodes<BatchDiscard>(payload);
    case RecordType::outcome: return decodes<OutcomeRecord>(payload);
    case RecordType::folded: return decodes<Folded>(payload);
    case RecordType::sums: return decodes<Sums>(payload);
    case RecordType::seen: return decodes<Seen>(payload);
    case RecordType::entry: return decodes<Entry>(payload);
    case RecordType::entry_erased: return decodes<EntryErased>(payload);
  }
  return true;
}

}  // namespace postring::spool
