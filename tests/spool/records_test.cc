#include "spool/records.h"

#include <gtest/gtest.h>

#include <deque>
#include <limits>

#include "base/random.h"

namespace postring::spool {
namespace {

// Random records; the texts live as long as the maker.
class Maker {
 public:
  explicit Maker(uint64_t seed) : random_(seed) {}

  bool maybe() { return random_.chance(1, 2); }
  uint64_t number() { return random_.next() >> random_.below(64); }
  uint64_t id() { return random_.below(1u << 16) << 48 | (number() >> 16); }
  WallTime time() { return {static_cast<int64_t>(number())}; }
  WallTime maybe_time() { return maybe() ? time() : WallTime{}; }
  std::string_view text(size_t max) {
    std::string text(random_.below(max + 1), '\0');
    for (char& c : text) c = static_cast<char>(random_.below(256));
    return texts_.emplace_back(std::move(text));
  }
  std::string_view maybe_text(size_t max) { return maybe() ? text(max) : std::string_view(); }
  std::array<uint8_t, 32> maybe_digest() {
    std::array<uint8_t, 32> digest{};
    if (maybe()) {
      for (uint8_t& byte : digest) byte = static_cast<uint8_t>(random_.below(256));
    }
    return digest;
  }
  uint64_t below(uint64_t bound) { return random_.below(bound); }

  ReplyView reply() {
    ReplyView reply;
    if (maybe()) reply.code = static_cast<uint16_t>(random_.below(1'000));
    if (maybe()) reply.enhanced = {5, static_cast<uint8_t>(below(256)), 1};
    reply.text = maybe_text(kReplyTextMax);
    return reply;
  }
  Recipient recipient() {
    Recipient record;
    record.id = id();
    record.batch = id();
    record.campaign = maybe() ? id() : 0;
    record.tenant = static_cast<TenantId>(number());
    record.mail_class = static_cast<MailClass>(below(3));
    record.accepted_at = time();
    record.not_before = maybe_time();
    record.expires_at = maybe_time();
    record.source = maybe_text(kSourceNameMax);
    record.ref = maybe_text(kRefMax);
    record.meta = maybe_text(kMetaMax);
    record.time_zone = maybe_text(kTimeZoneMax);
    record.address = text(kAddressMax);
    record.values = text(2'000);
    return record;
  }
  BatchCommit commit() {
    BatchCommit record;
    record.batch = id();
    record.campaign = id();
    record.tenant = static_cast<TenantId>(number());
    record.copied = maybe();
    record.mail_class = static_cast<MailClass>(below(3));
    record.committed_at = time();
    record.accepted = number();
    record.duplicates = number();
    record.rejected = number();
    record.idempotency_key = maybe_text(kIdempotencyKeyMax);
    record.digest = maybe_digest();
    record.answer = maybe_text(3'000);
    record.dropped = maybe_text(100);
    record.tenant_name = maybe_text(kTenantNameMax);
    record.content = maybe_digest();
    record.inline_content = maybe_text(3'000);
    record.sources = maybe_text(200);
    record.retry = maybe_text(30);
    record.max_age_s = maybe() ? number() : 0;
    return record;
  }
  OutcomeRecord outcome() {
    OutcomeRecord record;
    record.id = id();
    record.batch = id();
    record.campaign = maybe() ? id() : 0;
    record.recipient = Position::unpack(number());
    record.attempt = static_cast<uint32_t>(number());
    record.outcome = static_cast<Outcome>(below(5));
    record.stage = static_cast<Stage>(below(10));
    record.possible_duplicate = maybe();
    record.logged_at = time();
    record.queued_at = maybe_time();
    record.next_attempt = maybe_time();
    record.reply = reply();
    record.source = maybe_text(kSourceNameMax);
    record.remote_host = maybe_text(kHostNameMax);
    if (maybe()) record.remote_ip = maybe() ? "abcd" : "abcdefghijklmnop";
    record.bytes = number();
    record.duration_us = number();
    return record;
  }
  Folded folded() {
    Folded record;
    record.recipient = recipient();
    record.attempts = static_cast<uint32_t>(number());
    record.stage = static_cast<Stage>(below(10));
    record.possible_duplicate = maybe();
    record.last_attempt = maybe_time();
    record.next_attempt = maybe_time();
    record.reply = reply();
    record.last_source = maybe_text(kSourceNameMax);
    return record;
  }

 private:
  Random random_;
  std::deque<std::string> texts_;
};

// What was written is read again; what is read at all is written back byte for byte.
template <typename Record>
void expect_round_trip(const Record& record, Random& random) {
  std::string bytes;
  encode(record, bytes);
  Record again;
  ASSERT_TRUE(decode(bytes, again));
  EXPECT_EQ(again, record);
  for (int i = 0; i < 30; ++i) {
    std::string changed = bytes;
    if (random.chance(1, 3)) {
      changed.resize(random.below(changed.size() + 1));
    } else {
      changed[random.below(changed.size())] ^= static_cast<char>(1 << random.below(8));
    }
    Record other;
    if (!decode(changed, other)) continue;
    std::string back;
    encode(other, back);
    EXPECT_EQ(back, changed);
  }
}

TEST(Records, WhatIsWrittenIsReadAgain) {
  Maker make(11);
  Random random(12);
  for (int i = 0; i < 300; ++i) {
    expect_round_trip(make.recipient(), random);
    expect_round_trip(make.commit(), random);
    expect_round_trip(BatchDiscard{make.id()}, random);
    expect_round_trip(make.outcome(), random);
    expect_round_trip(make.folded(), random);
    Sums sums;
    sums.campaign = make.id();
    sums.batch = make.id();
    sums.accepted = make.number();
    sums.rejected = make.number();
    expect_round_trip(sums, random);
    expect_round_trip(Entry{make.text(kEntryKeyMax), make.text(500)}, random);
    expect_round_trip(EntryErased{"key"}, random);
    if (HasFatalFailure()) return;
  }
}

TEST(Records, FingerprintsKeepTheirOrder) {
  std::string fingerprints;
  add_fingerprint(fingerprints, 1, 2);
  add_fingerprint(fingerprints, UINT64_MAX, 7);
  Random random(3);
  Seen seen{5, fingerprints};
  expect_round_trip(seen, random);
  EXPECT_EQ(seen.count(), 2u);
  EXPECT_EQ(seen.fingerprint(0), (std::array<uint64_t, 2>{1, 2}));
  EXPECT_EQ(seen.fingerprint(1), (std::array<uint64_t, 2>{UINT64_MAX, 7}));
}

// The bar for all that is appended per delivered recipient is 200 bytes.
TEST(Records, ADeliveredRecipientCostsLittle) {
  Recipient recipient;
  recipient.id = make_recipient_id(3, 4'000'000);
  recipient.batch = make_recipient_id(3, 1'000);
  recipient.campaign = make_recipient_id(0, 20'000);
  recipient.tenant = 12;
  recipient.accepted_at = WallTime::from_ms(1'790'000'000'123);
  recipient.expires_at = recipient.accepted_at + Duration::days(3);
  recipient.address = "someone.with.a.name@mail.example.com";
  recipient.values = "Someone";
  std::string first;
  encode(recipient, first);
  uint64_t data = recipient.address.size() + recipient.values.size();
  EXPECT_LE(record_size(first.size()) - data, 56u);

  OutcomeRecord outcome;
  outcome.id = recipient.id;
  outcome.batch = recipient.batch;
  outcome.campaign = recipient.campaign;
  outcome.recipient = {12, 60'000'000};
  outcome.attempt = 1;
  outcome.stage = Stage::done;
  outcome.logged_at = recipient.accepted_at + Duration::minutes(20);
  outcome.queued_at = recipient.accepted_at;
  outcome.reply = {250, {2, 0, 0}, "Ok: queued as 4Rz6wT1cXNz9sRg"};
  outcome.source = "out-1";
  outcome.remote_host = "mx1.mail.example.com";
  outcome.remote_ip = "abcd";
  outcome.bytes = 5'000;
  outcome.duration_us = 150'000;
  std::string second;
  encode(outcome, second);
  EXPECT_LE(record_size(second.size()), 136u);
}

}  // namespace
}  // namespace postring::spool
