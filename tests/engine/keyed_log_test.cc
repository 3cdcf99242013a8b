#include "engine/keyed_log.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace postring::engine
