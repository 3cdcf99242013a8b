#include "event_rig.h"

namespace postring::spool {
namespace {

TEST_F(EventLogTest, ReadsWhatWasAppendedFromAnyCursor) {
  fill(1'000, 7);
  EXPECT_EQ(log->oldest(), 1u);
  EXPECT_EQ(log->end(), 1'001u);
  for (uint64_t bytes : {uint64_t{1}, uint64_t{500}, uint64_t{1} << 20}) {
    for (uint64_t from : {1u, 2u, 7u, 8u, 500u, 1'000u}) {
      auto entries = read_all(from, bytes);
      ASSERT_EQ(entries.size(), 1'001 - from);
      EXPECT_EQ(entries.front(), "event " + std::to_string(from));
      EXPECT_EQ(entries.back(), "event 1000");
    }
  }
  auto none = read(1'001);
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->entries.empty());
  EXPECT_EQ(none->next, 1'001u);
}

TEST_F(EventLogTest, WhatIsNotSyncedIsNotRead) {
  log->append("early", 1);
  auto page = read(0);
  ASSERT_TRUE(page);
  EXPECT_TRUE(page->entries.empty());
  ASSERT_TRUE(sync());
  EXPECT_EQ(read(0)->entries.size(), 1u);
}

TEST_F(EventLogTest, GoesOnAfterReopeningAcrossSegments) {
  options.segment_bytes = 500;
  open();
  for (int i = 0; i < 5; ++i) {
    fill(50, 5);
    open();
    ASSERT_EQ(log->end(), next);
  }
  auto entries = read_all(1, 100);
  ASSERT_EQ(entries.size(), 250u);
  for (size_t i = 0; i < 250; ++i) EXPECT_EQ(entries[i], "event " + std::to_string(i + 1));
}

// A torn tail at every byte of the last block: what was synced before it is kept, numbering goes
// on.
TEST_F(EventLogTest, CutsATornTail) {
  fill(10, 5);
  std::string path = last_segment();
  auto whole = std::filesystem::file_size(path);
  log->append("torn away", 1);
  ASSERT_TRUE(sync());
  auto longer = std::filesystem::file_size(path);
  std::string bytes(longer, '\0');
  std::ifstream(path, std::ios::binary).read(bytes.data(), static_cast<std::streamsize>(longer));
  for (auto size = whole; size < longer; ++size) {
    log.reset();
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      std::filesystem::remove(entry.path());
    }
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(size));
    open();
    ASSERT_EQ(log->end(), 11u) << size;
    ASSERT_EQ(read_all(1, 1 << 20).size(), 10u);
  }
  log->append("again", 1);
  ASSERT_TRUE(sync());
  EXPECT_EQ(read_all(11, 1).at(0), "again");
}

// A crash between making a segment and its first sync: the one before it is read to its end.
TEST_F(EventLogTest, ASegmentThatWasNotBegunHidesNothing) {
  fill(10, 5);
  log.reset();
  std::string unbegun = folder + "/" + event_segment_name(11);
  std::ofstream(unbegun).flush();
  open();
  EXPECT_FALSE(std::filesystem::exists(unbegun));
  ASSERT_EQ(log->end(), 11u);
  fill(1, 1);
  auto entries = read_all(1, 1 << 20);
  ASSERT_EQ(entries.size(), 11u);
  EXPECT_EQ(entries.back(), "event 11");
}

TEST_F(EventLogTest, DamageIsSaidAndPassedOver) {
  fill(10, 5);
  std::string path = last_segment();
  log.reset();
  flip(path, kEventHeaderSize + kEventBlockHeaderSize + 5 * sizeof(uint32_t) + 3);  // in the frame
  open();
  EXPECT_EQ(log->end(), 11u);
  auto page = read(1);
  ASSERT_TRUE(page);
  EXPECT_NE(page->problem.find("5 events cannot be read"), std::string::npos) << page->problem;
  EXPECT_EQ(page->first, 6u);
  ASSERT_EQ(page->entries.size(), 5u);
  EXPECT_EQ(page->entries[0], "event 6");
}

// Nothing in a segment can be found behind a header that is none: the next one is.
TEST_F(EventLogTest, ADamagedBlockHeaderHidesTheRestOfItsSegmentAndSaysSo) {
  fill(20, 5);
  std::string path = last_segment();
  open();
  fill(5, 5);
  flip(path, kEventHeaderSize + 20);  // the number of the first entry
  auto page = read(1);
  ASSERT_TRUE(page);
  EXPECT_NE(page->problem.find("20 events cannot be read"), std::string::npos) << page->problem;
  EXPECT_EQ(page->first, 21u);
  ASSERT_EQ(page->entries.size(), 5u);
  flip(path, kEventHeaderSize + 20);
  flip(path, kEventHeaderSize + 4);  // the size of the frame
  page = read(1);
  ASSERT_TRUE(page);
  EXPECT_NE(page->problem.find("20 events cannot be read"), std::string::npos) << page->problem;
  EXPECT_EQ(page->first, 21u);
}

TEST_F(EventLogTest, APageEndsBeforeDamage) {
  fill(10, 5);
  std::string path = last_segment();
  auto second = static_cast<std::streamoff>(std::filesystem::file_size(path));
  fill(5, 5);
  fill(5, 5);
  flip(path, second + 4);
  auto page = read(1);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->problem, "");
  EXPECT_EQ(page->next, 11u);
  page = read(11);
  ASSERT_TRUE(page);
  EXPECT_NE(page->problem.find("10 events cannot be read"), std::string::npos) << page->problem;
  EXPECT_EQ(page->next, 21u);
  EXPECT_TRUE(page->entries.empty());
}

// Of a format that is not known yet nothing may be cut off.
TEST_F(EventLogTest, ASegmentOfANewerFormatIsRefusedAndLeftAsItIs) {
  fill(10, 5);
  std::string path = last_segment();
  log.reset();
  std::string header = encode_event_header({kEventFormatVersion + 1, 1, WallTime::from_ms(1)});
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out) << header << "something else";
  auto bytes = std::filesystem::file_size(path);
  auto opened = EventLog::open(*loop, folder, options);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("newer postring"), std::string::npos);
  EXPECT_EQ(std::filesystem::file_size(path), bytes);
}

// It is asked for again: descriptors come back, and damage of the disk is passed over in the end.
TEST_F(EventLogTest, WhatCannotBeReadIsTriedAgain) {
  fill(10, 5);
  std::string path = last_segment();
  std::filesystem::rename(path, folder + "/aside");
  std::optional<Result<EventPage, EventsGone>> result;
  log->read(1, 1 << 20, [&](auto page) { result.emplace(std::move(page)); });
  Instant back = loop->now() + Duration::milliseconds(300);
  while (loop->now() < back) loop->turn(back);
  EXPECT_FALSE(result);
  std::filesystem::rename(folder + "/aside", path);
  while (!result) loop->turn(Instant::never());
  ASSERT_TRUE(*result);
  EXPECT_EQ((*result)->entries.size(), 10u);

  std::filesystem::remove(path);
  result.reset();
  log->read(1, 1 << 20, [&](auto page) { result.emplace(std::move(page)); });
  log->close([](bool) {});
  while (!result) loop->turn(Instant::never());
  ASSERT_TRUE(*result);
  EXPECT_NE((*result)->problem.find("cannot be read"), std::string::npos);
  EXPECT_EQ((*result)->next, 11u);
}

// So that what is in it can grow old, and be gone by the time that `keep` promises.
TEST_F(EventLogTest, ASegmentIsWrittenToForAPartOfItsRetention) {
  options.keep = Duration::milliseconds(320);
  open();
  fill(5, 5);
  std::string before = last_segment();
  Instant later = loop->now() + Duration::milliseconds(40);
  while (loop->now() < later) loop->turn(later);
  fill(5, 5);
  EXPECT_NE(last_segment(), before);
}

TEST_F(EventLogTest, RetentionTellsWhatWasMissed) {
  options.segment_bytes = 300;
  options.keep_bytes = 1'000;
  open();
  fill(200, 5);
  ASSERT_GT(log->oldest(), 1u);
  EXPECT_LE(log->bytes(), 1'000u + 700u);
  auto gone = read(1);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().oldest, log->oldest());
  EXPECT_EQ(gone.error().missed, log->oldest() - 1);
  EXPECT_EQ(read_all(log->oldest(), 1 << 20).size(), 201 - log->oldest());
}

}  // namespace
}  // namespace postring::spool
