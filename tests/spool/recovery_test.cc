// What a log finds after a crash, and how it tells a torn tail from damage.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>

#include "base/random.h"
#include "io/file.h"
#include "rig.h"
#include "spool/segment.h"

namespace postring::spool {
namespace {

namespace fs = std::filesystem;

std::string read_file(const std::string& path) {
  auto bytes = read_whole_file(path, 64 << 20);
  EXPECT_TRUE(bytes);
  return bytes.value_or("");
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

void copy_folder(const std::string& from, const std::string& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

std::string path_of(const LogRig& rig, uint32_t sequence) {
  return rig.folder() + "/" + segment_name(sequence);
}

TEST(Recovery, ATornTailAtEveryByte) {
  TempFolder folder;
  std::string master = folder.path() + "/master";
  std::vector<Position> positions;
  {
    LogRig rig(master);
    ASSERT_EQ(rig.open(), "");
    for (int i = 0; i < 8; ++i) positions.push_back(rig.append("record " + std::to_string(i)));
    ASSERT_TRUE(rig.close());
  }
  std::string whole = read_file(master + "/" + segment_name(1));
  for (uint32_t cut = kSegmentHeaderSize; cut <= positions.back().offset + 24; cut += 3) {
    for (bool zeros : {false, true}) {
      std::string slice = folder.path() + "/slice";
      copy_folder(master, slice);
      std::string torn = whole.substr(0, cut);
      if (zeros) torn.resize(whole.size());
      write_file(slice + "/" + segment_name(1), torn);
      LogRig rig(slice);
      ASSERT_EQ(rig.open(), "");
      size_t kept = 0;
      while (kept < positions.size() && positions[kept].offset + 24 <= cut) ++kept;
      // The last bytes of a record may be its padding, which is zero anyway.
      ASSERT_GE(rig.found.size(), kept) << cut;
      ASSERT_LE(rig.found.size(), kept + 1) << cut;
      for (size_t i = 0; i < rig.found.size(); ++i) {
        EXPECT_EQ(rig.found[i].payload, "record " + std::to_string(i));
      }
      EXPECT_TRUE(rig.log().recovery().damage.empty());
      if (cut % 27 != 0) continue;
      Position more = rig.append("more");
      EXPECT_GT(more.segment, 1u) << "never behind a torn tail";
      ASSERT_TRUE(rig.close());
      size_t before = rig.found.size();
      ASSERT_EQ(rig.open(), "");
      ASSERT_EQ(rig.found.size(), before + 1);
      EXPECT_EQ(rig.found.back().payload, "more");
      EXPECT_TRUE(rig.log().recovery().damage.empty());
    }
  }
}

TEST(Recovery, ABitFlipInASealedSegmentIsDamageAndTheRestIsRead) {
  TempFolder folder;
  std::string master = folder.path() + "/master";
  std::vector<Position> positions;
  {
    LogRig rig(master);
    ASSERT_EQ(rig.open(), "");
    for (int i = 0; i < 300; ++i) {
      positions.push_back(rig.append(std::to_string(i) + std::string(400, 'x')));
    }
    ASSERT_TRUE(rig.close());
  }
  Random random(7);
  for (int round = 0; round < 40; ++round) {
    std::string slice = folder.path() + "/slice";
    copy_folder(master, slice);
    size_t hit = random.below(140);
    Position place = positions[hit];
    std::string bytes = read_file(slice + "/" + segment_name(place.segment));
    size_t at = place.offset + random.below(kRecordHeaderSize + 400);
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
    write_file(slice + "/" + segment_name(place.segment), bytes);
    LogRig rig(slice);
    ASSERT_EQ(rig.open(), "");
    EXPECT_EQ(rig.found.size(), positions.size() - 1);
    for (const Found& found : rig.found) EXPECT_NE(found.position, place);
    const auto& damage = rig.log().recovery().damage;
    ASSERT_EQ(damage.size(), 1u);
    EXPECT_EQ(damage[0].file, slice + "/" + segment_name(place.segment));
    EXPECT_EQ(damage[0].offset, place.offset);
    EXPECT_EQ(damage[0].bytes, record_size(400 + std::to_string(hit).size()));
    EXPECT_NE(damage[0].what.find("hold no valid record"), std::string::npos);
    // A scan leaves it out as well, and has nothing new to say.
    size_t scanned = 0;
    size_t expected = 0;
    for (const Found& found : rig.found) expected += found.position.segment == 1;
    int done = -1;
    ASSERT_TRUE(rig.sync());
    rig.log().for_each_record(
        1, [&](const RecordView&) { ++scanned; }, [&](bool ok) { done = ok; });
    turn_until(rig.loop(), [&] { return done >= 0; });
    EXPECT_EQ(done, 1);
    EXPECT_EQ(scanned, expected);
    EXPECT_EQ(damage.size(), 1u);
  }
}

TEST(Recovery, DamageBeforeAcknowledgedRecordsOfTheLastSegmentIsNoTornTail) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  Position first = rig.append("first");
  EXPECT_TRUE(rig.sync());
  rig.append("second");
  EXPECT_TRUE(rig.sync());
  EXPECT_TRUE(rig.close());
  std::string bytes = read_file(path_of(rig, 1));
  bytes[first.offset + 9] ^= 1;
  write_file(path_of(rig, 1), bytes);
  ASSERT_EQ(rig.open(), "");
  ASSERT_EQ(rig.log().recovery().damage.size(), 1u);
  ASSERT_EQ(rig.found.size(), 1u);
  EXPECT_EQ(rig.found[0].payload, "second");
}

TEST(Recovery, WhatWasNeverAcknowledgedBehindAHoleIsLeftBehind) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  rig.append("first");
  EXPECT_TRUE(rig.sync());
  Position second = rig.append(std::string(3'000, 'a'));
  rig.append(std::string(3'000, 'b'));
  EXPECT_TRUE(rig.close());
  // As if the power had gone before the last sync: its later sectors made it, an earlier did not.
  std::string bytes = read_file(path_of(rig, 1));
  std::memset(bytes.data() + second.offset, 0, 512);
  write_file(path_of(rig, 1), bytes);
  ASSERT_EQ(rig.open(), "");
  EXPECT_TRUE(rig.log().recovery().damage.empty());
  EXPECT_GT(rig.log().recovery().torn_bytes, 5'000u);
  ASSERT_EQ(rig.found.size(), 1u);
  rig.append("third");
  EXPECT_TRUE(rig.close());
  ASSERT_EQ(rig.open(), "");
  ASSERT_EQ(rig.found.size(), 2u);
  EXPECT_EQ(rig.found[1].payload, "third");
}

TEST(Recovery, AMissingSegmentIsSaid) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  for (int i = 0; i < 400; ++i) rig.append(std::string(500, 'x'));
  EXPECT_TRUE(rig.close());
  fs::remove(path_of(rig, 2));
  ASSERT_EQ(rig.open(), "");
  ASSERT_EQ(rig.log().recovery().damage.size(), 1u);
  EXPECT_EQ(rig.log().recovery().damage[0].what, "segment 2 before it is missing");
}

TEST(Recovery, ADamagedHeaderIsSaid) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  for (int i = 0; i < 400; ++i) rig.append(std::string(500, 'x'));
  EXPECT_TRUE(rig.close());
  std::string bytes = read_file(path_of(rig, 2));
  bytes[30] ^= 1;
  write_file(path_of(rig, 2), bytes);
  ASSERT_EQ(rig.open(), "");
  ASSERT_EQ(rig.log().recovery().damage.size(), 2u);
  EXPECT_EQ(rig.log().recovery().damage[0].what, path_of(rig, 2) + " has a damaged header");
}

TEST(Recovery, AFirstRecordThatIsDamagedLeavesNoSpareWhereOthersWereAcknowledged) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  for (const char* words : {"first", "second"}) {
    rig.append(words);
    ASSERT_TRUE(rig.sync());
  }
  EXPECT_TRUE(rig.close());
  std::string bytes = read_file(path_of(rig, 1));
  bytes[kSegmentHeaderSize + 1] ^= 1;
  write_file(path_of(rig, 1), bytes);
  ASSERT_EQ(rig.open(), "");
  ASSERT_EQ(rig.log().recovery().damage.size(), 1u);
  EXPECT_EQ(rig.log().recovery().damage[0].offset, kSegmentHeaderSize);
  ASSERT_EQ(rig.found.size(), 2u);
  EXPECT_EQ(rig.append("third").segment, 2u);
}

TEST(Recovery, ANewerFormatIsRefusedByName) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  rig.append("x");
  EXPECT_TRUE(rig.close());
  std::string bytes = read_file(path_of(rig, 1));
  bytes[8] = 3;
  write_file(path_of(rig, 1), bytes);
  EXPECT_EQ(rig.open(), path_of(rig, 1) +
                            " was written by a newer postring (format 3); this one reads up to 1");
  EXPECT_EQ(read_file(path_of(rig, 1)), bytes) << "and nothing is done to it";
}

TEST(Recovery, AnotherSliceIsRefused) {
  TempFolder folder;
  LogOptions options = small_options();
  {
    LogRig rig(folder.path() + "/slice", options);
    ASSERT_EQ(rig.open(), "");
    rig.append("x");
  }
  options.slice = 4;
  LogRig rig(folder.path() + "/slice", options);
  EXPECT_NE(rig.open().find("belongs to slice 3 of spool 0000000000001234; slice 4"),
            std::string::npos);
}

TEST(Recovery, RecordsOfEverySizeAreRead) {
  TempFolder folder;
  LogOptions options = small_options();
  options.segment_bytes = 4 << 20;
  LogRig rig(folder.path() + "/slice", options);
  ASSERT_EQ(rig.open(), "");
  Random random(6);
  std::vector<std::string> written;
  for (size_t size : {kPayloadMax, 1u, 262'136u, 262'137u, 300'000u, kPayloadMax, 700'001u}) {
    for (size_t bytes : {size, size_t{random.below(5'000)}, size_t{0}}) {
      written.emplace_back(bytes, static_cast<char>('a' + written.size() % 26));
      rig.append(written.back());
    }
  }
  ASSERT_TRUE(rig.close());
  ASSERT_EQ(rig.open(), "");
  ASSERT_EQ(rig.found.size(), written.size());
  for (size_t i = 0; i < written.size(); ++i) EXPECT_TRUE(rig.found[i].payload == written[i]) << i;
}

TEST(Recovery, SparesOfAnEarlierLifeAreUsed) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  for (int life = 0; life < 5; ++life) {
    ASSERT_EQ(rig.open(), "");
    rig.append("life " + std::to_string(life));
    turn_until(rig.loop(), [&] { return rig.log().bytes_on_disk() >= 3 * kSegmentBytesMin; });
    EXPECT_TRUE(rig.close());
  }
  ASSERT_EQ(rig.open(), "");
  EXPECT_EQ(rig.found.size(), 5u);
  EXPECT_EQ(rig.log().segment_count(), 5u);
  EXPECT_EQ(rig.log().oldest()->sequence, 1u);
  EXPECT_EQ(rig.found.back().position.segment, 5u);
}

TEST(Recovery, ASpareThatIsNotCleanIsMadeAnew) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  rig.append("x");
  turn_until(rig.loop(), [&] { return rig.log().bytes_on_disk() >= 3 * kSegmentBytesMin; });
  EXPECT_TRUE(rig.close());
  std::string bytes = read_file(path_of(rig, 2));
  bytes[5'000] = 'x';
  write_file(path_of(rig, 2), bytes);
  ASSERT_EQ(rig.open(), "");
  EXPECT_TRUE(rig.log().recovery().damage.empty());
  EXPECT_EQ(rig.append("y").segment, 2u);
  EXPECT_TRUE(rig.close());
  EXPECT_EQ(read_file(path_of(rig, 2))[5'000], '\0');
}

// A log under random use, crashed at random: at each sync the acknowledged state is known; a crash
// keeps, of what was written since, any sectors in any order, as a power cut may.
class CrashRun {
 public:
  CrashRun(const std::string& root, uint64_t seed) : root_(root), random_(seed) {}

  void run(int lives) {
    for (int life = 0; life < lives && !testing::Test::HasFailure(); ++life) live();
  }

 private:
  using Files = std::map<std::string, std::string>;

  static Files snapshot(const std::string& folder) {
    Files files;
    for (const auto& entry : fs::directory_iterator(folder)) {
      // A segment in the making may get its name meanwhile.
      auto bytes = read_whole_file(entry.path().string(), 64 << 20);
      if (bytes) files[entry.path().filename().string()] = *bytes;
    }
    return files;
  }

  void live() {
    std::string slice = root_ + "/slice";
    LogRig rig(slice, small_options(), random_.next());
    ASSERT_EQ(rig.open(), "");
    ASSERT_TRUE(rig.log().recovery().damage.empty()) << rig.log().recovery().damage[0].what;
    check(rig.found);
    expected_.clear();
    for (const Found& found : rig.found) expected_.push_back(found.payload);
    acknowledged_ = expected_.size();
    // What recovery read counts as acknowledged once it is synced again.
    rig.append(next_payload());
    expected_.push_back(last_);
    ASSERT_TRUE(rig.sync());
    acknowledged_ = expected_.size();
    Files durable = snapshot(slice);
    uint64_t steps = random_.below(30);
    for (uint64_t step = 0; step < steps; ++step) {
      uint64_t appends = random_.below(20);
      for (uint64_t i = 0; i < appends; ++i) {
        rig.append(next_payload());
        expected_.push_back(last_);
      }
      if (random_.chance(1, 3)) {
        ASSERT_TRUE(rig.sync());
        acknowledged_ = expected_.size();
        durable = snapshot(slice);
      } else {
        rig.loop().turn(Instant{});
      }
    }
    Files at_crash = snapshot(slice);
    ASSERT_TRUE(rig.close());
    crash(slice, durable, at_crash);
  }

  void crash(const std::string& slice, const Files& durable, const Files& at_crash) {
    fs::remove_all(slice);
    fs::create_directories(slice);
    bool power_cut = random_.chance(1, 2);
    // Nothing is written to a segment before the one before it is durable: only the last can lose.
    std::string last_used;
    for (const auto& [name, bytes] : at_crash) {
      if (parse_segment_name(name) && bytes.size() > kSegmentHeaderSize &&
          bytes.find_first_not_of('\0', kSegmentHeaderSize) != std::string::npos) {
        last_used = name;
      }
    }
    for (const auto& [name, bytes] : at_crash) {
      auto before = durable.find(name);
      // A name is durable before the segment is used; its bytes as prepared then.
      std::string kept = bytes;
      bool known = before != durable.end() && before->second.size() == bytes.size();
      if (power_cut && name >= last_used && known) {
        for (size_t at = 0; at < bytes.size(); at += 512) {
          if (random_.chance(1, 2)) kept.replace(at, 512, before->second, at, 512);
        }
      }
      write_file(slice + "/" + name, kept);
    }
  }

  void check(const std::vector<Found>& found) {
    ASSERT_GE(found.size(), acknowledged_) << "acknowledged records are gone";
    ASSERT_LE(found.size(), expected_.size());
    for (size_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i].payload, expected_[i]);
  }

  const std::string& next_payload() {
    last_ = std::to_string(++counter_) + std::string(random_.below(2'000), 'p');
    return last_;
  }

  std::string root_;
  Random random_;
  uint64_t counter_ = 0;
  std::string last_;
  std::vector<std::string> expected_;
  size_t acknowledged_ = 0;
};

TEST(Recovery, KeepsWhatWasAcknowledgedOverRandomCrashes) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    TempFolder folder;
    CrashRun run(folder.path(), seed);
    run.run(12);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace postring::spool
