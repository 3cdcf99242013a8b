#include "engine/renewable_wire.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "name_server.h"

namespace postring::engine {
namespace {

DnsWireOptions asking(const NameServer& server) {
  return {.servers = {server.address}, .timeout = Duration::minutes(1), .tries = 1};
}

class RenewableWireTest : public testing::Test {
 protected:
  void SetUp() override {
    auto ring = Ring::create();
    ASSERT_TRUE(ring) << ring.error().message;
    loop_ = std::make_unique<Loop>(std::move(*ring), 1);
    auto wire = RenewableWire::create(*loop_, asking(old_));
    ASSERT_TRUE(wire) << wire.error().message;
    wire_ = std::move(*wire);
  }
  void TearDown() override {
    wire_.reset();
    while (loop_->ring().in_flight() > 0) turn();
  }
  void turn() { loop_->turn(loop_->now() + Duration::milliseconds(5)); }

  void ask(std::vector<std::string>& told) {
    wire_->query("example.com", 15, [&told](DnsWireAnswer answer, Instant) {
      told.push_back(answer ? "answer" : text_of(answer.error()));
    });
  }

  NameServer old_, new_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<RenewableWire> wire_;
};

TEST_F(RenewableWireTest, TheOldOneAnswersWhatItWasAskedAndGoes) {
  std::vector<std::string> first, second;
  ask(first);
  while (!old_.take()) turn();
  ASSERT_TRUE(wire_->change(asking(new_)));
  ask(second);
  while (!new_.take()) turn();
  EXPECT_FALSE(old_.take());
  new_.answer_all();
  while (second.empty()) turn();
  EXPECT_EQ(second, std::vector<std::string>{"answer"});
  EXPECT_TRUE(first.empty());
  EXPECT_EQ(wire_->wires(), 2u);
  old_.answer_all();
  while (wire_->wires() > 1) turn();
  EXPECT_EQ(first, std::vector<std::string>{"answer"});
}

TEST_F(RenewableWireTest, OneThatOwesNothingGoesAtOnce) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(wire_->change(asking(new_)));
  while (wire_->wires() > 1) turn();
}

TEST_F(RenewableWireTest, AllAreToldWhenItGoes) {
  std::vector<std::string> first, second;
  ask(first);
  ASSERT_TRUE(wire_->change(asking(new_)));
  ask(second);
  turn();
  wire_.reset();
  std::vector<std::string> cancelled{text_of(DnsWireError::cancelled)};
  EXPECT_EQ(first, cancelled);
  EXPECT_EQ(second, cancelled);
}

}  // namespace
}  // namespace postring::engine
