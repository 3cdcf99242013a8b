// What a server answers, over real sockets.
#include <stdlib.h>

#include "server_rig.h"

namespace postring::http {
namespace {

TEST_F(ServerTest, AnswersAndKeepsAlive) {
  start();
  Client client(loop_, address_);
  for (int i = 0; i < 3; ++i) {
    client.send(kGet);
    std::string answer = client.read_answer();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\nDate: ")) << answer;
    EXPECT_NE(answer.find(" GMT\r\n"), std::string::npos);
    EXPECT_EQ(Client::body_of(answer), "hello x");
  }
  EXPECT_EQ(server_->connections(), 1u);
  EXPECT_EQ(server_->counters().requests, 3u);
}

TEST_F(ServerTest, PipelinedRequestsAreAnsweredInOrder) {
  start();
  Client client(loop_, address_);
  std::string all;
  for (int i = 0; i < 200; ++i) {
    all += "GET /hello?name=" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n";
  }
  client.send(all);
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(Client::body_of(client.read_answer()), "hello " + std::to_string(i));
  }
}

TEST_F(ServerTest, EveryCutOfARequestGivesTheSame) {
  start();
  std::string text =
      "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
  Client client(loop_, address_);
  for (size_t cut = 1; cut < text.size(); ++cut) {
    client.send(std::string_view(text).substr(0, cut));
    client.turn();
    client.send(std::string_view(text).substr(cut));
    EXPECT_EQ(Client::body_of(client.read_answer()), "abcdefg") << cut;
  }
}

TEST_F(ServerTest, HeadHasNoBody) {
  start();
  Client client(loop_, address_);
  client.send("HEAD /hello?name=x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  std::string answer = client.read_to_end();
  EXPECT_NE(answer.find("Content-Length: 7\r\n"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
  EXPECT_TRUE(client.closed());
}

TEST_F(ServerTest, OldClientsAreClosedOnUnlessTheyAsk) {
  start();
  Client client(loop_, address_);
  client.send("GET /stream HTTP/1.0\r\n\r\n");
  std::string answer = client.read_to_end();
  EXPECT_TRUE(answer.ends_with("\r\n\r\none two")) << answer;
  Client kept(loop_, address_);
  kept.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_NE(kept.read_answer().find("Connection: keep-alive"), std::string::npos);
  kept.send("GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_EQ(Client::body_of(kept.read_to_end()), "hello ");
}

TEST_F(ServerTest, StreamsInChunks) {
  start();
  Client client(loop_, address_);
  for (int i = 0; i < 2; ++i) {
    client.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    std::string answer = client.read_answer();
    EXPECT_TRUE(answer.ends_with("4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n")) << answer;
  }
}

TEST_F(ServerTest, AStreamWaitsForItsReader) {
  limits_.send_bytes = 100'000;
  constexpr int kPieces = 2'000;
  int written = 0;
  ExchangePtr exchange;
  std::function<void()> more = [&] {
    while (written < kPieces) {
      ++written;
      if (!exchange->write(std::string(10'000, 'x'))) {
        exchange->when_drained(more);
        return;
      }
    }
    auto last = std::move(exchange);
    last->end();
  };
  router_.add(Method::get, "/much", [&](ExchangePtr given) {
    exchange = std::move(given);
    exchange->begin_stream({});
    more();
  });
  start();
  Client client(loop_, address_);
  client.send("GET /much HTTP/1.1\r\nHost: h\r\n\r\n");
  for (int i = 0; i < 20; ++i) client.turn();
  EXPECT_LT(written, kPieces);  // the kernel's buffers hold some, the rest was not made yet
  EXPECT_EQ(Client::body_of(client.read_answer()).size(), size_t{kPieces} * 10'000);
}

TEST_F(ServerTest, ABodyWaitsForItsReader) {
  start();
  Client client(loop_, address_);
  std::string body(1'000'000, 'b');
  client.send("POST /upload?slow HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
  while (sink_ == nullptr) client.turn();
  std::string_view left = body;
  size_t before = 0;
  while (!left.empty()) {
    size_t size = std::min<size_t>(left.size(), 50'000);
    ASSERT_TRUE(client.send(left.substr(0, size)));
    left.remove_prefix(size);
    client.turn();
    client.turn();
    EXPECT_LE(sink_->size() - before, size_t{limits_.receive_bytes});
    before = sink_->size();
    sink_->resume();
  }
  while (sink_->size() < body.size()) {
    sink_->resume();
    client.turn();
  }
  sink_->resume();
  EXPECT_EQ(Client::body_of(client.read_answer()), "1000000");
}

TEST_F(ServerTest, ContinuesWhereTheBodyIsWanted) {
  start();
  Client client(loop_, address_);
  client.send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(client.read_answer(), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("abc");
  EXPECT_EQ(Client::body_of(client.read_answer()), "abc");

  client.send(
      "POST /refuse HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  std::string answer = client.read_answer();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 401 ")) << answer;
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
}

TEST_F(ServerTest, AnUnreadBodyIsDroppedOrClosedOn) {
  start();
  Client client(loop_, address_);
  client.send("POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_TRUE(client.read_answer().starts_with("HTTP/1.1 401 "));
  client.send(kGet);
  EXPECT_EQ(Client::body_of(client.read_answer()), "hello x");
  client.send("POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n");
  EXPECT_NE(client.read_answer().find("Connection: close"), std::string::npos);
}

TEST_F(ServerTest, WrongIsSaidAndClosed) {
  start();
  Client client(loop_, address_);
  client.send("HELO example.org\r\n\r\n");
  std::string answer = client.read_to_end();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << answer;
  EXPECT_NE(answer.find("application/problem+json"), std::string::npos);
  EXPECT_TRUE(client.closed());
  Client half(loop_, address_);
  half.send("POST /upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
  EXPECT_TRUE(half.read_to_end().starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(sink_->lost);
}

TEST_F(ServerTest, AClientThatGoesLosesItsBody) {
  start();
  auto client = std::make_unique<Client>(loop_, address_);
  client->send("POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc");
  while (sink_ == nullptr || sink_->size() == 0) client->turn();
  client = nullptr;
  while (!sink_->lost || server_->connections() > 0) loop_.turn(Instant::never());
}

TEST_F(ServerTest, AnAnswerMayComeLate) {
  start();
  Client client(loop_, address_);
  client.send("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  while (waiting_.empty()) client.turn();
  client.send(kGet);  // waits for its turn
  client.turn();
  Response response;
  response.body = "at last";
  waiting_[0]->respond(std::move(response));
  EXPECT_EQ(Client::body_of(client.read_answer()), "at last");
  EXPECT_EQ(Client::body_of(client.read_answer()), "hello x");
  EXPECT_TRUE(waiting_[0]->gone());

  client.send("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  while (waiting_.size() < 2) client.turn();
  client.end_sending();  // a half-closed connection still gets its answer
  client.turn();
  waiting_[1]->respond({});
  EXPECT_TRUE(client.read_to_end().starts_with("HTTP/1.1 200 "));
}

TEST_F(ServerTest, AnAnswerForNobodyIsNoHarm) {
  start();
  {
    Client client(loop_, address_);
    client.send("GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET");
    while (waiting_.empty()) client.turn();
    server_->stop(Duration{}, [this] { stopped_ = true; });
    while (!stopped_) loop_.turn(Instant::never());
  }
  EXPECT_TRUE(waiting_[0]->gone());
  waiting_[0]->respond({});
}

TEST_F(ServerTest, ADroppedRequestIsAnsweredWith500) {
  start();
  EXPECT_TRUE(ask("GET /dropped HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("HTTP/1.1 500 "));
}

TEST_F(ServerTest, StoppingLetsAnswersOut) {
  start();
  Client idle(loop_, address_);
  idle.send(kGet);
  idle.read_answer();
  Client busy(loop_, address_);
  busy.send("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  while (waiting_.empty()) busy.turn();
  server_->stop(Duration::seconds(10), [this] { stopped_ = true; });
  EXPECT_EQ(idle.read_to_end(), "");
  EXPECT_FALSE(stopped_);
  waiting_[0]->respond({});
  std::string answer = busy.read_to_end();
  EXPECT_NE(answer.find("Connection: close"), std::string::npos) << answer;
  while (!stopped_) loop_.turn(Instant::never());
}

TEST_F(ServerTest, UnixSocketsToo) {
  char folder[] = "/tmp/http_test.XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  std::string path = std::string(folder) + "/socket";
  start();
  auto listener = listen_on_path(path, 0600);
  ASSERT_TRUE(listener.has_value());
  server_->listen(*listener);
  {
    Client client(loop_, path);
    client.send(kGet);
    EXPECT_EQ(Client::body_of(client.read_answer()), "hello x");
  }
  stop();
  ::unlink(path.c_str());
  ::rmdir(folder);
}

}  // namespace
}  // namespace postring::http
