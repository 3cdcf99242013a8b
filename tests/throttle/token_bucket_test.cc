#include "throttle/token_bucket.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace postring::throttle {
namespace {

Instant at_us(int64_t us) {
  return Instant{us};
}

TEST(TokenBucket, GivesTheBurstAtOnceAndThenTheRate) {
  TokenBucket bucket(Rate::per_second(10), 3, at_us(0));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(at_us(0)));
  EXPECT_FALSE(bucket.take(at_us(0)));
  EXPECT_EQ(bucket.when_available(at_us(0)), at_us(100'000));
  EXPECT_FALSE(bucket.take(at_us(99'999)));
  EXPECT_TRUE(bucket.take(at_us(100'000)));
}

TEST(TokenBucket, IsExactOverAYearAtAnAwkwardRate) {
  // 7 in 11 seconds: no whole number of microseconds between two.
  TokenBucket bucket({7, Duration::seconds(11)}, 1, at_us(0));
  int64_t taken = 0;
  int64_t const periods = 200'000;
  Instant now = at_us(0);
  Instant const end = at_us(periods * 11'000'000);
  while (now <= end) {
    ASSERT_TRUE(bucket.take(now));
    ++taken;
    Instant next = bucket.when_available(now);
    Instant just_before = next - Duration::microseconds(1);
    if (just_before > now) {
      ASSERT_FALSE(bucket.take(just_before));
    }
    now = next;
  }
  EXPECT_EQ(taken, periods * 7 + 1);
}

TEST(TokenBucket, NeverGivesMoreThanItsLawAllows) {
  Random random(7);
  for (int round = 0; round < 200; ++round) {
    Rate rate{static_cast<uint32_t>(random.between(1, 5'000)),
              Duration::milliseconds(random.between(1, 90'000))};
    auto burst = static_cast<uint32_t>(random.between(1, 50));
    TokenBucket bucket(rate, burst, at_us(0));
    Instant now = at_us(0);
    int64_t taken = 0;
    for (int step = 0; step < 500; ++step) {
      now = now + Duration::microseconds(random.between(0, 200'000));
      while (bucket.take(now)) {
        ++taken;
        ASSERT_LE((taken - burst) * rate.period.us, (now.us + 1) * rate.count);
      }
    }
  }
}

TEST(TokenBucket, ALongPauseGathersNoMoreThanTheBurst) {
  TokenBucket bucket(Rate::per_second(1'000'000), 5, at_us(0));
  EXPECT_TRUE(bucket.take(at_us(0), 5));
  Instant much_later = at_us(INT64_MAX / 2);
  EXPECT_TRUE(bucket.take(much_later, 5));
  EXPECT_FALSE(bucket.take(much_later));
}

TEST(TokenBucket, TimeThatGoesBackAddsNothing) {
  TokenBucket bucket(Rate::per_second(1), 1, at_us(10'000'000));
  EXPECT_TRUE(bucket.take(at_us(10'000'000)));
  EXPECT_FALSE(bucket.take(at_us(5'000'000)));
  EXPECT_FALSE(bucket.take(at_us(10'999'999)));
  EXPECT_TRUE(bucket.take(at_us(11'000'000)));
}

TEST(TokenBucket, UnlimitedNeverWaits) {
  TokenBucket bucket(Rate::unlimited(), 1, at_us(0));
  for (int i = 0; i < 1'000; ++i) EXPECT_TRUE(bucket.take(at_us(0), 100));
  EXPECT_EQ(bucket.when_available(at_us(5)), at_us(5));
}

TEST(TokenBucket, AChangeKeepsWhatHasGathered) {
  TokenBucket bucket(Rate::per_second(10), 10, at_us(0));
  EXPECT_TRUE(bucket.take(at_us(0), 6));
  bucket.change({100, Duration::minutes(1)}, 20, at_us(0));
  EXPECT_TRUE(bucket.take(at_us(0), 4));
  EXPECT_FALSE(bucket.take(at_us(0)));
  bucket.change(Rate::unlimited(), 1, at_us(0));
  EXPECT_TRUE(bucket.take(at_us(0)));
  bucket.change(Rate::per_second(5), 2, at_us(0));
  EXPECT_TRUE(bucket.take(at_us(0), 2));
  EXPECT_FALSE(bucket.take(at_us(0)));
}

}  // namespace
}  // namespace postring::throttle
