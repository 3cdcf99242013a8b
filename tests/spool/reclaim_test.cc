// Reclaim under crashes: what is live is copied forward, then the oldest segment goes; wherever the
// process ends, of every key the newest acknowledged value is still there.
#include <map>

#include "base/random.h"
#include "rig.h"
#include "spool/records.h"

namespace postring::spool {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kKeys = 40;

class ReclaimRun {
 public:
  ReclaimRun(std::string root, uint64_t seed) : root_(std::move(root)), random_(seed) {}

  void run(int lives) {
    for (int life = 0; life < lives && !testing::Test::HasFailure(); ++life) live();
  }
  uint64_t reclaimed() const { return reclaimed_; }

 private:
  struct Value {
    uint64_t number = 0;
    Position position;
  };

  void live() {
    LogRig rig(root_ + "/slice", small_options(), random_.next());
    ASSERT_EQ(rig.open(), "");
    ASSERT_TRUE(rig.log().recovery().damage.empty());
    recover(rig);
    rig_ = &rig;
    ASSERT_TRUE(rig.sync());
    acknowledge();
    crashed_ = false;
    crash_in_ = 1 + random_.below(400);
    while (!crashed_ && !testing::Test::HasFailure()) {
      write(random_.below(kKeys));
      if (random_.chance(1, 10)) {
        ASSERT_TRUE(rig.sync());
        acknowledge();
      }
      step();
      if (rig.log().segment_count() > 3) reclaim();
    }
    ASSERT_TRUE(rig.close());
    fs::remove_all(root_ + "/slice");
    fs::rename(root_ + "/crashed", root_ + "/slice");
  }

  void recover(LogRig& rig) {
    values_.clear();
    for (const Found& found : rig.found) {
      Entry entry;
      ASSERT_TRUE(decode(found.payload, entry));
      values_[std::stoull(std::string(entry.key))] = {
          std::stoull(std::string(entry.value.substr(0, entry.value.find(' ')))), found.position};
    }
    for (const auto& [key, number] : acknowledged_) {
      ASSERT_GE(values_[key].number, number) << "key " << key;
    }
  }

  // The process may end before and after everything that is done.
  void step() {
    if (crashed_ || --crash_in_ > 0) return;
    crashed_ = true;
    // The names may change meanwhile: a segment in the making.
    std::error_code error;
    do {
      fs::remove_all(root_ + "/crashed");
      error.clear();
      fs::copy(rig_->folder(), root_ + "/crashed", fs::copy_options::recursive, error);
    } while (error);
  }

  void acknowledge() {
    if (crashed_) return;
    for (const auto& [key, value] : values_) acknowledged_[key] = value.number;
  }

  void write(uint64_t key) {
    Value& value = values_[key];
    value.number = ++counter_;
    put(key, value);
  }

  void put(uint64_t key, Value& value) {
    std::string name = std::to_string(key);
    std::string text = std::to_string(value.number) + " " + std::string(random_.below(3'000), 'v');
    std::string payload;
    encode(Entry{name, text}, payload);
    value.position = rig_->append(payload, RecordType::entry, Room::reclaim);
  }

  void reclaim() {
    Log& log = rig_->log();
    auto oldest = log.oldest();
    if (!oldest->sealed) return;
    std::vector<uint64_t> live;
    int done = -1;
    log.for_each_record(
        oldest->sequence,
        [&](const RecordView& record) {
          Entry entry;
          ASSERT_TRUE(decode(record.payload, entry));
          uint64_t key = std::stoull(std::string(entry.key));
          if (values_[key].position == record.position) live.push_back(key);
        },
        [&](bool ok) { done = ok; });
    turn_until(rig_->loop(), [&] { return done >= 0; });
    ASSERT_EQ(done, 1);
    step();
    Position copies_end;
    for (uint64_t key : live) {
      put(key, values_[key]);
      copies_end = values_[key].position;
      step();
    }
    ASSERT_TRUE(rig_->sync());
    acknowledge();
    step();
    done = -1;
    log.unlink_oldest(copies_end, [&](bool ok) { done = ok; });
    step();
    turn_until(rig_->loop(), [&] { return done >= 0; });
    ASSERT_EQ(done, 1);
    ++reclaimed_;
    step();
  }

  std::string root_;
  Random random_;
  LogRig* rig_ = nullptr;
  uint64_t counter_ = 0;
  uint64_t reclaimed_ = 0;
  uint64_t crash_in_ = 0;
  bool crashed_ = false;
  std::map<uint64_t, Value> values_;
  std::map<uint64_t, uint64_t> acknowledged_;
};

TEST(Reclaim, KeepsTheNewestOfEveryKeyOverCrashes) {
  uint64_t reclaimed = 0;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    TempFolder folder;
    ReclaimRun run(folder.path(), seed);
    run.run(8);
    if (HasFailure()) return;
    reclaimed += run.reclaimed();
  }
  EXPECT_GT(reclaimed, 20u);
}

}  // namespace
}  // namespace postring::spool
