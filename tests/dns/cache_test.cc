#include "dns/cache.h"

#include <gtest/gtest.h>

namespace postring::dns {
namespace {

RecordSetPtr some_set() {
  return std::make_shared<const RecordSet>();
}

TEST(RecordCache, KeepsByNameAndType) {
  RecordCache cache(10, 1'000'000);
  cache.store("a", RecordType::a, some_set(), Instant{5});
  EXPECT_NE(cache.find("a", RecordType::a), nullptr);
  EXPECT_EQ(cache.find("a", RecordType::mx), nullptr);
  EXPECT_EQ(cache.find("b", RecordType::a), nullptr);
  EXPECT_TRUE(cache.erase("a", RecordType::a));
  EXPECT_FALSE(cache.erase("a", RecordType::a));
  EXPECT_EQ(cache.bytes(), 0u);
}

TEST(RecordCache, TheLongestUnusedGoesFirst) {
  RecordCache cache(2, 1'000'000);
  cache.store("a", RecordType::a, some_set(), Instant{5});
  cache.store("b", RecordType::a, some_set(), Instant{5});
  cache.find("a", RecordType::a);
  cache.store("c", RecordType::a, some_set(), Instant{5});
  EXPECT_EQ(cache.records(), 2u);
  EXPECT_NE(cache.find("a", RecordType::a), nullptr);
  EXPECT_EQ(cache.find("b", RecordType::a), nullptr);
}

TEST(RecordCache, BytesAreBounded) {
  RecordCache cache(1'000'000, 10'000);
  for (int i = 0; i < 1'000; ++i)
    cache.store("name" + std::to_string(i), RecordType::a, some_set(), Instant{5});
  EXPECT_LE(cache.bytes(), 10'000u);
  EXPECT_GT(cache.records(), 10u);
  cache.limit(3, 10'000);
  EXPECT_EQ(cache.records(), 3u);
}

TEST(RecordCache, AFailureKeepsTheSetAndANewSetEndsTheFailure) {
  RecordCache cache(10, 1'000'000);
  cache.store("a", RecordType::a, some_set(), Instant{5});
  size_t bytes = cache.bytes();
  cache.store_failure("a", RecordType::a, "timeout", Instant{20});
  const RecordCache::Entry* entry = cache.find("a", RecordType::a);
  ASSERT_NE(entry, nullptr);
  EXPECT_NE(entry->set, nullptr);
  EXPECT_EQ(entry->failed_until, Instant{20});
  EXPECT_EQ(cache.bytes(), bytes);
  cache.store("a", RecordType::a, some_set(), Instant{50});
  EXPECT_EQ(cache.find("a", RecordType::a)->failed_until, Instant{});
}

}  // namespace
}  // namespace postring::dns
