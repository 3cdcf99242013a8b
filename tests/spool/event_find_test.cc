#include <algorithm>

#include "event_rig.h"
#include "base/random.h"
#include "spool/event_index.h"
#include "spool/event_reader.h"
#include "spool/event_walk.h"

namespace postring::spool {
namespace {

namespace fs = std::filesystem;

class EventFindTest : public EventLogTest {
 protected:
  std::vector<std::string> files(std::string_view suffix) {
    std::vector<std::string> paths;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().string().ends_with(suffix)) paths.push_back(entry.path().string());
    }
    std::ranges::sort(paths);
    return paths;
  }
  // Turns until all finished segments have an index.
  void index() {
    while (files(kEventIndexSuffix).size() + 1 < files(kEventSuffix).size()) {
      loop->turn(Instant::never());
    }
  }
  void expect_found() {
    for (uint64_t number : {1u, 17u, 40u}) {
      for (uint64_t bytes : {uint64_t{1}, uint64_t{100}, uint64_t{1} << 20}) {
        auto found = find_all(key_of(number), 1, bytes);
        ASSERT_EQ(found.size(), 50u);
        for (uint64_t i = 0; i < 50; ++i) {
          EXPECT_EQ(found[i], "event " + std::to_string(number + 40 * i));
        }
        EXPECT_EQ(find_all(key_of(number), number + 1, bytes).size(), 49u);
      }
    }
    EXPECT_TRUE(find_all(12'345, 1, 1 << 20).empty());
  }
  void fill_segments() {
    options.segment_bytes = 2'000;
    open();
    fill(1'000, 7);
    open();
    fill(1'000, 3);
    ASSERT_GT(files(kEventSuffix).size(), 10u);
  }
};

TEST_F(EventFindTest, FindsWhatWasAppendedWithAKey) {
  fill_segments();
  for (const std::string& path : files(kEventIndexSuffix)) fs::remove(path);
  expect_found();
  open();
  index();
  expect_found();
}

TEST_F(EventFindTest, WithAnIndexOnlyBlocksWithTheKeyAreRead) {
  fill_segments();
  index();
  for (const std::string& path : files(kEventSuffix)) {
    // A key: who goes through the segment meets it.
    if (path != last_segment()) flip(path, kEventHeaderSize + kEventBlockHeaderSize + 1);
  }
  for (uint64_t from = 1; from < log->end();) {
    auto page = find(12'345, from);
    ASSERT_TRUE(page);
    EXPECT_EQ(page->problem, "");
    from = page->next;
  }
}

// The head of a block that an index names says other numbers: it is not believed, and going through
// the segment tells how much cannot be read.
TEST_F(EventFindTest, AnIndexedBlockIsBelievedByItsChecksum) {
  struct Case {
    uint64_t first, from, number, missed;
  };
  for (const Case& it : {Case{6, 1, 8, 95}, Case{26, 16, 28, 75}}) {
    fill(100, 5);
    std::string path = last_segment();
    open();
    fill(5, 5);
    index();
    EventWalk walk(path);
    while (walk.block_header()->first != it.first) walk.pass(*walk.block_header());
    flip(path, static_cast<std::streamoff>(walk.at()) + 16);  // 6 to 22, 26 to 10
    auto page = find(key_of(it.number), it.from);
    ASSERT_TRUE(page);
    std::string words = std::to_string(it.missed) + " events cannot be read";
    EXPECT_NE(page->problem.find(words), std::string::npos) << page->problem;
    log.reset();
    fs::remove_all(folder);
    next = 1;
    open();
  }
}

TEST_F(EventFindTest, AnIndexThatIsDamagedOrOfAnotherSegmentIsAsNone) {
  fill_segments();
  index();
  auto indexes = files(kEventIndexSuffix);
  for (size_t i = 0; i + 2 < indexes.size(); i += 3) {
    flip(indexes[i], 60);  // a page
    flip(indexes[i + 1], 25);  // the header
    fs::copy_file(indexes[0], indexes[i + 2], fs::copy_options::overwrite_existing);
  }
  expect_found();
}

TEST_F(EventFindTest, AStartMakesWhatIsMissingAndRemovesWhatHasNoSegment) {
  fill_segments();
  index();
  auto indexes = files(kEventIndexSuffix);
  fs::remove(indexes[1]);
  std::string other = folder + "/00000000000000099999.keys";
  fs::copy_file(indexes[0], other);
  std::ofstream(indexes[2] + ".new") << "half of it";
  open();
  EXPECT_FALSE(fs::exists(other));
  EXPECT_FALSE(fs::exists(indexes[2] + ".new"));
  index();
  EXPECT_EQ(files(kEventIndexSuffix), indexes);
}

TEST_F(EventFindTest, AnIndexGoesWithItsSegmentAndCountsAsItsBytes) {
  fill_segments();
  index();
  uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder)) bytes += entry.file_size();
  while (log->bytes() != bytes) loop->turn(Instant::never());  // the last one's end
  log->set_retention(options.keep, 20'000);
  EXPECT_LE(log->bytes(), 20'000u);
  EXPECT_EQ(files(kEventIndexSuffix).size() + 1, files(kEventSuffix).size());
}

TEST_F(EventFindTest, ASearchSaysWhichKeysAreDamaged) {
  fill(10, 5);
  flip(last_segment(), kEventHeaderSize + kEventBlockHeaderSize + 1);
  auto page = find(key_of(7), 1);
  ASSERT_TRUE(page);
  EXPECT_NE(page->problem.find("5 events cannot be read"), std::string::npos) << page->problem;
  ASSERT_EQ(page->entries.size(), 1u);
  EXPECT_EQ(page->entries[0], "event 7");
}

// Keys as unevenly spread as they can be: an index agrees with going through the segment.
TEST_F(EventFindTest, AnyKeysAreFoundByAnIndex) {
  Random random(7);
  for (uint32_t spread : {1u, 3u, 1'000u, 0u}) {
    std::vector<uint32_t> keys;
    for (int i = 0; i < 3'000; ++i) {
      auto key = static_cast<uint32_t>(random.next());
      keys.push_back(spread == 0 ? key : key % spread);
      log->append(std::to_string(i), keys.back());
      if (i % 50 == 49) {
        ASSERT_TRUE(sync());
      }
    }
    EventFile file{last_segment(), fs::file_size(last_segment()), log->end()};
    ASSERT_TRUE(make_event_index(file));
    keys.push_back(0);
    keys.push_back(UINT32_MAX);
    std::ranges::sort(keys);
    keys.erase(std::ranges::unique(keys).begin(), keys.end());
    for (size_t i = 0; i < keys.size(); i += 1 + keys.size() / 500) {
      uint32_t key = keys[i];
      auto with = find_events({file}, 1, log->end(), UINT64_MAX, key);
      ASSERT_TRUE(find_event_blocks(file, key));
      fs::rename(event_index_path(file.path), folder + "/aside");
      auto without = find_events({file}, 1, log->end(), UINT64_MAX, key);
      fs::rename(folder + "/aside", event_index_path(file.path));
      ASSERT_EQ(with.entries, without.entries) << key;
      ASSERT_EQ(with.next, without.next);
    }
    fs::remove(event_index_path(file.path));
    log.reset();
    fs::remove_all(folder);
    open();
  }
}

// Logs as formats 1 and 2 wrote them are kept in golden_events/ and must be readable for ever.
TEST_F(EventFindTest, ALogOfFormat1IsReadAndSearchedAndGoesOn) {
  log.reset();
  fs::remove_all(folder);
  fs::copy(POSTRING_GOLDEN_EVENTS "/1", folder);
  open();
  ASSERT_EQ(log->end(), 13u);
  next = 13;
  fill(30, 5);
  auto entries = read_all(1, 1 << 20);
  ASSERT_EQ(entries.size(), 42u);
  for (size_t i = 0; i < 42; ++i) EXPECT_EQ(entries[i], "event " + std::to_string(i + 1));
  // All of format 1, and what has the key.
  auto found = find_all(key_of(20), 1, 1 << 20);
  ASSERT_EQ(found.size(), 13u);
  EXPECT_EQ(found.front(), "event 1");
  EXPECT_EQ(found.back(), "event 20");
}

// To keep one of a new format: POSTRING_WRITE_GOLDEN=FOLDER writes it there.
TEST_F(EventFindTest, ALogOfFormat2IsReadAndSearched) {
  if (const char* written = std::getenv("POSTRING_WRITE_GOLDEN")) {
    fill(12, 5);
    open();
    fill(12, 5);
    index();
    fs::copy(folder, written);
  }
  log.reset();
  fs::remove_all(folder);
  fs::copy(POSTRING_GOLDEN_EVENTS "/2", folder);
  open();
  ASSERT_EQ(log->end(), 25u);
  auto entries = read_all(1, 1 << 20);
  ASSERT_EQ(entries.size(), 24u);
  for (size_t i = 0; i < 24; ++i) EXPECT_EQ(entries[i], "event " + std::to_string(i + 1));
  EventFile first{files(kEventSuffix)[0], fs::file_size(files(kEventSuffix)[0]), 13};
  auto blocks = find_event_blocks(first, key_of(7));
  ASSERT_TRUE(blocks);
  EXPECT_EQ(blocks->size(), 1u);
  EXPECT_EQ(find_all(key_of(7), 1, 1 << 20), std::vector<std::string>{"event 7"});
  EXPECT_EQ(find_all(key_of(20), 1, 1 << 20), std::vector<std::string>{"event 20"});
}

}  // namespace
}  // namespace postring::spool
