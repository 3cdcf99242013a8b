#include "io/timers.h"

#include <gtest/gtest.h>

#include <memory>

#include "base/random.h"

namespace postring {
namespace {

struct Bell {
  Timer timer;
  std::vector<int>* rung = nullptr;
  int number = 0;
  void ring() { rung->push_back(number); }
};

TEST(Timers, FireInOrderOfTimeThenOfArming) {
  Timers timers;
  std::vector<int> rung;
  std::vector<std::unique_ptr<Bell>> bells;
  Random random(3);
  std::vector<std::pair<int64_t, int>> expected;
  for (int i = 0; i < 500; ++i) {
    auto bell = std::make_unique<Bell>();
    bell->rung = &rung;
    bell->number = i;
    bell->timer.bind<&Bell::ring>(bell.get());
    auto when = static_cast<int64_t>(random.below(100));
    timers.arm(bell->timer, Instant{when});
    bells.push_back(std::move(bell));
    expected.push_back({when, i});
  }
  for (int i = 0; i < 500; i += 3) timers.disarm(bells[static_cast<size_t>(i)]->timer);
  std::erase_if(expected, [](auto& entry) { return entry.second % 3 == 0; });
  std::stable_sort(expected.begin(), expected.end(),
                   [](auto& a, auto& b) { return a.first < b.first; });
  EXPECT_EQ(timers.next(), Instant{expected[0].first});
  timers.fire(Instant{1'000});
  ASSERT_EQ(rung.size(), expected.size());
  for (size_t i = 0; i < rung.size(); ++i) EXPECT_EQ(rung[i], expected[i].second);
  EXPECT_EQ(timers.next(), Instant::never());
}

TEST(Timers, MovingAndGoingDisarms) {
  Timers timers;
  std::vector<int> rung;
  Bell late;
  late.rung = &rung;
  late.timer.bind<&Bell::ring>(&late);
  timers.arm(late.timer, Instant{10});
  timers.arm(late.timer, Instant{20});
  {
    Bell gone;
    gone.rung = &rung;
    gone.timer.bind<&Bell::ring>(&gone);
    timers.arm(gone.timer, Instant{5});
  }
  timers.fire(Instant{15});
  EXPECT_TRUE(rung.empty());
  timers.fire(Instant{20});
  EXPECT_EQ(rung.size(), 1u);
}

struct Again {
  Timers* timers;
  Timer timer;
  int count = 0;
  void ring() {
    ++count;
    timers->arm(timer, Instant{0});
  }
};

TEST(Timers, RearmingForThePastWaitsForTheNextCall) {
  Timers timers;
  Again again{&timers, {}, 0};
  again.timer.bind<&Again::ring>(&again);
  timers.arm(again.timer, Instant{0});
  timers.fire(Instant{1});
  EXPECT_EQ(again.count, 1);
}

}  // namespace
}  // namespace postring
