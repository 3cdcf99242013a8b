#include "traffic/permits.h"

#include <gtest/gtest.h>

namespace postring::traffic {
namespace {

TEST(Permits, ARatePermitIsSpentAndAConnectionPermitComesBack) {
  Settings settings;
  settings.connections = 1;
  settings.rate = throttle::Rate::per_second(2);
  settings.burst = 1;
  Instant now{};
  Permits permits(settings, now);
  EXPECT_TRUE(permits.take_connection());
  EXPECT_FALSE(permits.take_connection());
  permits.give_back_connection();
  EXPECT_TRUE(permits.take_connection());
  EXPECT_TRUE(permits.take_message(now));
  EXPECT_FALSE(permits.take_message(now));
  EXPECT_EQ(permits.message_at(now), now + Duration::milliseconds(500));
}

TEST(Permits, AReloadKeepsWhatIsOut) {
  Settings settings;
  settings.connections = 2;
  Permits permits(settings, Instant{});
  EXPECT_TRUE(permits.take_connection());
  EXPECT_TRUE(permits.take_connection());
  settings.connections = 1;
  permits.change(settings, Instant{});
  permits.give_back_connection();
  EXPECT_FALSE(permits.take_connection());
  permits.give_back_connection();
  EXPECT_TRUE(permits.take_connection());
}

}  // namespace
}  // namespace postring::traffic
