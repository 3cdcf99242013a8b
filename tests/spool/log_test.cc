#include "spool/log.h"

#include "full_disk.h"
#include "io/file.h"
#include "rig.h"
#include "spool/segment.h"

namespace postring::spool {
namespace {

TEST(Log, AppendsSyncsAndReadsAgain) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  EXPECT_TRUE(rig.found.empty());
  Position first = rig.append("first");
  Position second = rig.append("second");
  EXPECT_LT(first, second);
  EXPECT_FALSE(rig.log().is_durable(second));
  // Staged: readable before it is written.
  EXPECT_EQ(rig.log().read(second)->payload, "second");
  EXPECT_TRUE(rig.sync());
  EXPECT_TRUE(rig.log().is_durable(second));
  EXPECT_EQ(rig.log().read(first)->payload, "first");
  EXPECT_EQ(rig.log().read(first)->type, RecordType::entry);
  EXPECT_FALSE(rig.log().read({first.segment, first.offset + 8}));
  EXPECT_FALSE(rig.log().read({99, 64}));
  EXPECT_TRUE(rig.log().is_warm(first));
  EXPECT_TRUE(rig.close());

  ASSERT_EQ(rig.open(), "");
  ASSERT_EQ(rig.found.size(), 2u);
  EXPECT_EQ(rig.found[0], (Found{RecordType::entry, "first", first}));
  EXPECT_EQ(rig.found[1], (Found{RecordType::entry, "second", second}));
  EXPECT_TRUE(rig.log().recovery().damage.empty());
  EXPECT_EQ(rig.log().recovery().torn_bytes, 0u);
  EXPECT_EQ(rig.log().read(first)->payload, "first");
}

TEST(Log, OneSyncAnswersAllWhoAskedBefore) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  std::vector<int> answers;
  for (int i = 0; i < 100; ++i) {
    rig.append("record " + std::to_string(i));
    rig.log().sync_soon([&answers, i](bool ok) {
      EXPECT_TRUE(ok);
      answers.push_back(i);
    });
  }
  EXPECT_TRUE(answers.empty());
  turn_until(rig.loop(), [&] { return answers.size() == 100; });
  EXPECT_TRUE(std::is_sorted(answers.begin(), answers.end()));
  // One write, one sync: padded once.
  auto info = rig.log().oldest();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->bytes % kSyncAlignment, 0u);
  EXPECT_EQ(info->records, 102u);
}

// A power cut in a later write could take with it what shares a sector with it.
TEST(Log, WhatWasAcknowledgedSharesNoSectorWithWhatComesLater) {
  TempFolder folder;
  LogOptions options = small_options();
  options.segment_bytes = 4 << 20;
  LogRig rig(folder.path() + "/slice", options);
  ASSERT_EQ(rig.open(), "");
  rig.append("first");
  Position acknowledged;
  size_t asked = 0, answered = 0;
  for (int step = 0; step < 4'000; ++step) {
    std::string payload(1 + static_cast<size_t>(step * 37 % 300), 'x');
    auto position = rig.log().append(RecordType::entry, payload, Room::submission);
    ASSERT_TRUE(position.has_value());
    if (position->segment == acknowledged.segment) {
      ASSERT_GE(position->offset / kSyncAlignment, acknowledged.offset / kSyncAlignment + 1);
    }
    if (step % 3 == 0) {
      Position last{position->segment,
                    position->offset + static_cast<uint32_t>(record_size(payload.size())) - 1};
      ++asked;
      rig.log().sync_soon([&, last](bool ok) {
        EXPECT_TRUE(ok);
        ++answered;
        acknowledged = last;
      });
    }
    if (step % 2 == 0) rig.loop().turn(Instant{});
  }
  turn_until(rig.loop(), [&] { return asked == answered; });
}

TEST(Log, RollsOverWithoutLosingOrder) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  std::vector<Position> positions;
  for (int i = 0; i < 2'000; ++i) {
    positions.push_back(rig.append(std::to_string(i) + std::string(300, 'x')));
    if (i % 97 == 0) {
      EXPECT_TRUE(rig.sync());
    }
  }
  EXPECT_GT(rig.log().segment_count(), 9u);
  for (int i = 0; i < 2'000; ++i) {
    auto record = rig.log().read(positions[static_cast<size_t>(i)]);
    ASSERT_TRUE(record);
    EXPECT_EQ(record->payload, std::to_string(i) + std::string(300, 'x'));
  }
  EXPECT_TRUE(rig.close());
  ASSERT_EQ(rig.open(), "");
  ASSERT_EQ(rig.found.size(), 2'000u);
  for (size_t i = 0; i < 2'000; ++i) {
    EXPECT_EQ(rig.found[i].payload, std::to_string(i) + std::string(300, 'x'));
    EXPECT_EQ(rig.found[i].position, positions[i]);
  }
  EXPECT_TRUE(rig.log().recovery().damage.empty());
}

TEST(Log, RefusesWhatDoesNotFit) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  auto large = rig.log().append(RecordType::entry, std::string(70'000, 'x'), Room::submission);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error(), AppendError::too_large);
  rig.append(std::string(60'000, 'y'));
  rig.append(std::string(60'000, 'z'));
  EXPECT_TRUE(rig.sync());
  EXPECT_EQ(rig.log().segment_count(), 2u);
}

TEST(Log, SaysWhenThereIsRoom) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  auto early = rig.log().append(RecordType::entry, "x", Room::submission);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error(), AppendError::no_room_yet);
  bool told = false;
  rig.log().when_room([&told] { told = true; });
  turn_until(rig.loop(), [&] { return told; });
}

TEST(Log, ReadsColdRecordsThroughTheRing) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  std::vector<Position> positions;
  std::vector<std::string> payloads;
  for (int i = 0; i < 700; ++i) {
    payloads.push_back(std::to_string(i) + std::string(static_cast<size_t>(i % 50) * 200, 'x'));
    positions.push_back(rig.append(payloads.back()));
  }
  EXPECT_TRUE(rig.sync());
  size_t answered = 0;
  // More at a time than there are places.
  for (size_t i = 0; i < 700; ++i) {
    rig.log().read_async(positions[i], [&, i](std::optional<RecordView> record) {
      ASSERT_TRUE(record);
      EXPECT_EQ(record->payload, payloads[i]);
      EXPECT_EQ(record->position, positions[i]);
      ++answered;
    });
  }
  rig.log().read_async({77, 64}, [&](std::optional<RecordView> record) {
    EXPECT_FALSE(record);
    ++answered;
  });
  turn_until(rig.loop(), [&] { return answered == 701; });
}

// A record that cannot be read now is not a damaged one.
TEST(Log, ReadsAgainWhatTheDiskRefused) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  Position position = rig.append("what was recovered");
  ASSERT_TRUE(rig.close());
  ASSERT_EQ(rig.open(), "");
  std::string path = rig.folder() + "/" + segment_name(position.segment);
  ASSERT_TRUE(rename_file(path, path + ".away"));
  EXPECT_FALSE(rig.log().is_warm(position));
  std::optional<std::string> read;
  auto ask = [&] {
    read.reset();
    rig.log().read_async(position, [&](std::optional<RecordView> record) {
      read = record ? std::string(record->payload) : "nothing";
    });
  };
  ask();
  Instant soon = rig.loop().now() + kColdReadRetry + kColdReadRetry;
  turn_until(rig.loop(), [&] { return rig.loop().now() > soon; });
  EXPECT_FALSE(read);
  ASSERT_TRUE(rename_file(path + ".away", path));
  turn_until(rig.loop(), [&] { return read.has_value(); });
  EXPECT_EQ(*read, "what was recovered");
  EXPECT_TRUE(rig.log().is_warm(position));
}

TEST(Log, ScansSegmentsAndUnlinksThem) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  for (int i = 0; i < 500; ++i) rig.append(std::to_string(i) + std::string(500, 'x'));
  EXPECT_TRUE(rig.sync());
  int next = 0;
  while (rig.log().segment_count() > 1) {
    uint32_t sequence = rig.log().oldest()->sequence;
    std::string path = rig.folder() + "/" + segment_name(sequence);
    EXPECT_TRUE(file_exists(path));
    bool done = false;
    rig.log().for_each_record(
        sequence,
        [&](const RecordView& record) {
          EXPECT_EQ(record.payload, std::to_string(next) + std::string(500, 'x'));
          ++next;
        },
        [&](bool ok) {
          EXPECT_TRUE(ok);
          done = true;
        });
    turn_until(rig.loop(), [&] { return done; });
    Position copy = rig.append("copy");
    EXPECT_TRUE(rig.sync());
    done = false;
    rig.log().unlink_oldest(copy, [&](bool ok) {
      EXPECT_TRUE(ok);
      done = true;
    });
    turn_until(rig.loop(), [&] { return done; });
    EXPECT_FALSE(file_exists(path));
  }
  EXPECT_TRUE(rig.close());
  ASSERT_EQ(rig.open(), "");
  EXPECT_TRUE(rig.log().recovery().damage.empty());
  EXPECT_TRUE(rig.log().roll());
  // Everything may go.
  EXPECT_TRUE(rig.sync());
  while (rig.log().segment_count() > 0) {
    bool done = false;
    rig.log().unlink_oldest({}, [&](bool) { done = true; });
    turn_until(rig.loop(), [&] { return done; });
  }
  rig.append("after");
  EXPECT_TRUE(rig.close());
  ASSERT_EQ(rig.open(), "");
  ASSERT_EQ(rig.found.size(), 1u);
  EXPECT_EQ(rig.found[0].payload, "after");
}

TEST(Log, UnlinkingWithoutDurableCopiesIsABug) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  for (int i = 0; i < 200; ++i) rig.append(std::string(500, 'x'));
  ASSERT_TRUE(rig.sync());
  Position copy = rig.append("copy");
  EXPECT_DEATH(rig.log().unlink_oldest(copy, [](bool) {}), "the copies must be durable");
}

TEST(Log, ASegmentIsSealedOnceItIsDurable) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  rig.append("x");
  EXPECT_TRUE(rig.log().roll());
  EXPECT_FALSE(rig.log().oldest()->sealed);
  EXPECT_TRUE(rig.sync());
  EXPECT_TRUE(rig.log().oldest()->sealed);
}

// Appends until the disk is full; how many records went in.
size_t fill(LogRig& rig, Room room) {
  for (size_t count = 0;;) {
    auto position = rig.log().append(RecordType::entry, std::string(1'000, 'x'), room);
    if (position) {
      ++count;
      continue;
    }
    if (position.error() != AppendError::no_room_yet) {
      EXPECT_EQ(position.error(), AppendError::disk_full);
      return count;
    }
    rig.loop().turn(rig.loop().now() + Duration::milliseconds(5));
  }
}

TEST(Log, OnAFullDiskSubmissionStopsFirstAndReclaimLast) {
  TempFolder folder;
  LogOptions options = small_options();
  options.reserve_segments = 3;
  LogRig rig(folder.path() + "/slice", options);
  ASSERT_EQ(rig.open(), "");
  rig.append("first");
  EXPECT_FALSE(rig.log().disk_full());
  {
    FullDisk disk(kSegmentBytesMin);
    fill(rig, Room::submission);
    EXPECT_TRUE(rig.log().disk_full());
    // Two segments for outcomes, one more for reclaim.
    size_t outcomes = fill(rig, Room::outcome);
    EXPECT_GE(outcomes, 100u);
    EXPECT_LE(outcomes, 200u);
    size_t reclaimed = fill(rig, Room::reclaim);
    EXPECT_GE(reclaimed, 55u);
    EXPECT_LE(reclaimed, 65u);
    EXPECT_TRUE(rig.sync());
  }
  // Space again: all go on by themselves.
  turn_until(rig.loop(), [&] { return rig.log().check_room(8, Room::submission).has_value(); });
  rig.append("after");
  EXPECT_TRUE(rig.sync());
  EXPECT_TRUE(rig.close());
  ASSERT_EQ(rig.open(), "");
  EXPECT_EQ(rig.found.front().payload, "first");
  EXPECT_EQ(rig.found.back().payload, "after");
}

// How many files of a segment's size are set aside.
size_t set_aside(const LogRig& rig) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(rig.folder())) {
    std::string name = entry.path().filename().string();
    // It may be gone meanwhile.
    std::error_code gone;
    if (name.starts_with("reserve-") && entry.file_size(gone) == kSegmentBytesMin) ++count;
  }
  return count;
}

TEST(Log, SetsSpaceAsideForOutcomes) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  rig.append("x");
  rig.log().reserve_for_outcomes(5 * kSegmentBytesMin);
  auto refused = rig.log().append(RecordType::entry, "x", Room::submission);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), AppendError::no_room_yet);
  EXPECT_TRUE(rig.log().append(RecordType::entry, "x", Room::outcome));
  // One more than asked for, so that the next call finds it there.
  turn_until(rig.loop(), [&] { return set_aside(rig) >= 6; });
  rig.append("y");
  // It is there after a restart, whoever has filled the disk meanwhile.
  EXPECT_TRUE(rig.close());
  {
    FullDisk disk(kSegmentBytesMin);
    ASSERT_EQ(rig.open(), "");
    EXPECT_GE(set_aside(rig), 6u);
    rig.append("z", RecordType::entry, Room::outcome);
    rig.log().reserve_for_outcomes(5 * kSegmentBytesMin);
    EXPECT_TRUE(rig.log().check_room(8, Room::submission).has_value());
  }
  rig.log().reserve_for_outcomes(0);
  turn_until(rig.loop(), [&] { return set_aside(rig) <= 2; });
}

TEST(Log, OnAFullDiskAnUnlinkedSegmentIsSetAside) {
  TempFolder folder;
  LogRig rig(folder.path() + "/slice");
  ASSERT_EQ(rig.open(), "");
  rig.append("x");
  turn_until(rig.loop(), [&] { return rig.log().bytes_on_disk() >= 3 * kSegmentBytesMin; });
  EXPECT_EQ(rig.log().room_left(Room::outcome), UINT64_MAX);
  std::string path = rig.folder() + "/" + segment_name(1);
  {
    FullDisk disk(kSegmentBytesMin);
    fill(rig, Room::reclaim);
    EXPECT_TRUE(rig.sync());
    EXPECT_LT(rig.log().room_left(Room::outcome), 2'000u);
    EXPECT_LT(rig.log().room_left(Room::reclaim), 2'000u);
    bool done = false;
    rig.log().unlink_oldest({}, [&](bool ok) { done = ok; });
    turn_until(rig.loop(), [&] { return done; });
    EXPECT_FALSE(file_exists(path));
    EXPECT_EQ(set_aside(rig), 1u);
    // The last is reclaim's.
    EXPECT_LT(rig.log().room_left(Room::outcome), 2'000u);
  }
  turn_until(rig.loop(), [&] { return rig.log().room_left(Room::outcome) == UINT64_MAX; });
  // It has become a segment, and nothing of what it was is found in it.
  for (int i = 0; i < 200; ++i) rig.append("y");
  EXPECT_TRUE(rig.close());
  ASSERT_EQ(rig.open(), "");
  EXPECT_TRUE(rig.log().recovery().damage.empty());
  EXPECT_EQ(rig.found.back().payload, "y");
}

TEST(Log, ASegmentTakesRecordsForALimitedTime) {
  TempFolder folder;
  LogOptions options = small_options();
  options.segment_age_max = Duration::microseconds(1);
  LogRig rig(folder.path() + "/slice", options);
  ASSERT_EQ(rig.open(), "");
  rig.append("x");
  turn_until(rig.loop(), [&] {
    return rig.log().bytes_on_disk() >= 3 * kSegmentBytesMin &&
           rig.loop().wall_now() > rig.log().oldest()->opened + Duration::microseconds(1);
  });
  EXPECT_EQ(rig.append("y").segment, 2u);
}

TEST(Log, AFailedWritePoisons) {
  TempFolder folder;
  LogOptions options = small_options();
  options.segment_bytes = 4 * kSegmentBytesMin;
  LogRig rig(folder.path() + "/slice", options);
  ASSERT_EQ(rig.open(), "");
  rig.append("first");
  EXPECT_TRUE(rig.sync());
  {
    FullDisk disk(kSegmentBytesMin);
    for (int i = 0; i < 100; ++i) rig.append(std::string(1'000, 'x'));
    EXPECT_FALSE(rig.sync());
    EXPECT_TRUE(rig.log().poisoned());
    auto refused = rig.log().append(RecordType::entry, "x", Room::reclaim);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), AppendError::poisoned);
    EXPECT_FALSE(rig.sync());
  }
  EXPECT_FALSE(rig.sync()) << "what failed once is not believed later";
  EXPECT_FALSE(rig.close());
  ASSERT_EQ(rig.open(), "");
  EXPECT_EQ(rig.found.front().payload, "first");
  rig.append("after");
  EXPECT_TRUE(rig.sync());
}

}  // namespace
}  // namespace postring::spool
