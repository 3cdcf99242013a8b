#include "engine/mesh.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "io/loop.h"

namespace postring::engine {
namespace {

std::unique_ptr<Loop> make_loop() {
  auto ring = Ring::create();
  CHECK(ring.has_value(), ring.has_value() ? "" : ring.error().message);
  return std::make_unique<Loop>(std::move(*ring), 1);
}

// One worker sends more than its mailbox holds; the other answers each; order stays.
TEST(Mesh, CarriesJobsBothWaysInOrder) {
  Mesh mesh(2);
  constexpr size_t kJobs = 3 * kMailboxJobs;
  std::vector<size_t> there, back;
  bool ended = false;
  std::unique_ptr<Loop> loops[2];

  std::thread other;
  loops[0] = make_loop();
  mesh.join(0, *loops[0]);
  std::atomic<bool> joined = false;
  other = std::thread([&] {
    loops[1] = make_loop();
    mesh.join(1, *loops[1]);
    joined = true;
    while (!ended) loops[1]->turn(Instant::never());
    loops[1].reset();
  });
  while (!joined) std::this_thread::yield();
  for (size_t i = 0; i < kJobs; ++i) {
    mesh.post(0, 1, [&, i] {
      there.push_back(i);
      mesh.post(1, 0, [&, i] { back.push_back(i); });
    });
  }
  while (back.size() < kJobs) loops[0]->turn(Instant::never());
  mesh.post(0, 1, [&] { ended = true; });
  loops[0]->turn(Instant{});
  loops[0]->turn(Instant{});
  other.join();
  EXPECT_EQ(mesh.backlog(0), 0u);
  for (size_t i = 0; i < kJobs; ++i) {
    ASSERT_EQ(there[i], i);
    ASSERT_EQ(back[i], i);
  }
}

TEST(Mesh, PostingToOneselfRunsInALaterTurn) {
  Mesh mesh(1);
  auto loop = make_loop();
  mesh.join(0, *loop);
  int ran = 0;
  mesh.post(0, 0, [&] { ++ran; });
  EXPECT_EQ(ran, 0);
  loop->turn(Instant{});
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace postring::engine
