#include "io/ring.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>

#include "io/clock.h"
#include "io/file.h"
#include "io/socket.h"

namespace postring {
namespace {

struct Waiter {
  Completion completion;
  std::optional<int32_t> result;
  Waiter() { completion.bind<&Waiter::done>(this); }
  void done(int32_t value) { result = value; }
};

class RingTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = Ring::create();
    ASSERT_TRUE(made) << made.error().message;
    ring = std::move(*made);
  }
  int32_t wait_for(Waiter& waiter) {
    while (!waiter.result) {
      ring->wait(Instant::never());
      ring->run();
    }
    return *waiter.result;
  }
  std::unique_ptr<Ring> ring;
};

TEST_F(RingTest, CarriesBytesBothWays) {
  auto listener = listen_on(*SocketAddress::parse("127.0.0.1:0"), false);
  ASSERT_TRUE(listener);
  auto source = IpAddress::v4(127, 0, 0, 2);
  auto client = open_stream(IpAddress::Family::v4, &source);
  ASSERT_TRUE(client);
  Waiter accepted, connected;
  ring->accept(accepted.completion, *listener);
  ring->connect(connected.completion, *client, local_address(*listener));
  ASSERT_EQ(wait_for(connected), 0);
  int server = wait_for(accepted);
  ASSERT_GE(server, 0);
  EXPECT_EQ(local_address(*client).ip, source);

  std::byte buffer[16];
  Waiter received, sent;
  ring->receive(received.completion, server, buffer);
  iovec pieces[] = {{const_cast<char*>("hel"), 3}, {const_cast<char*>("lo"), 2}};
  ring->send(sent.completion, *client, pieces);
  EXPECT_EQ(wait_for(sent), 5);
  EXPECT_EQ(wait_for(received), 5);
  EXPECT_EQ(std::string_view(reinterpret_cast<char*>(buffer), 5), "hello");

  Waiter cancelled;
  ring->receive(cancelled.completion, server, buffer);
  ring->wait(Instant{});
  ring->cancel(cancelled.completion);
  EXPECT_EQ(wait_for(cancelled), -ECANCELED);
  EXPECT_EQ(ring->in_flight(), 0u);
  for (int fd : {*client, server, *listener}) close_descriptor(fd);
}

TEST_F(RingTest, WritesSyncsAndReadsFiles) {
  char folder[] = "/tmp/postring-ring-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  std::string path = std::string(folder) + "/file";
  auto file = open_file(path, OpenMode::create);
  ASSERT_TRUE(file);
  ASSERT_TRUE(preallocate_file(*file, 8'192));
  std::string text = "postring";
  Waiter written, synced, read;
  ring->write(written.completion, *file, std::as_bytes(std::span(text)), 100);
  EXPECT_EQ(wait_for(written), 8);
  ring->sync(synced.completion, *file, 0, 4'096);
  EXPECT_EQ(wait_for(synced), 0);
  std::byte buffer[8];
  ring->read(read.completion, *file, buffer, 100);
  EXPECT_EQ(wait_for(read), 8);
  Waiter both, covered;
  ring->write_then_sync(both.completion, *file, std::as_bytes(std::span(text)), 200,
                        covered.completion, {0, 4'096});
  EXPECT_EQ(wait_for(both), 8);
  EXPECT_EQ(wait_for(covered), 0);
  auto unwritable = open_file(path, OpenMode::read);
  ASSERT_TRUE(unwritable);
  Waiter refused, untried;
  ring->write_then_sync(refused.completion, *unwritable, std::as_bytes(std::span(text)), 200,
                        untried.completion, {0, 4'096});
  EXPECT_EQ(wait_for(refused), -EBADF);
  EXPECT_EQ(wait_for(untried), -ECANCELED) << "a sync behind a write that failed";
  close_descriptor(*unwritable);
  auto map = FileMap::map(*file, 8'192);
  ASSERT_TRUE(map);
  EXPECT_EQ(std::memcmp(map->bytes().data() + 100, text.data(), 8), 0);
  close_descriptor(*file);
  EXPECT_TRUE(remove_file(path));
  EXPECT_TRUE(remove_file(folder));
}

TEST_F(RingTest, ManyOperationsAtOnce) {
  constexpr size_t kCount = 5'000;  // more than the submission queue holds
  std::vector<std::unique_ptr<Waiter>> waiters;
  auto listener = listen_on(*SocketAddress::parse("127.0.0.1:0"), false);
  for (size_t i = 0; i < kCount; ++i) {
    waiters.push_back(std::make_unique<Waiter>());
    ring->poll(waiters.back()->completion, *listener, 1);
  }
  for (auto& waiter : waiters) ring->cancel(waiter->completion);
  for (auto& waiter : waiters) EXPECT_EQ(wait_for(*waiter), -ECANCELED);
  close_descriptor(*listener);
}

TEST_F(RingTest, AnotherThreadWakesIt) {
  std::thread other([&] { ring->wake(); });
  ring->wait(Instant::never());
  other.join();
}

TEST_F(RingTest, AnotherRingWakesIt) {
  std::thread other([&] {
    auto its = Ring::create();
    ASSERT_TRUE(its);
    ring->wake_from(**its);
    (*its)->wait(Instant{});
  });
  ring->wait(Instant::never());
  other.join();
}

TEST_F(RingTest, WaitsNoLongerThanAsked) {
  Instant until = clock_now() + Duration::milliseconds(5);
  ring->wait(until);
  EXPECT_GE(clock_now(), until);
}

}  // namespace
}  // namespace postring
