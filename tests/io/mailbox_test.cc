#include "io/mailbox.h"

#include <gtest/gtest.h>

#include <thread>

namespace postring {
namespace {

TEST(Mailbox, RefusesWhatDoesNotFitAndShowsOnlyWhatIsPublished) {
  Mailbox mailbox(2);
  int ran = 0;
  Job a = [&] { ++ran; }, b = [&] { ++ran; }, c = [&] { ran += 10; };
  EXPECT_TRUE(mailbox.post(a));
  EXPECT_FALSE(mailbox.waiting());
  EXPECT_TRUE(mailbox.post(b));
  EXPECT_FALSE(mailbox.post(c));
  EXPECT_TRUE(c != nullptr);
  EXPECT_EQ(mailbox.take(10), 0u);
  EXPECT_TRUE(mailbox.publish());
  EXPECT_FALSE(mailbox.publish());
  EXPECT_EQ(mailbox.take(1), 1u);
  EXPECT_TRUE(mailbox.post(c));
  EXPECT_TRUE(mailbox.publish());
  EXPECT_EQ(mailbox.take(10), 2u);
  EXPECT_EQ(ran, 12);
}

TEST(Mailbox, KeepsOrderBetweenThreads) {
  Mailbox mailbox(64);
  constexpr size_t kJobs = 100'000;
  std::vector<size_t> seen;
  seen.reserve(kJobs);
  std::thread poster([&] {
    for (size_t i = 0; i < kJobs; ++i) {
      Job job = [&seen, i] { seen.push_back(i); };
      while (!mailbox.post(job)) {
        mailbox.publish();
        std::this_thread::yield();
      }
      if (i % 7 == 0) mailbox.publish();
    }
    mailbox.publish();
  });
  while (seen.size() < kJobs) {
    if (mailbox.take(10) == 0) std::this_thread::yield();
  }
  poster.join();
  for (size_t i = 0; i < kJobs; ++i) ASSERT_EQ(seen[i], i);
}

}  // namespace
}  // namespace postring
