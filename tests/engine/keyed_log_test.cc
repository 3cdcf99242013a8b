#include "engine/keyed_log.h"

#include <gtest/gtest.h>

#include <fstream>

#include "io/file.h"
#include "full_disk.h"
#include "rig_base.h"

namespace postring::engine {
namespace {

class KeyedLogTest : public testing::Test {
 protected:
  KeyedLogTest() {
    auto log = KeyedLog::open(*loop_, folder_.path() + "/log",
                              {.segment_bytes = spool::kSegmentBytesMin}, [](auto, auto) {});
    if (!log) std::abort();
    log_ = std::move(*log);
    log_->when_failed([this] { ++told_; });
  }
  ~KeyedLogTest() override {
    bool closed = false;
    log_->close([&](bool) { closed = true; });
    turn_until([&] { return closed; });
  }
  void turn_until(const std::function<bool()>& condition) {
    Instant give_up = loop_->now() + Duration::seconds(30);
    while (!condition()) {
      ASSERT_LT(loop_->now(), give_up) << "the condition was never met";
      loop_->turn(loop_->now() + Duration::milliseconds(2));
    }
  }
  bool sync() {
    std::optional<bool> synced;
    log_->sync([&](bool ok) { synced = ok; });
    turn_until([&] { return synced.has_value(); });
    return synced.value_or(false);
  }

  TempFolder folder_;
  std::unique_ptr<Loop> loop_ = make_loop();
  std::unique_ptr<KeyedLog> log_;
  int told_ = 0;
};

TEST_F(KeyedLogTest, AFailureIsToldAlsoWhereNobodyAskedForASync) {
  ASSERT_TRUE(log_->put("name", "value"));
  ASSERT_TRUE(sync());
  EXPECT_EQ(told_, 0);
  FullDisk nothing_can_be_written(spool::kSyncAlignment);
  ASSERT_TRUE(log_->erase("name"));
  turn_until([&] { return told_ > 0; });
  EXPECT_TRUE(log_->failed());
  EXPECT_FALSE(log_->put("name", "value"));
  EXPECT_FALSE(sync());
  EXPECT_EQ(told_, 1);
}

// What it can no longer read it does not reclaim as if it were not there.
TEST_F(KeyedLogTest, ADamagedValueStaysUntilAStartNamesIt) {
  ASSERT_TRUE(log_->put("kept", "the only one of its name"));
  std::string value(10'000, 'v');
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(log_->put("other", value + std::to_string(i)));
    ASSERT_TRUE(sync());
  }
  std::string first = folder_.path() + "/log/0000000001.seg";
  std::string bytes = read_whole_file(first, spool::kSegmentBytesMin).value();
  size_t at = bytes.find("the only one");
  ASSERT_NE(at, std::string::npos);
  std::fstream file(first, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(at));
  file.put('T');
  file.close();
  Instant looked = loop_->now() + Duration::seconds(7);
  turn_until([&] { return loop_->now() > looked; });
  ASSERT_TRUE(file_exists(first));
  auto again = KeyedLog::open(*loop_, folder_.path() + "/log",
                              {.segment_bytes = spool::kSegmentBytesMin}, [](auto, auto) {});
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().message.find(first), std::string::npos) << again.error().message;
}

}  // namespace
}  // namespace postring::engine
