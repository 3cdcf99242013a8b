// The server on a real ring and real sockets; the client is the test, on the same thread.
#include "http/server.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "client.h"
#include "http/problem.h"

namespace postring::http {
namespace {

std::unique_ptr<Ring> make_ring() {
  auto ring = Ring::create();
  CHECK(ring.has_value(), ring.has_value() ? "" : ring.error().message);
  return std::move(*ring);
}

// Counts a body, and pauses after every piece until the test resumes.
class SlowSink final : public BodySink {
 public:
  SlowSink(ExchangePtr exchange, bool pausing)
      : exchange_(std::move(exchange)), pausing_(pausing) {}
  void on_body(std::string_view bytes) override {
    size_ += bytes.size();
    largest_ = std::max(largest_, bytes.size());
    if (pausing_) exchange_->pause_body();
  }
  void on_body_end() override {
    Response response;
    response.body = std::to_string(size_);
    auto exchange = std::move(exchange_);
    exchange->respond(std::move(response));
  }
  void on_body_lost() override { lost = true; }
  void resume() {
    if (exchange_ != nullptr) exchange_->resume_body();
  }
  size_t size() const { return size_; }
  bool lost = false;

 private:
  ExchangePtr exchange_;
  bool pausing_;
  size_t size_ = 0, largest_ = 0;
};

class ServerTest : public testing::Test {
 protected:
  ServerTest() : loop_(make_ring(), 1) {
    limits_.header_time = Duration::milliseconds(50);
    limits_.idle_time = Duration::seconds(5);
    limits_.body_time = Duration::milliseconds(50);
    limits_.body_bytes = 1u << 20;
    limits_.linger_time = Duration::milliseconds(20);
    router_.add(Method::get, "/hello", [](const ExchangePtr& exchange) {
      Response response;
      response.content_type = "text/plain";
      response.body = "hello " + std::string(exchange->request().query_value("name"));
      exchange->respond(std::move(response));
    });
    router_.add(Method::post, "/echo", [](const ExchangePtr& exchange) {
      exchange->collect_body(1'000, [exchange](std::string body) {
        Response response;
        response.body = std::move(body);
        exchange->respond(std::move(response));
      });
    });
    router_.add(Method::post, "/upload", [this](const ExchangePtr& exchange) {
      sink_ = std::make_shared<SlowSink>(exchange, exchange->request().has_query("slow"));
      exchange->receive_body(1u << 20, sink_);
    });
    router_.add(Method::post, "/refuse", [](const ExchangePtr& exchange) {
      exchange->respond(problem({.status = 401, .detail = "who are you?"}));
    });
    router_.add(Method::get, "/later",
                [this](ExchangePtr exchange) { waiting_.push_back(std::move(exchange)); });
    router_.add(Method::get, "/dropped", [](const ExchangePtr&) {});
    router_.add(Method::get, "/stream", [](const ExchangePtr& exchange) {
      exchange->begin_stream({});
      exchange->write("one ");
      exchange->write("");
      exchange->write("two");
      exchange->end();
    });
  }

  ~ServerTest() override {
    waiting_.clear();
    sink_ = nullptr;
    if (server_ != nullptr && !stopped_) stop();
  }

  void start() {
    server_ = std::make_unique<Server>(loop_, router_, limits_);
    auto listener = listen_on(*SocketAddress::parse("127.0.0.1:0"), false);
    ASSERT_TRUE(listener.has_value());
    address_ = local_address(*listener);
    server_->listen(*listener);
  }

  void stop(Duration patience = Duration::milliseconds(100)) {
    server_->stop(patience, [this] { stopped_ = true; });
    while (!stopped_) loop_.turn(Instant::never());
  }

  std::string ask(std::string_view text) {
    Client client(loop_, address_);
    client.send(text);
    return client.read_answer();
  }

  Limits limits_;
  Loop loop_;
  Router router_;
  std::unique_ptr<Server> server_;
  SocketAddress address_;
  bool stopped_ = false;
  std::shared_ptr<SlowSink> sink_;
  std::vector<ExchangePtr> waiting_;
};

constexpr std::string_view kGet = "GET /hello?name=x HTTP/1.1\r\nHost: h\r\n\r\n";

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
  std::string got;
  while (got.empty() && !client.closed()) {
    client.send("x");
    Instant next = clock_now() + Duration::milliseconds(10);
    got = client.read_until(
        [&](const std::string& text) { return !text.empty() || clock_now() > next; });
  }
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
  std::string got;
  while (got.empty() && !client.closed()) {
    client.send("x");
    Instant next = clock_now() + Duration::milliseconds(20);
    got = client.read_until(
        [&](const std::string& text) { return !text.empty() || clock_now() > next; });
  }
  EXPECT_TRUE(got.starts_with("HTTP/1.1 408 ")) << got;
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

TEST_F(ServerTest, ConnectionsHaveALimit) {
  limits_.connections = 2;
  start();
  auto a = std::make_unique<Client>(loop_, address_);
  Client b(loop_, address_);
  Client c(loop_, address_);
  a->send(kGet);
  b.send(kGet);
  c.send(kGet);
  EXPECT_EQ(Client::body_of(a->read_answer()), "hello x");
  EXPECT_EQ(Client::body_of(b.read_answer()), "hello x");
  for (int i = 0; i < 5; ++i) c.turn();
  EXPECT_EQ(server_->connections(), 2u);
  a = nullptr;
  EXPECT_EQ(Client::body_of(c.read_answer()), "hello x");
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
  Client b(loop_, address_);
  a.send(kGet);
  b.send(kGet);
  EXPECT_EQ(Client::body_of(a.read_answer()), "hello x");
  EXPECT_EQ(server_->connections(), 1u);
  limits_.connections = 2;
  server_->set_limits(limits_);
  EXPECT_EQ(Client::body_of(b.read_answer()), "hello x");
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
