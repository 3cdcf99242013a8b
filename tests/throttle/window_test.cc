#include "throttle/window.h"

#include <gtest/gtest.h>

#include "throttle/ids.h"

namespace postring::throttle {
namespace {

TEST(Window, GrantsUpToItsLimit) {
  Window window(2);
  EXPECT_TRUE(window.take());
  EXPECT_TRUE(window.take());
  EXPECT_FALSE(window.take());
  window.give_back();
  EXPECT_TRUE(window.take());
}

TEST(Window, AShrunkLimitWaitsForWhatIsOut) {
  Window window(3);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(window.take());
  window.change(1);
  window.give_back();
  EXPECT_FALSE(window.take());
  window.give_back();
  EXPECT_FALSE(window.take());
  window.give_back();
  EXPECT_TRUE(window.take());
}

TEST(LaneId, DiffersBySourceAndSite) {
  LaneId a{0, "mx.example.com"};
  LaneId b{1, "mx.example.com"};
  EXPECT_NE(a.hash(), b.hash());
  EXPECT_EQ(a.hash(), (LaneId{0, "mx.example.com"}).hash());
}

}  // namespace
}  // namespace postring::throttle
