#include "spool/event_log.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/check.h"
#include "io/loop.h"
#include "spool/event_block.h"
#include "spool/event_segment.h"

namespace postring::spool {
namespace {

class EventLogTest : public testing::Test {
 protected:
  void SetUp() override {
    char folder_name[] = "/tmp/postring-events-XXXXXX";
    ASSERT_NE(mkdtemp(folder_name), nullptr);
    folder = folder_name;
    auto ring = Ring::create();
    ASSERT_TRUE(ring) << ring.error().message;
    loop = std::make_unique<Loop>(std::move(*ring), 1);
    open();
  }
  void TearDown() override {
    log.reset();
    loop.reset();
    std::filesystem::remove_all(folder);
  }

  void open() {
    log.reset();
    auto opened = EventLog::open(*loop, folder, options);
    ASSERT_TRUE(opened) << opened.error().message;
    log = std::move(*opened);
  }
  bool sync() {
    std::optional<bool> result;
    log->sync_soon([&](bool ok) { result = ok; });
    while (!result) loop->turn(Instant::never());
    return *result;
  }
  Result<EventPage, EventsGone> read(uint64_t from, uint64_t bytes = 1 << 20) {
    std::optional<Result<EventPage, EventsGone>> result;
    log->read(from, bytes, [&](auto page) { result.emplace(std::move(page)); });
    while (!result) loop->turn(Instant::never());
    return std::move(*result);
  }
  // Shared by every 40th entry.
  static uint32_t key_of(uint64_t number) { return static_cast<uint32_t>(number % 40) * 0x01234567; }
  Result<EventPage, EventsGone> find(uint32_t key, uint64_t from, uint64_t bytes = 1 << 20) {
    std::optional<Result<EventPage, EventsGone>> result;
    log->find(key, from, bytes, [&](auto page) { result.emplace(std::move(page)); });
    while (!result) loop->turn(Instant::never());
    return std::move(*result);
  }
  std::vector<std::string> find_all(uint32_t key, uint64_t from, uint64_t bytes) {
    std::vector<std::string> entries;
    while (from < log->end()) {
      auto page = find(key, from, bytes);
      EXPECT_TRUE(page);
      EXPECT_GT(page->next, from);
      for (std::string_view entry : page->entries) entries.emplace_back(entry);
      from = page->next;
    }
    return entries;
  }
  void flip(const std::string& path, std::streamoff at) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(at);
    int byte = file.get();
    file.seekp(at);
    file.put(static_cast<char>(byte ^ 0x10));
  }
  // All entries from `from` on, page by page.
  std::vector<std::string> read_all(uint64_t from, uint64_t bytes) {
    std::vector<std::string> entries;
    while (from < log->end()) {
      auto page = read(from, bytes);
      EXPECT_TRUE(page);
      EXPECT_EQ(page->first, from);
      EXPECT_GT(page->next, from);
      for (std::string_view entry : page->entries) entries.emplace_back(entry);
      from = page->next;
    }
    return entries;
  }
  void fill(size_t count, size_t per_sync) {
    for (size_t i = 0; i < count; ++i) {
      log->append("event " + std::to_string(next), key_of(next));
      ++next;
      if (i % per_sync == per_sync - 1) {
        ASSERT_TRUE(sync());
      }
    }
    ASSERT_TRUE(sync());
  }
  std::string last_segment() {
    std::string last;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      last = std::max(last, entry.path().string());
    }
    return last;
  }

  std::string folder;
  EventLogOptions options;
  std::unique_ptr<Loop> loop;
  std::unique_ptr<EventLog> log;
  size_t next = 1;
};

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

TEST_F(EventLogTest, FindsWhatWasAppendedWithAKey) {
  options.segment_bytes = 2'000;
  open();
  fill(1'000, 7);
  open();
  fill(1'000, 3);
  ASSERT_NE(last_segment(), folder + "/" + event_segment_name(1));
  for (uint64_t number : {1u, 17u, 40u}) {
    for (uint64_t bytes : {uint64_t{1}, uint64_t{100}, uint64_t{1} << 20}) {
      auto found = find_all(key_of(number), 1, bytes);
      ASSERT_EQ(found.size(), 50u);
      for (uint64_t i = 0; i < 50; ++i) {
        EXPECT_EQ(found[i], "event " + std::to_string(number + 40 * i));
      }
      EXPECT_EQ(find_all(key_of(number), number + 1, bytes).size(), 49u);
    }
  }
  EXPECT_TRUE(find_all(12'345, 1, 1 << 20).empty());
}

TEST_F(EventLogTest, ASearchSaysWhichKeysAreDamaged) {
  fill(10, 5);
  flip(last_segment(), kEventHeaderSize + kEventBlockHeaderSize + 1);
  auto page = find(key_of(7), 1);
  ASSERT_TRUE(page);
  EXPECT_NE(page->problem.find("5 events cannot be read"), std::string::npos) << page->problem;
  ASSERT_EQ(page->entries.size(), 1u);
  EXPECT_EQ(page->entries[0], "event 7");
}

// A log of format 1 is kept in golden_events/ and must be readable for ever.
TEST_F(EventLogTest, ALogOfFormat1IsReadAndSearchedAndGoesOn) {
  log.reset();
  std::filesystem::remove_all(folder);
  std::filesystem::copy(POSTRING_GOLDEN_EVENTS, folder);
  open();
  ASSERT_EQ(log->end(), 13u);
  next = 13;
  fill(30, 5);
  auto entries = read_all(1, 1 << 20);
  ASSERT_EQ(entries.size(), 42u);
  for (size_t i = 0; i < 42; ++i) EXPECT_EQ(entries[i], "event " + std::to_string(i + 1));
  // All of format 1, and what has the key.
  auto found = find_all(key_of(20), 1, 1 << 20);
  ASSERT_EQ(found.size(), 13u);
  EXPECT_EQ(found.front(), "event 1");
  EXPECT_EQ(found.back(), "event 20");
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
