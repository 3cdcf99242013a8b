#include "io/dns_wire.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "io/loop.h"
#include "name_server.h"

namespace postring {
namespace {

class DnsWireTest : public testing::Test {
 protected:
  void SetUp() override {
    auto ring = Ring::create();
    ASSERT_TRUE(ring) << ring.error().message;
    loop = std::make_unique<Loop>(std::move(*ring), 1);
    open({.servers = {server.address}, .timeout = Duration::seconds(2), .tries = 2});
  }
  void TearDown() override {
    wire.reset();
    // The polls that were open end now.
    while (loop->ring().in_flight() > 0) turn();
  }
  void open(DnsWireOptions options) {
    auto made = DnsWire::create(*loop, std::move(options));
    ASSERT_TRUE(made) << made.error().message;
    wire = std::move(*made);
  }
  void turn() {
    loop->turn(loop->now() + Duration::milliseconds(5));
    answer_all();
  }
  void answer_all() {
    while (server.take()) {
    }
    if (!silent) server.answer_all();
  }
  // The rcode of the answer, or 100 + the error.
  int ask(const std::string& name) {
    int got = -1;
    bool inside = true;
    wire->query(name, 15, [&](DnsWireAnswer answer, Instant) {
      EXPECT_FALSE(inside) << "no answer inside query()";
      got = answer ? (*answer)[3] & 0xf : 100 + static_cast<int>(answer.error());
    });
    inside = false;
    while (got < 0) turn();
    return got;
  }
  static int error(DnsWireError error) { return 100 + static_cast<int>(error); }

  NameServer server;
  bool silent = false;
  std::unique_ptr<Loop> loop;
  std::unique_ptr<DnsWire> wire;
};

TEST_F(DnsWireTest, AnswersComeAsTheyAre) {
  EXPECT_EQ(ask("example.com"), 0);
  server.rcode = 3;
  EXPECT_EQ(ask("example.com"), 3) << "NXDOMAIN is an answer";
  EXPECT_EQ(server.asked, (std::vector<bool>{true, true}));
}

TEST_F(DnsWireTest, ManyAtOnce) {
  int answered = 0;
  for (int i = 0; i < 200; ++i) {
    wire->query("d" + std::to_string(i) + ".com", 1, [&](DnsWireAnswer answer, Instant) {
      EXPECT_TRUE(answer.has_value());
      ++answered;
    });
  }
  while (answered < 200) turn();
}

TEST_F(DnsWireTest, ABurstGoesOutInPieces) {
  constexpr size_t kCount = 1'000;
  size_t answered = 0;
  for (size_t i = 0; i < kCount; ++i) {
    wire->query("d" + std::to_string(i) + ".com", 1, [&](DnsWireAnswer answer, Instant) {
      EXPECT_TRUE(answer.has_value());
      ++answered;
    });
  }
  for (size_t before = 0; answered < kCount; before = server.asked.size()) {
    turn();
    // What was asked at once, and what the turns so far had room for.
    EXPECT_LE(server.asked.size() - before, 128u);
  }
  EXPECT_EQ(server.asked.size(), kCount) << "none was lost";
}

// Each answer asks again; the server answers at once, from another thread.
TEST_F(DnsWireTest, ATurnEndsWhileAnswersKeepComing) {
  std::atomic<bool> over = false;
  std::thread answering([&] {
    while (!over) answer_all();
  });
  size_t answered = 0;
  std::function<void()> again = [&] {
    std::string name = "d" + std::to_string(answered) + ".com";
    wire->query(name, 1, [&](DnsWireAnswer answer, Instant) {
      if (over) return;
      EXPECT_TRUE(answer.has_value());
      ++answered;
      again();
    });
  };
  for (int i = 0; i < 32; ++i) again();
  size_t most = 0;
  while (answered < 2'000) {
    size_t before = answered;
    loop->turn(loop->now() + Duration::milliseconds(5));
    most = std::max(most, answered - before);
  }
  over = true;
  answering.join();
  wire.reset();
  EXPECT_LE(most, 32u) << "no more than were open when it began";
}

TEST_F(DnsWireTest, FailuresAreNamed) {
  server.rcode = 2;
  EXPECT_EQ(ask("example.com"), error(DnsWireError::unreachable));
  EXPECT_EQ(server.asked.size(), 2u) << "tried twice";
  EXPECT_EQ(ask(std::string(70, 'a') + ".com"), error(DnsWireError::malformed));
}

TEST_F(DnsWireTest, SilenceTimesOut) {
  silent = true;
  open({.servers = {server.address}, .timeout = Duration::milliseconds(20), .tries = 1});
  EXPECT_EQ(ask("example.com"), error(DnsWireError::timeout));
}

TEST_F(DnsWireTest, AServerThatIsNotThereIsUnreachable) {
  SocketAddress gone;
  {
    NameServer other;
    gone = other.address;
  }
  open({.servers = {gone}, .timeout = Duration::milliseconds(200), .tries = 1});
  EXPECT_EQ(ask("example.com"), error(DnsWireError::unreachable));
}

TEST_F(DnsWireTest, AServerWithoutEdnsIsAskedWithout) {
  server.no_edns = true;
  EXPECT_EQ(ask("a.com"), 0);
  EXPECT_EQ(ask("b.com"), 0);
  EXPECT_EQ(ask("c.com"), 0);
  EXPECT_FALSE(server.asked.back());
}

TEST_F(DnsWireTest, OpenQuestionsAreCancelledWhenItGoes) {
  silent = true;
  int cancelled = 0;
  for (int i = 0; i < 3; ++i) {
    wire->query("x.com", 1, [&](DnsWireAnswer answer, Instant) {
      EXPECT_EQ(answer.error(), DnsWireError::cancelled);
      ++cancelled;
    });
  }
  turn();
  wire.reset();
  EXPECT_EQ(cancelled, 3);
}

TEST_F(DnsWireTest, AnAnswerMayAskAgain) {
  int depth = 0;
  std::function<void()> next = [&] {
    wire->query("x.com", 1, [&](DnsWireAnswer answer, Instant) {
      EXPECT_TRUE(answer.has_value());
      if (++depth < 20) next();
    });
  };
  next();
  while (depth < 20) turn();
}

}  // namespace
}  // namespace postring
