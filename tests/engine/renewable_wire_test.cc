#include "engine/renewable_wire.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "base/check.h"
#include "io/socket.h"

namespace postring::engine {
namespace {

// A name server that gives every question back as its answer, when it is told to.
class Server {
 public:
  Server() {
    descriptor_ = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_storage any{};
    uint32_t length = SocketAddress::parse("127.0.0.1:0")->to_system(any);
    CHECK(bind(descriptor_, reinterpret_cast<sockaddr*>(&any), length) == 0);
  }
  ~Server() { close_descriptor(descriptor_); }

  DnsWireOptions options() const {
    return {.servers = {local_address(descriptor_)}, .timeout = Duration::minutes(1), .tries = 1};
  }

  // Reads what came; false where nothing did.
  bool take() {
    Question question;
    char bytes[2'048];
    socklen_t length = sizeof question.from;
    ssize_t size = recvfrom(descriptor_, bytes, sizeof bytes, 0,
                            reinterpret_cast<sockaddr*>(&question.from), &length);
    if (size < 12) return false;
    question.bytes.assign(bytes, static_cast<size_t>(size));
    question.bytes[2] = static_cast<char>(question.bytes[2] | 0x80);
    questions_.push_back(std::move(question));
    return true;
  }
  void answer_all() {
    for (Question& question : questions_) {
      sendto(descriptor_, question.bytes.data(), question.bytes.size(), 0,
             reinterpret_cast<sockaddr*>(&question.from), sizeof(sockaddr_in));
    }
    questions_.clear();
  }

 private:
  struct Question {
    sockaddr_storage from{};
    std::string bytes;
  };
  int descriptor_;
  std::vector<Question> questions_;
};

class RenewableWireTest : public testing::Test {
 protected:
  void SetUp() override {
    auto ring = Ring::create();
    ASSERT_TRUE(ring) << ring.error().message;
    loop_ = std::make_unique<Loop>(std::move(*ring), 1);
    auto wire = RenewableWire::create(*loop_, old_.options());
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

  Server old_, new_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<RenewableWire> wire_;
};

TEST_F(RenewableWireTest, TheOldOneAnswersWhatItWasAskedAndGoes) {
  std::vector<std::string> first, second;
  ask(first);
  while (!old_.take()) turn();
  ASSERT_TRUE(wire_->change(new_.options()));
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
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(wire_->change(new_.options()));
  while (wire_->wires() > 1) turn();
}

TEST_F(RenewableWireTest, AllAreToldWhenItGoes) {
  std::vector<std::string> first, second;
  ask(first);
  ASSERT_TRUE(wire_->change(new_.options()));
  ask(second);
  turn();
  wire_.reset();
  std::vector<std::string> cancelled{text_of(DnsWireError::cancelled)};
  EXPECT_EQ(first, cancelled);
  EXPECT_EQ(second, cancelled);
}

}  // namespace
}  // namespace postring::engine
