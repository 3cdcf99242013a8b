// The event log on a disk that takes no more, and without descriptors. A limit of the file size
// stands for the disk: the kernel answers both alike.
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/random.h"
#include "event_rig.h"
#include "spool/event_reserve.h"

namespace postring::spool {
namespace {

constexpr rlim_t kSmall = 16'384;

class EventLogFullTest : public EventLogTest {
 protected:
  void SetUp() override {
    signal(SIGXFSZ, SIG_IGN);
    EventLogTest::SetUp();
  }
  void TearDown() override {
    fill_disk(RLIM_INFINITY);
    EventLogTest::TearDown();
  }

  void fill_disk(rlim_t bytes) {
    rlimit limit{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  void set_aside(size_t files) {
    log->reserve(files * kEventReserveStep);
    while (reserved() < files) loop->turn(Instant::never());
  }
  size_t reserved() const {
    size_t count = 0;
    std::error_code gone;  // it may be, meanwhile
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      count += EventReserve::is_reserve(entry.path().filename().string()) &&
                       entry.file_size(gone) == kEventReserveStep
                   ? 1
                   : 0;
    }
    return count;
  }
  // One of 1,000 bytes that do not compress.
  void append() {
    std::string entry;
    while (entry.size() < 1'000) entry += std::to_string(random.next());
    log->append(entry, 1);
    entries.push_back(std::move(entry));
  }
  std::optional<bool>& ask() {
    answer.reset();
    log->sync_soon([this](bool ok) { answer = ok; });
    return answer;
  }
  void expect_all() {
    uint64_t from = 1;
    while (from < log->end()) {
      auto page = read(from);
      ASSERT_TRUE(page);
      ASSERT_EQ(page->problem, "");
      ASSERT_EQ(page->first, from);
      for (std::string_view entry : page->entries) ASSERT_EQ(entry, entries.at(from++ - 1));
      ASSERT_EQ(page->next, from);
    }
    EXPECT_EQ(from, entries.size() + 1);
  }

  Random random{7};
  std::vector<std::string> entries;
  std::optional<bool> answer;
};

TEST_F(EventLogFullTest, GoesOnInWhatWasSetAside) {
  set_aside(3);
  fill_disk(kSmall);
  for (int i = 0; i < 100; ++i) {
    append();
    ASSERT_TRUE(sync()) << i;
  }
  EXPECT_LT(reserved(), 3u);
  EXPECT_FALSE(log->disk_full());
  expect_all();
  fill_disk(RLIM_INFINITY);
  open();
  EXPECT_EQ(log->end(), entries.size() + 1);
  expect_all();
  append();
  ASSERT_TRUE(sync());
  expect_all();
}

TEST_F(EventLogFullTest, WaitsForRoomWhenNothingIsLeft) {
  fill_disk(kSmall);
  while (!log->disk_full()) {
    append();
    if (answer.value_or(true)) ask();
    loop->turn(loop->now() + Duration::milliseconds(1));
  }
  EXPECT_FALSE(answer);
  EXPECT_FALSE(log->poisoned());
  append();
  fill_disk(RLIM_INFINITY);
  while (!answer) loop->turn(Instant::never());
  EXPECT_TRUE(*answer);
  ASSERT_TRUE(sync());
  EXPECT_FALSE(log->disk_full());
  expect_all();
}

TEST_F(EventLogFullTest, GivesUpAtTheStop) {
  append();
  ASSERT_TRUE(sync());
  fill_disk(kSmall);
  for (int i = 0; i < 40; ++i) append();
  ask();
  while (!log->disk_full()) loop->turn(Instant::never());
  EXPECT_FALSE(answer);
  log->give_up_waiting();
  while (!answer) loop->turn(Instant::never());
  EXPECT_FALSE(*answer);
  fill_disk(RLIM_INFINITY);
  open();
  // What was told to be durable is there, and nothing of what was given up.
  EXPECT_EQ(log->end(), 2u);
  entries.resize(1);
  expect_all();
}

TEST_F(EventLogFullTest, WaitsForADescriptor) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  int lowest = dup(0);
  close(lowest);
  rlimit none = limit;
  none.rlim_cur = static_cast<rlim_t>(lowest);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  append();
  ask();
  Instant until = loop->now() + Duration::milliseconds(50);
  while (loop->now() < until) loop->turn(until);
  EXPECT_FALSE(answer);
  EXPECT_FALSE(log->poisoned());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  while (!answer) loop->turn(Instant::never());
  EXPECT_TRUE(*answer);
  expect_all();
}

TEST_F(EventLogFullTest, WhatWasSetAsideIsKeptOverARestartAndGivenBack) {
  set_aside(3);
  open();
  log->reserve(3 * kEventReserveStep);
  EXPECT_EQ(reserved(), 3u);
  log->reserve(0);
  // One more than asked for is kept.
  while (reserved() > 1) loop->turn(Instant::never());
}

}  // namespace
}  // namespace postring::spool
