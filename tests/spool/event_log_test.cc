#include "spool/event_log.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/check.h"
#include "io/loop.h"
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
      log->append("event " + std::to_string(next++));
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
  log->append("early");
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
  log->append("torn away");
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
  log->append("again");
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
  {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(80);  // in the first block
    file.put('!');
  }
  open();
  EXPECT_EQ(log->end(), 11u);
  auto page = read(1);
  ASSERT_TRUE(page);
  EXPECT_NE(page->problem.find("5 events cannot be read"), std::string::npos) << page->problem;
  EXPECT_EQ(page->first, 6u);
  ASSERT_EQ(page->entries.size(), 5u);
  EXPECT_EQ(page->entries[0], "event 6");
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
