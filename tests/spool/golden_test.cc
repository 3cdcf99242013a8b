// A spool as format 1 wrote it is kept in golden/ and must be readable for ever.
//
// To keep one of a new format: POSTRING_WRITE_GOLDEN=FOLDER build/tests/spool/spool_test
// --gtest_filter='Golden.*' writes it there (and the payloads, as seeds for the fuzzer).
#include <fstream>

#include "rig.h"
#include "spool/records.h"
#include "spool/segment.h"

namespace postring::spool {
namespace {

namespace fs = std::filesystem;

const char* const kGolden = POSTRING_GOLDEN_SPOOL;

constexpr WallTime kAccepted = WallTime::from_ms(1'790'000'000'123);

Recipient sample_recipient() {
  Recipient recipient;
  recipient.id = make_recipient_id(3, 17);
  recipient.batch = make_recipient_id(3, 2);
  recipient.campaign = make_recipient_id(0, 5);
  recipient.tenant = 9;
  recipient.mail_class = MailClass::standard;
  recipient.accepted_at = kAccepted;
  recipient.not_before = kAccepted + Duration::minutes(1);
  recipient.expires_at = kAccepted + Duration::days(3);
  recipient.source = "out-1";
  recipient.ref = "order 4711";
  recipient.meta = "{\"a\":1}";
  recipient.time_zone = "Europe/Berlin";
  recipient.address = "maria@example.com";
  recipient.values = std::string_view("\1\4name\5Maria", 12);
  return recipient;
}

BatchCommit sample_commit() {
  BatchCommit commit;
  commit.batch = make_recipient_id(3, 2);
  commit.campaign = make_recipient_id(0, 5);
  commit.tenant = 9;
  commit.mail_class = MailClass::standard;
  commit.committed_at = kAccepted;
  commit.accepted = 1;
  commit.duplicates = 2;
  commit.rejected = 3;
  commit.idempotency_key = "key-1";
  commit.digest[0] = 7;
  commit.answer = "{\"accepted\":1}";
  commit.dropped = std::string_view("\0\1", 2);
  commit.tenant_name = "acme";
  commit.content[31] = 8;
  commit.inline_content = "content";
  commit.sources = "out-1,out-2";
  commit.retry = "\x3c";
  commit.max_age_s = 86'400;
  return commit;
}

OutcomeRecord sample_outcome() {
  OutcomeRecord outcome;
  outcome.id = make_recipient_id(3, 17);
  outcome.batch = make_recipient_id(3, 2);
  outcome.campaign = make_recipient_id(0, 5);
  outcome.recipient = {1, 88};
  outcome.attempt = 2;
  outcome.outcome = Outcome::deferred;
  outcome.stage = Stage::rcpt;
  outcome.possible_duplicate = true;
  outcome.logged_at = kAccepted + Duration::minutes(2);
  outcome.queued_at = kAccepted;
  outcome.next_attempt = kAccepted + Duration::minutes(7);
  outcome.reply = {451, {4, 7, 1}, "greylisted, please try again"};
  outcome.source = "out-1";
  outcome.remote_host = "mx1.example.com";
  outcome.remote_ip = std::string_view("\x7f\0\0\1", 4);
  outcome.bytes = 5'000;
  outcome.duration_us = 12'345;
  return outcome;
}

Folded sample_folded() {
  Folded folded;
  folded.recipient = sample_recipient();
  folded.attempts = 2;
  folded.stage = Stage::rcpt;
  folded.possible_duplicate = true;
  folded.last_attempt = kAccepted + Duration::minutes(2);
  folded.next_attempt = kAccepted + Duration::minutes(7);
  folded.reply = {451, {4, 7, 1}, "greylisted, please try again"};
  folded.last_source = "out-1";
  return folded;
}

Sums sample_sums() {
  return {.campaign = make_recipient_id(0, 5), .batch = make_recipient_id(3, 2), .tenant = 9,
          .accepted = 100, .delivered = 60, .bounced = 20, .expired = 5, .cancelled = 5,
          .deferrals = 44, .duplicates = 2, .rejected = 3};
}

std::string sample_fingerprints() {
  std::string fingerprints;
  add_fingerprint(fingerprints, 1, 2);
  add_fingerprint(fingerprints, UINT64_MAX, 3);
  return fingerprints;
}

template <typename Record>
std::pair<RecordType, std::string> pair_of(const Record& record) {
  std::string payload;
  encode(record, payload);
  return {Record::kType, payload};
}

// One of each type.
std::vector<std::pair<RecordType, std::string>> sample_records() {
  std::string fingerprints = sample_fingerprints();
  return {pair_of(sample_recipient()),
          pair_of(sample_commit()),
          pair_of(BatchDiscard{make_recipient_id(3, 1)}),
          pair_of(sample_outcome()),
          pair_of(sample_folded()),
          pair_of(sample_sums()),
          pair_of(Seen{make_recipient_id(0, 5), fingerprints}),
          pair_of(Entry{"campaign/5", "open"}),
          pair_of(EntryErased{"campaign/4"})};
}

void write_golden(const std::string& folder) {
  auto records = sample_records();
  LogRig rig(folder + "/slice");
  ASSERT_EQ(rig.open(), "");
  for (const auto& [type, payload] : records) rig.append(payload, type);
  ASSERT_TRUE(rig.log().roll());
  rig.append(records[0].second, records[0].first);
  ASSERT_TRUE(rig.sync());
  uint64_t end = rig.log().oldest()->bytes;
  ASSERT_TRUE(rig.close());
  fs::resize_file(folder + "/slice/" + segment_name(1), end);
  // A restart cuts the second one, and the spares are of no interest.
  ASSERT_EQ(rig.open(), "");
  ASSERT_TRUE(rig.close());
  for (uint32_t sequence = 3; sequence < 9; ++sequence) {
    fs::remove(folder + "/slice/" + segment_name(sequence));
  }
  fs::create_directories(folder + "/corpus");
  for (size_t i = 0; i < records.size(); ++i) {
    std::ofstream out(folder + "/corpus/record" + std::to_string(i), std::ios::binary);
    out << static_cast<char>(records[i].first) << records[i].second;
  }
}

TEST(Golden, TheSpoolOfFormat1IsRead) {
  if (const char* folder = std::getenv("POSTRING_WRITE_GOLDEN")) write_golden(folder);
  TempFolder folder;
  std::string slice = folder.path() + "/slice";
  fs::copy(kGolden, slice, fs::copy_options::recursive);
  LogRig rig(slice);
  ASSERT_EQ(rig.open(), "");
  EXPECT_TRUE(rig.log().recovery().damage.empty());
  auto expected = sample_records();
  expected.push_back(expected.front());
  ASSERT_EQ(rig.found.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(rig.found[i].type, expected[i].first) << i;
    EXPECT_EQ(rig.found[i].payload, expected[i].second) << i;
    EXPECT_TRUE(is_decodable(rig.found[i].type, rig.found[i].payload));
    EXPECT_EQ(rig.found[i].position.segment, i < 9 ? 1u : 2u);
  }
  EXPECT_EQ(rig.found[0].position, (Position{1, 88}));
  Recipient recipient;
  ASSERT_TRUE(decode(rig.found[0].payload, recipient));
  EXPECT_EQ(recipient, sample_recipient());
  OutcomeRecord outcome;
  ASSERT_TRUE(decode(rig.found[3].payload, outcome));
  EXPECT_EQ(outcome, sample_outcome());
  // And it goes on.
  EXPECT_EQ(rig.append("more").segment, 3u);
}

}  // namespace
}  // namespace postring::spool
