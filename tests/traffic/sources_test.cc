#include "traffic/sources.h"

#include <gtest/gtest.h>

namespace postring::traffic {
namespace {

Instant at_s(int64_t s) {
  return Instant{s * 1'000'000};
}

TEST(Sources, AreFoundByName) {
  SourceList list({{"a", IpAddress{}, "a.example"}, {"b", IpAddress{}, "b.example"}});
  EXPECT_EQ(list.find("b"), 1);
  EXPECT_EQ(list.find("c"), std::nullopt);
  EXPECT_EQ(list[0].ehlo_name, "a.example");
}

TEST(Sources, AStoppedSourceSaysWhyAndLeavesTheOthersAlone) {
  SourceStates states(2);
  states.stop(1, "192.0.2.1 is not an address of this machine", at_s(60));
  EXPECT_TRUE(states.usable(0, at_s(0)));
  EXPECT_FALSE(states.usable(1, at_s(59)));
  EXPECT_EQ(states.reason(1, at_s(0)), "192.0.2.1 is not an address of this machine");
  EXPECT_EQ(states.usable_at(1, at_s(0)), at_s(60));
  EXPECT_TRUE(states.usable(1, at_s(60)));
  EXPECT_EQ(states.reason(1, at_s(60)), "");
  states.stop(1, "again", at_s(90));
  states.resume(1);
  EXPECT_TRUE(states.usable(1, at_s(70)));
}

}  // namespace
}  // namespace postring::traffic
