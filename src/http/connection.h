// Connection: one client of a Server, from accept to close. Internal to http/.
//
//     head -> body -> answer -> head ...              (keep-alive; one request at a time)
//               any state -> lingering -> closed      (what is unread is read and dropped a while,
//                                                      so that the answer is not lost to a reset)
//
// Laws: at most one receive and one send in flight; the receive buffer moves only while no receive
// is in flight; the next request is begun only when the last answer has left.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/exchange.h"
#include "http/parser.h"
#include "http/router.h"
#include "io/completion.h"
#include "io/loop.h"
#include "io/timers.h"

namespace postring::http {

class Connection;

// A body that nobody wants is read to its end where that costs no more than this.
constexpr uint64_t kDropBytesMax = 256 * 1'024;

// What connections of one server share.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  virtual Loop& loop() = 0;
  virtual const Router& router() const = 0;
  virtual const Limits& limits() const = 0;
  virtual std::string_view date() = 0;  // of now, RFC 9110 section 5.6.7
  virtual bool stopping() const = 0;
  virtual void count_request() = 0;
  virtual void count_answer(uint16_t status) = 0;
  // Bytes of answers that came to wait for their client (or, negative, do so no more).
  virtual void count_unread(int64_t bytes) = 0;
  virtual bool too_much_unread() const = 0;
  // A client waits for a place: who is done leaves.
  virtual bool place_wanted() const = 0;
  // The connection is closed and idle: it may be destroyed in a later turn.
  virtual void on_closed(Connection* connection) = 0;
};

class LiveExchange final : public Exchange {
 public:
  LiveExchange(Connection* connection, Request request)
      : connection_(connection), request_(std::move(request)) {}
  ~LiveExchange() override;

  const Request& request() const override { return request_; }
  Request& edit_request() override { return request_; }
  void receive_body(uint64_t bytes_max, std::shared_ptr<BodySink> sink) override;
  void pause_body() override;
  void resume_body() override;
  void collect_body(uint64_t bytes_max, std::function<void(std::string body)> done) override;
  void respond(Response response) override;
  void begin_stream(Response response) override;
  bool write(std::string piece) override;
  void when_drained(std::function<void()> call) override;
  void end() override;
  bool answered() const override { return answered_; }
  bool gone() const override { return connection_ == nullptr; }

 private:
  friend class Connection;
  Connection* connection_;
  Request request_;
  bool answered_ = false;
};

class Connection {
 public:
  Connection(ConnectionHost& host, int socket);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Begins to receive.
  void start();
  // The server is being stopped: ends now where nothing is under way, else after this answer.
  void stop_soon();
  void close();
  // Since when its client, who had an answer, has asked nothing; nothing: there was none yet, or a
  // request is under way.
  std::optional<Instant> idle_since() const;

 private:
  friend class LiveExchange;
  enum class Phase : uint8_t { head, body, answer, lingering, closed };
  enum class Wait : uint8_t { nothing, idle, head, body, send, linger };

  // Receiving.
  void process();
  bool step();
  bool step_head();
  bool step_body();
  bool step_linger();
  void begin_exchange();
  void body_ended();
  void lose_body();
  void continue_receiving();
  void on_received(int32_t result);
  bool body_too_slow() const;
  bool too_long() const;
  bool refused_at_once(const ExchangePtr& exchange);

  // Answering.
  void read_body(uint64_t bytes_max, std::shared_ptr<BodySink> sink);
  void pause_body() { paused_ = true; }
  void resume_body();
  void answer(Response response, bool streamed);
  bool write(std::string piece);
  void end_stream();
  void exchange_dropped();
  void refuse(uint16_t status, std::string_view detail);
  void queue(std::string bytes);
  void send_more();
  void on_sent(int32_t result);
  void finish_answer();
  void next_request();
  void linger();

  void arm(Wait wait, Duration after);
  void arm_for_phase();
  void on_timeout();
  void finish_close();

  ConnectionHost& host_;
  int socket_;
  Phase phase_ = Phase::head;
  RequestParser parser_;
  Completion receive_;
  Completion send_;
  Timer timer_;
  Wait waiting_ = Wait::nothing;

  std::vector<char> buffer_;
  size_t begin_ = 0;  // of the bytes received and not consumed
  size_t end_ = 0;
  bool processing_ = false;
  bool head_begun_ = false;
  bool peer_closed_ = false;
  std::optional<Instant> answered_at_;  // the last request

  LiveExchange* exchange_ = nullptr;
  std::shared_ptr<BodySink> sink_;
  uint64_t body_bytes_ = 0;
  uint64_t body_bytes_max_ = 0;
  Duration body_waited_;
  Instant receive_began_;
  bool expects_continue_ = false;
  bool paused_ = false;
  bool body_done_ = true;
  bool dropping_body_ = false;  // answered before it was read
  bool has_body_ = false;
  int64_t content_length_ = -1;

  bool is_head_request_ = false;
  bool keep_alive_ = true;
  bool http_1_0_ = false;
  bool answer_begun_ = false;
  bool answer_ended_ = true;
  bool streamed_ = false;
  bool chunked_ = false;
  std::deque<std::string> out_;
  size_t out_bytes_ = 0;
  size_t out_sent_ = 0;  // of the first one
  std::vector<iovec> pieces_;
  std::function<void()> drained_;
};

}  // namespace postring::http
