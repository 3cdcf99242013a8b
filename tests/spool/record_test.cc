#include "spool/record.h"

#include <gtest/gtest.h>

#include "spool/segment.h"

namespace postring::spool {
namespace {

SegmentHeader sample_header() {
  SegmentHeader header;
  header.slice = 7;
  header.sequence = 9;
  header.salt = 0x1122334455667788;
  header.created = WallTime::from_seconds(1'700'000'000);
  header.size = 65'536;
  header.spool_id = 99;
  return header;
}

// The format, spelled out: it may only change together with its version.
TEST(Record, HeaderBytesAreAsDrawn) {
  std::string bytes = encode_header(sample_header());
  ASSERT_EQ(bytes.size(), kSegmentHeaderSize);
  EXPECT_EQ(bytes.substr(0, 8), "postring");
  EXPECT_EQ(bytes.substr(8, 4), std::string("\1\0\0\0", 4));
  EXPECT_EQ(bytes.substr(12, 4), std::string("\x40\0\0\0", 4));
  EXPECT_EQ(bytes.substr(20, 4), std::string("\x09\0\0\0", 4));
  auto header = decode_header(bytes);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->slice, 7u);
  EXPECT_EQ(header->salt, 0x1122334455667788u);
  EXPECT_EQ(header->seed(), sample_header().seed());
}

TEST(Record, ADamagedHeaderIsRefusedInWords) {
  std::string bytes = encode_header(sample_header());
  for (size_t i = 12; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] ^= 4;
    auto header = decode_header(changed);
    ASSERT_FALSE(header);
    EXPECT_EQ(header.error().message, "has a damaged header");
  }
  EXPECT_EQ(decode_header("what?").error().message, "is not a segment of postring");
}

TEST(Record, IsGoodInItsOwnPlaceOnly) {
  uint32_t seed = sample_header().seed();
  std::string bytes(record_size(5), '\0');
  write_record(bytes.data(), seed, 64, RecordType::entry, "hello");
  RecordView view;
  ASSERT_EQ(check_record(bytes, seed, 64, view), RecordCheck::good);
  EXPECT_EQ(view.payload, "hello");
  EXPECT_EQ(view.type, RecordType::entry);
  EXPECT_EQ(check_record(bytes, seed, 72, view), RecordCheck::bad);
  EXPECT_EQ(check_record(bytes, seed + 1, 64, view), RecordCheck::bad);
  EXPECT_EQ(check_record(std::string_view(bytes).substr(0, 15), seed, 64, view),
            RecordCheck::cut_off);
  EXPECT_EQ(view.payload.size(), 5u);
  EXPECT_EQ(check_record(std::string(16, '\0'), seed, 64, view), RecordCheck::end);
  for (size_t i = 0; i < 13; ++i) {
    std::string changed = bytes;
    changed[i] ^= 16;
    EXPECT_NE(check_record(changed, seed, 64, view), RecordCheck::good) << i;
  }
}

TEST(Record, IsFoundBehindDamage) {
  uint32_t seed = sample_header().seed();
  std::string bytes(1'000, 'x');
  write_record(bytes.data() + 512, seed, 512 + 64, RecordType::entry, "hello");
  write_record(bytes.data() + 528, seed, 528 + 64, RecordType::entry, "again");
  EXPECT_EQ(find_record(bytes, seed, 64, 64), 576u);
  EXPECT_EQ(find_record(bytes, seed, 64, 577), 592u);
  EXPECT_EQ(find_record(bytes, seed, 64, 593), std::nullopt);
}

TEST(Segment, NamesSortAsTheirNumbers) {
  EXPECT_EQ(segment_name(7), "0000000007.seg");
  EXPECT_EQ(parse_segment_name("0000000007.seg"), 7u);
  EXPECT_EQ(parse_segment_name("4294967295.seg"), UINT32_MAX);
  for (const char* name : {"0000000000.seg", "4294967296.seg", "7.seg", "0000000007.new",
                           "000000000x.seg", "0000000007.seg.new"}) {
    EXPECT_FALSE(parse_segment_name(name)) << name;
  }
}

TEST(Segment, OwnRecordsAreReadAgain) {
  auto follow = decode_follow(encode_follow({5, 4'096, 77, WallTime{123}}));
  ASSERT_TRUE(follow);
  EXPECT_EQ(follow->sequence, 5u);
  EXPECT_EQ(follow->end, 4'096u);
  EXPECT_EQ(follow->records, 77u);
  EXPECT_EQ(follow->opened, WallTime{123});
  EXPECT_EQ(encode_skip(8, 5).size(), 0u);
  EXPECT_EQ(decode_skip(encode_skip(512, 1'234)), 1'234u);
  EXPECT_EQ(decode_skip(encode_skip(8, 1'234)), 0u);
  EXPECT_EQ(decode_seal(encode_seal(12)), 12u);
}

}  // namespace
}  // namespace postring::spool
