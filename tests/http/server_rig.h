// ServerTest: a server on a real ring and real sockets, with a handler of every kind; the client is
// the test, on the same thread.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client.h"
#include "http/problem.h"
#include "http/server.h"

namespace postring::http {

inline std::unique_ptr<Ring> make_ring() {
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

  // One byte after the other until the server says something or closes; what it said.
  std::string drip(Client& client, Duration every) {
    std::string got;
    while (got.empty() && !client.closed()) {
      client.send("x");
      Instant next = clock_now() + every;
      got = client.read_until(
          [&](const std::string& text) { return !text.empty() || clock_now() > next; });
    }
    return got;
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

}  // namespace postring::http
