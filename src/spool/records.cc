// Records about one recipient: itself, its outcomes, and both folded.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "spool/record_codec.h"
#include "spool/records.h"

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

}  // namespace postring::spool
