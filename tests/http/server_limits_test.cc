// The limits of a server: time, sizes, numbers.
#include "server_rig.h"

namespace postring::http {
namespace {

TEST_F(ServerTest, TooLongIsSaid) {
  start();
  std::string large = ask("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n");
  EXPECT_TRUE(large.starts_with("HTTP/1.1 413 ")) << large;
  EXPECT_NE(large.find("1000 bytes"), std::string::npos);
  std::string chunks = "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 4; ++i) chunks += "fa\r\n" + std::string(250, 'x') + "\r\n";
  EXPECT_EQ(Client::body_of(ask(chunks + "0\r\n\r\n")).size(), 1'000u);
  EXPECT_TRUE(ask(chunks + "1\r\nx\r\n").starts_with("HTTP/1.1 413 "));
  EXPECT_TRUE(ask("POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n")
                  .starts_with("HTTP/1.1 413 "));
  std::string head = "GET /hello HTTP/1.1\r\nHost: h\r\nX: " + std::string(20'000, 'x');
  EXPECT_TRUE(ask(head).starts_with("HTTP/1.1 431 "));
  std::string chunk = "POST /upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;";
  EXPECT_TRUE(ask(chunk + std::string(100'000, 'x')).starts_with("HTTP/1.1 400 "));
}

TEST_F(ServerTest, SlowClientsAreCutOff) {
  start();
  Client head(loop_, address_);
  head.send("GET /hello HTTP/1.1\r\nHo");
  EXPECT_TRUE(head.read_to_end().starts_with("HTTP/1.1 408 "));
  Client body(loop_, address_);
  body.send("POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc");
  EXPECT_TRUE(body.read_to_end().starts_with("HTTP/1.1 408 "));
  EXPECT_TRUE(sink_->lost);
}

TEST_F(ServerTest, AByteNowAndThenIsNoHead) {
  limits_.header_time = Duration::milliseconds(300);
  start();
  Client client(loop_, address_);
  client.send("GET /hello HTTP/1.1\r\nX: ");
  std::string got = drip(client, Duration::milliseconds(10));
  EXPECT_TRUE(got.starts_with("HTTP/1.1 408 ")) << got;
}

TEST_F(ServerTest, IdleConnectionsAreClosedWithoutAWord) {
  limits_.idle_time = Duration::milliseconds(50);
  start();
  Client silent(loop_, address_);
  EXPECT_EQ(silent.read_to_end(), "");
  // Empty lines before a request are no request.
  Client empty(loop_, address_);
  empty.send("\r\n\r\n");
  EXPECT_EQ(empty.read_to_end(), "");
  EXPECT_EQ(server_->counters().requests, 0u);
  EXPECT_EQ(server_->counters().answers_4xx, 0u);
}

TEST_F(ServerTest, ARequestAtWorkIsNotIdle) {
  limits_.idle_time = Duration::milliseconds(20);
  limits_.header_time = Duration::milliseconds(20);
  start();
  std::string answer;
  while (answer.empty()) {  // a client that was slow itself tries again
    Client client(loop_, address_);
    client.send("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    while (waiting_.empty() && !client.closed()) client.turn();
    if (waiting_.empty()) continue;
    Instant later = clock_now() + Duration::milliseconds(100);
    client.read_until([&](const std::string&) { return clock_now() > later; });
    EXPECT_FALSE(client.closed());
    Response response;
    response.body = "done";
    waiting_.front()->respond(std::move(response));
    waiting_.clear();
    answer = client.read_answer();
  }
  EXPECT_EQ(Client::body_of(answer), "done");
}

TEST_F(ServerTest, AByteNowAndThenIsNoBody) {
  limits_.body_time = Duration::milliseconds(1'000);
  limits_.body_bytes_per_second = 1'000'000;
  start();
  Client client(loop_, address_);
  client.send("POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
  std::string got = drip(client, Duration::milliseconds(20));
  EXPECT_TRUE(got.starts_with("HTTP/1.1 408 ")) << got;
}

TEST_F(ServerTest, ConnectionsHaveALimit) {
  limits_.connections = 2;
  start();
  Client a(loop_, address_);
  Client b(loop_, address_);
  for (Client* client : {&a, &b}) client->send("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  while (waiting_.size() < 2) b.turn();
  Client c(loop_, address_);
  c.send(kGet);
  for (int i = 0; i < 5; ++i) c.turn();
  EXPECT_EQ(server_->connections(), 2u);
  EXPECT_EQ(server_->counters().requests, 2u);
  waiting_.front()->respond({});
  EXPECT_EQ(Client::body_of(c.read_answer()), "hello x");
}

TEST_F(ServerTest, WhoIsIdleLongestMakesRoom) {
  limits_.connections = 2;
  start();
  Client longest(loop_, address_);
  Client later(loop_, address_);
  for (Client* client : {&longest, &later}) {
    client->send(kGet);
    EXPECT_EQ(Client::body_of(client->read_answer()), "hello x");
  }
  Client next(loop_, address_);
  next.send(kGet);
  EXPECT_EQ(Client::body_of(next.read_answer()), "hello x");
  EXPECT_EQ(longest.read_to_end(), "");
  EXPECT_EQ(server_->connections(), 2u);
  later.send(kGet);
  EXPECT_EQ(Client::body_of(later.read_answer()), "hello x");
}

TEST_F(ServerTest, WhoIsAtWorkKeepsItsPlaceUntilTheAnswer) {
  limits_.connections = 1;
  start();
  Client busy(loop_, address_);
  busy.send("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  while (waiting_.empty()) busy.turn();
  Client next(loop_, address_);
  next.send(kGet);
  for (int i = 0; i < 5; ++i) next.turn();
  EXPECT_FALSE(busy.closed());
  waiting_.front()->respond({});
  EXPECT_NE(busy.read_to_end().find("Connection: close"), std::string::npos);
  EXPECT_EQ(Client::body_of(next.read_answer()), "hello x");
}

TEST_F(ServerTest, WhoNeverAskedKeepsItsPlaceForTheTimeOfIdleOnes) {
  limits_.connections = 1;
  limits_.idle_time = Duration::milliseconds(50);
  start();
  Client silent(loop_, address_);
  while (server_->connections() == 0) silent.turn();
  Client next(loop_, address_);
  next.send(kGet);
  EXPECT_EQ(silent.read_to_end(), "");
  EXPECT_EQ(Client::body_of(next.read_answer()), "hello x");
}

TEST_F(ServerTest, AStopEndsWhoWaitsForAPlace) {
  limits_.connections = 1;
  start();
  Client busy(loop_, address_);
  busy.send("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  while (waiting_.empty()) busy.turn();
  Client next(loop_, address_);
  for (int i = 0; i < 5; ++i) next.turn();
  stop();
  EXPECT_EQ(next.read_to_end(), "");
}

TEST_F(ServerTest, UnreadAnswersHaveALimit) {
  limits_.unread_bytes = 1u << 20;
  constexpr size_t kLarge = 32u << 20;  // more than the kernel's buffers hold
  router_.add(Method::get, "/large", [](const ExchangePtr& exchange) {
    Response response;
    response.body = std::string(kLarge, 'x');
    exchange->respond(std::move(response));
  });
  start();
  auto unread = std::make_unique<Client>(loop_, address_);
  unread->send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
  while (server_->counters().requests == 0) unread->turn();
  std::string refused = ask(kGet);
  EXPECT_TRUE(refused.starts_with("HTTP/1.1 503 ")) << refused;
  EXPECT_NE(refused.find("Retry-After: 1"), std::string::npos) << refused;
  EXPECT_EQ(server_->counters().answers_5xx, 1u);
  EXPECT_EQ(server_->counters().answers_4xx, 0u);
  EXPECT_EQ(Client::body_of(unread->read_answer()).size(), kLarge);
  EXPECT_EQ(Client::body_of(ask(kGet)), "hello x");
  // What is given up counts no more, either.
  unread->send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
  while (server_->counters().requests < 4) unread->turn();
  EXPECT_TRUE(ask(kGet).starts_with("HTTP/1.1 503 "));
  unread = nullptr;
  while (server_->connections() > 0) loop_.turn(Instant::never());
  EXPECT_EQ(Client::body_of(ask(kGet)), "hello x");
}

TEST_F(ServerTest, LimitsCanBeChanged) {
  limits_.connections = 1;
  start();
  Client a(loop_, address_);
  a.send("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  while (waiting_.empty()) a.turn();
  Client b(loop_, address_);
  b.send(kGet);
  for (int i = 0; i < 5; ++i) b.turn();
  EXPECT_EQ(server_->counters().requests, 1u);
  limits_.connections = 2;
  server_->set_limits(limits_);
  EXPECT_EQ(Client::body_of(b.read_answer()), "hello x");
}

}  // namespace
}  // namespace postring::http
