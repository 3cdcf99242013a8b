// What tests of the event log share: a log in a folder of its own, filled with numbered entries.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/loop.h"
#include "spool/event_block.h"
#include "spool/event_log.h"
#include "spool/event_segment.h"

namespace postring::spool {

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
  static uint32_t key_of(uint64_t number) {
    return static_cast<uint32_t>(number % 40) * 0x01234567;
  }
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

}  // namespace postring::spool
