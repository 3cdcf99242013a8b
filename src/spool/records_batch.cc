// Records about batches, campaigns and what registries keep.
#include <algorithm>

#include "base/check.h"
#include "spool/record_codec.h"
#include "spool/records.h"

namespace postring::spool {
namespace {

// Flags of the optional fields; bits that are not spelled here must be zero.
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

// A retry step is a varint of at most 10 bytes.
constexpr size_t kRetryTextMax = kRetryStepsMax * 10;

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
