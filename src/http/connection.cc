#include "http/connection.h"

#include <cstring>

#include "base/check.h"
#include "http/problem.h"
#include "io/socket.h"

namespace postring::http {
namespace {

constexpr size_t kFirstBufferBytes = 4'096;
// A body that nobody wants is read to its end where that costs no more than this.
constexpr uint64_t kDropBytesMax = 256 * 1'024;

class CollectingSink final : public BodySink {
 public:
  explicit CollectingSink(std::function<void(std::string)> done) : done_(std::move(done)) {}
  void on_body(std::string_view bytes) override { body_ += bytes; }
  void on_body_end() override {
    auto done = std::move(done_);
    done(std::move(body_));
  }
  void on_body_lost() override { done_ = nullptr; }

 private:
  std::function<void(std::string)> done_;
  std::string body_;
};

}  // namespace

LiveExchange::~LiveExchange() {
  if (connection_ != nullptr) connection_->exchange_dropped();
}
void LiveExchange::receive_body(uint64_t bytes_max, std::shared_ptr<BodySink> sink) {
  CHECK(sink != nullptr);
  if (connection_ != nullptr) {
    connection_->read_body(bytes_max, std::move(sink));
  } else {
    sink->on_body_lost();
  }
}
void LiveExchange::pause_body() {
  if (connection_ != nullptr) connection_->pause_body();
}
void LiveExchange::resume_body() {
  if (connection_ != nullptr) connection_->resume_body();
}
void LiveExchange::collect_body(uint64_t bytes_max, std::function<void(std::string body)> done) {
  receive_body(bytes_max, std::make_shared<CollectingSink>(std::move(done)));
}
void LiveExchange::respond(Response response) {
  if (connection_ == nullptr) return;
  CHECK(!answered_, "a request has one answer");
  answered_ = true;
  connection_->answer(std::move(response), false);
}
void LiveExchange::begin_stream(Response response) {
  if (connection_ == nullptr) return;
  CHECK(!answered_, "a request has one answer");
  answered_ = true;
  connection_->answer(std::move(response), true);
}
bool LiveExchange::write(std::string piece) {
  return connection_ == nullptr || connection_->write(std::move(piece));
}
void LiveExchange::when_drained(std::function<void()> call) {
  if (connection_ != nullptr) connection_->drained_ = std::move(call);
}
void LiveExchange::end() {
  if (connection_ != nullptr) connection_->end_stream();
}

Connection::Connection(ConnectionHost& host, int socket)
    : host_(host), socket_(socket), parser_(host.limits()), buffer_(kFirstBufferBytes) {
  receive_.bind<&Connection::on_received>(this);
  send_.bind<&Connection::on_sent>(this);
  timer_.bind<&Connection::on_timeout>(this);
}

Connection::~Connection() {
  CHECK(phase_ == Phase::closed);
}

void Connection::start() {
  arm(Wait::idle, host_.limits().idle_time);
  process();
}

void Connection::stop_soon() {
  keep_alive_ = false;
  if (phase_ == Phase::head && !head_begun_) close();
}

// ---- receiving -------------------------------------------------------------------------------

void Connection::process() {
  if (processing_) return;  // a handler answered at once: the outer call goes on
  processing_ = true;
  while (phase_ != Phase::closed && step()) {
  }
  processing_ = false;
  if (phase_ == Phase::closed) return;
  continue_receiving();
  arm_for_phase();
}

bool Connection::step() {
  switch (phase_) {
    case Phase::head:
      return step_head();
    case Phase::body:
      return step_body();
    case Phase::lingering:
      return step_linger();
    case Phase::answer:
    case Phase::closed:
      return false;
  }
  return false;
}

bool Connection::step_head() {
  // RFC 9112 section 2.2: empty lines before a request mean nothing.
  while (!head_begun_ && end_ > begin_ && (buffer_[begin_] == '\r' || buffer_[begin_] == '\n')) {
    ++begin_;
  }
  if (begin_ == end_) {
    if (peer_closed_) close();
    return false;
  }
  if (!head_begun_) {
    head_begun_ = true;
    arm(Wait::head, host_.limits().header_time);
  }
  Parsed parsed = parser_.put({buffer_.data() + begin_, end_ - begin_});
  begin_ += parsed.consumed;
  if (parsed.stop == ParseStop::wrong) {
    refuse(parser_.wrong_status(), parser_.wrong_detail());
    return false;
  }
  if (parsed.stop == ParseStop::need_more) {
    if (peer_closed_) close();
    return false;
  }
  CHECK(parsed.stop == ParseStop::head);
  begin_exchange();
  return true;
}

void Connection::begin_exchange() {
  host_.count_request();
  Request request = parser_.take_request();
  keep_alive_ = parser_.keep_alive() && !host_.stopping();
  http_1_0_ = parser_.is_http_1_0();
  expects_continue_ = parser_.expects_continue();
  is_head_request_ = request.method == Method::head;
  answer_begun_ = false;
  answer_ended_ = false;
  streamed_ = false;
  chunked_ = false;
  paused_ = false;
  dropping_body_ = false;
  body_bytes_ = 0;
  body_waited_ = {};
  body_bytes_max_ = host_.limits().body_bytes;
  body_done_ = false;
  phase_ = Phase::body;
  has_body_ = request.has_body;
  content_length_ = request.content_length;
  auto exchange = std::make_shared<LiveExchange>(this, std::move(request));
  exchange_ = exchange.get();
  if (too_long()) {
    exchange->respond(problem({.status = 413,
                               .detail = "the body is longer than the " +
                                         std::to_string(body_bytes_max_) + " bytes taken here"}));
    return;
  }
  host_.router().route(exchange);
}

bool Connection::too_long() const {
  return content_length_ > 0 && static_cast<uint64_t>(content_length_) > body_bytes_max_;
}

bool Connection::step_body() {
  bool wanted = sink_ != nullptr || dropping_body_;
  if (wanted && paused_) return false;
  // The end of a request without body is looked for at once, so that a handler finds nothing to
  // read; a body waits for its reader.
  if (!wanted && has_body_) return false;
  Parsed parsed = parser_.put({buffer_.data() + begin_, end_ - begin_});
  begin_ += parsed.consumed;
  switch (parsed.stop) {
    case ParseStop::need_more:
      if (peer_closed_) {
        close();
      } else if (begin_ == 0 && end_ == buffer_.size() && !receive_.busy() &&
                 buffer_.size() >= host_.limits().receive_bytes) {
        refuse(400, "the body's chunks are wrong");  // no line of theirs is that long
      }
      return false;
    case ParseStop::wrong:
      refuse(parser_.wrong_status(), parser_.wrong_detail());
      return false;
    case ParseStop::end:
      body_ended();
      return true;
    case ParseStop::head:
      CHECK(false, "a head inside a body");
      return false;
    case ParseStop::body:
      break;
  }
  std::string_view piece = parser_.body_piece();
  body_bytes_ += piece.size();
  if (dropping_body_) {
    if (body_bytes_ > kDropBytesMax) keep_alive_ = false;
    if (!keep_alive_ && answer_ended_ && out_.empty()) linger();
    return true;
  }
  if (body_bytes_ > body_bytes_max_) {
    refuse(413,
           "the body is longer than the " + std::to_string(body_bytes_max_) + " bytes taken here");
    return false;
  }
  auto sink = sink_;
  sink->on_body(piece);
  return true;
}

void Connection::body_ended() {
  body_done_ = true;
  phase_ = Phase::answer;
  auto sink = std::move(sink_);
  sink_ = nullptr;
  if (sink != nullptr) sink->on_body_end();
  sink = nullptr;
  if (phase_ == Phase::answer) finish_answer();
}

bool Connection::step_linger() {
  begin_ = end_ = 0;
  if (peer_closed_ && out_.empty()) close();
  return false;
}

void Connection::lose_body() {
  auto sink = std::move(sink_);
  sink_ = nullptr;
  if (sink != nullptr) sink->on_body_lost();
}

void Connection::continue_receiving() {
  if (receive_.busy() || peer_closed_) return;
  if (phase_ == Phase::body && has_body_ && (paused_ || (sink_ == nullptr && !dropping_body_))) {
    return;  // what is not read stays with the client
  }
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  const Limits& limits = host_.limits();
  if (phase_ == Phase::body && buffer_.size() < limits.receive_bytes) {
    buffer_.resize(limits.receive_bytes);
  } else if (phase_ == Phase::head && end_ == 0 && buffer_.size() > kFirstBufferBytes) {
    buffer_ = std::vector<char>(kFirstBufferBytes);
  } else if (end_ == buffer_.size() && phase_ == Phase::head) {
    // One byte beyond the limit lets the parser see that it was passed.
    buffer_.resize(std::min<size_t>(buffer_.size() * 2, limits.header_bytes + 4'096));
  }
  if (end_ == buffer_.size()) return;  // pipelined requests wait for this answer
  receive_began_ = host_.loop().now();
  std::span<char> space(buffer_.data() + end_, buffer_.size() - end_);
  host_.loop().ring().receive(receive_, socket_, std::as_writable_bytes(space));
}

void Connection::on_received(int32_t result) {
  if (phase_ == Phase::closed) {
    finish_close();
    return;
  }
  if (result < 0) {
    close();
    return;
  }
  if (result == 0) {
    peer_closed_ = true;
    process();
    return;
  }
  end_ += static_cast<size_t>(result);
  if (phase_ == Phase::body) {
    body_waited_ = body_waited_ + (host_.loop().now() - receive_began_);
    if (body_too_slow()) {
      refuse(408, "the body came too slowly");
      return;
    }
  }
  process();
}

bool Connection::body_too_slow() const {
  const Limits& limits = host_.limits();
  if (body_waited_ <= limits.body_time) return false;
  uint64_t expected =
      static_cast<uint64_t>(body_waited_.whole_seconds()) * limits.body_bytes_per_second;
  return body_bytes_ + (end_ - begin_) < expected;
}

// ---- answering -------------------------------------------------------------------------------

void Connection::read_body(uint64_t bytes_max, std::shared_ptr<BodySink> sink) {
  CHECK(sink_ == nullptr, "a body has one reader");
  body_bytes_max_ = std::min(body_bytes_max_, bytes_max);
  sink_ = std::move(sink);
  if (too_long()) {
    refuse(413,
           "the body is longer than the " + std::to_string(body_bytes_max_) + " bytes taken here");
    return;
  }
  if (body_done_) {
    // Only where there was none: its end was met before the reader came.
    auto reader = std::move(sink_);
    sink_ = nullptr;
    reader->on_body_end();
    return;
  }
  if (expects_continue_ && body_bytes_ == 0 && begin_ == end_ && !answer_begun_) {
    queue("HTTP/1.1 100 Continue\r\n\r\n");
    send_more();
  }
  expects_continue_ = false;
  receive_began_ = host_.loop().now();
  process();
}

void Connection::resume_body() {
  if (!paused_) return;
  paused_ = false;
  process();
}

void Connection::answer(Response response, bool streamed) {
  CHECK(!answer_begun_);
  answer_begun_ = true;
  streamed_ = streamed;
  chunked_ = streamed && !http_1_0_;
  if (streamed && http_1_0_) keep_alive_ = false;
  if (host_.stopping()) keep_alive_ = false;
  if (phase_ == Phase::body && has_body_) {
    // Answered before the body's end. A client that waits for 100 may or may not send it now.
    int64_t length = content_length_;
    if (expects_continue_ || length > static_cast<int64_t>(kDropBytesMax)) keep_alive_ = false;
    dropping_body_ = true;
    paused_ = false;
    body_bytes_ = 0;
    sink_ = nullptr;
  }
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " ";
  head += reason_of(response.status);
  head += "\r\nDate: ";
  head += host_.date();
  if (!response.content_type.empty()) head += "\r\nContent-Type: " + response.content_type;
  for (const Header& header : response.headers) {
    CHECK(header.second.find_first_of("\r\n") == std::string::npos, "a header is one line");
    head += "\r\n" + header.first + ": " + header.second;
  }
  if (chunked_) {
    head += "\r\nTransfer-Encoding: chunked";
  } else if (!streamed_) {
    head += "\r\nContent-Length: " + std::to_string(response.body.size());
  }
  if (!keep_alive_) {
    head += "\r\nConnection: close";
  } else if (http_1_0_) {
    head += "\r\nConnection: keep-alive";
  }
  head += "\r\n\r\n";
  queue(std::move(head));
  if (streamed) {
    if (!response.body.empty()) write(std::move(response.body));
  } else {
    if (!is_head_request_ && !response.body.empty()) queue(std::move(response.body));
    answer_ended_ = true;
  }
  send_more();
  process();
}

bool Connection::write(std::string piece) {
  CHECK(streamed_ && !answer_ended_, "write() belongs between begin_stream() and end()");
  if (!piece.empty() && !is_head_request_) {
    if (chunked_) {
      char size[20];
      int length = std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
      queue(std::string(size, static_cast<size_t>(length)));
      piece += "\r\n";
    }
    queue(std::move(piece));
    send_more();
  }
  return out_bytes_ < host_.limits().send_bytes;
}

void Connection::end_stream() {
  CHECK(streamed_ && !answer_ended_);
  answer_ended_ = true;
  if (chunked_ && !is_head_request_) queue("0\r\n\r\n");
  send_more();
  finish_answer();
  process();
}

void Connection::exchange_dropped() {
  exchange_ = nullptr;
  if (phase_ == Phase::closed) return;
  if (!answer_begun_) {
    keep_alive_ = keep_alive_ && body_done_;
    answer(problem({.status = 500, .detail = "the request was given up"}), false);
  } else if (!answer_ended_) {
    close();  // a stream that breaks off must not look complete
  }
}

// An answer of ours instead of the handler's, after which the connection ends.
void Connection::refuse(uint16_t status, std::string_view detail) {
  keep_alive_ = false;
  if (answer_begun_ && !answer_ended_) {
    close();
    return;
  }
  bool answered = answer_begun_;
  if (exchange_ != nullptr) {
    exchange_->answered_ = true;
    exchange_->connection_ = nullptr;
    exchange_ = nullptr;
  }
  phase_ = Phase::lingering;
  if (!answered) {
    is_head_request_ = false;
    answer(problem({.status = status, .detail = std::string(detail)}), false);
  }
  lose_body();
  if (phase_ == Phase::lingering) {
    begin_ = end_ = 0;
    continue_receiving();
    arm_for_phase();
  }
}

void Connection::queue(std::string bytes) {
  out_bytes_ += bytes.size();
  out_.push_back(std::move(bytes));
}

void Connection::send_more() {
  constexpr size_t kPiecesMax = 64;
  if (send_.busy() || out_.empty() || phase_ == Phase::closed) return;
  pieces_.clear();
  size_t skip = out_sent_;
  for (std::string& piece : out_) {
    if (pieces_.size() == kPiecesMax) break;
    pieces_.push_back({piece.data() + skip, piece.size() - skip});
    skip = 0;
  }
  host_.loop().ring().send(send_, socket_, pieces_);
  arm_for_phase();
}

void Connection::on_sent(int32_t result) {
  if (phase_ == Phase::closed) {
    finish_close();
    return;
  }
  if (result <= 0) {
    close();
    return;
  }
  size_t sent = static_cast<size_t>(result);
  CHECK(sent <= out_bytes_);
  out_bytes_ -= sent;
  sent += out_sent_;
  while (!out_.empty() && sent >= out_.front().size()) {
    sent -= out_.front().size();
    out_.pop_front();
  }
  out_sent_ = sent;
  waiting_ = Wait::nothing;
  send_more();
  if (drained_ && out_bytes_ <= host_.limits().send_bytes / 2) {
    auto call = std::move(drained_);
    drained_ = nullptr;
    call();
  }
  if (phase_ == Phase::closed) return;
  finish_answer();
  process();
}

void Connection::finish_answer() {
  if (!answer_ended_ || !out_.empty()) return;
  if (phase_ == Phase::answer) {
    next_request();
  } else if (phase_ == Phase::body && !keep_alive_ && dropping_body_) {
    linger();
  } else if (phase_ == Phase::lingering && peer_closed_) {
    close();
  }
}

void Connection::next_request() {
  if (exchange_ != nullptr) {
    exchange_->connection_ = nullptr;
    exchange_ = nullptr;
  }
  drained_ = nullptr;
  if (!keep_alive_) {
    if (begin_ == end_) {
      close();
    } else {
      linger();
    }
    return;
  }
  if (host_.stopping() && begin_ == end_) {
    close();
    return;
  }
  parser_.reset();
  answer_begun_ = false;
  head_begun_ = false;
  phase_ = Phase::head;
  arm(Wait::idle, host_.limits().idle_time);
}

void Connection::linger() {
  if (exchange_ != nullptr) {
    exchange_->connection_ = nullptr;
    exchange_ = nullptr;
  }
  lose_body();
  phase_ = Phase::lingering;
  begin_ = end_ = 0;
}

// ---- time and end ----------------------------------------------------------------------------

void Connection::arm(Wait wait, Duration after) {
  waiting_ = wait;
  host_.loop().timers().arm(timer_, host_.loop().now() + after);
}

// Idle and head times run on from their first byte; the others begin anew with every progress.
void Connection::arm_for_phase() {
  if (phase_ == Phase::closed) return;
  const Limits& limits = host_.limits();
  if (send_.busy()) {
    if (waiting_ != Wait::send) arm(Wait::send, limits.send_time);
    return;
  }
  if (phase_ == Phase::head) {
    if (waiting_ != Wait::idle && waiting_ != Wait::head) arm(Wait::idle, limits.idle_time);
  } else if (phase_ == Phase::body && receive_.busy() && !paused_ &&
             (sink_ != nullptr || dropping_body_)) {
    arm(Wait::body, limits.body_time);
  } else if (phase_ == Phase::lingering) {
    if (waiting_ != Wait::linger) arm(Wait::linger, limits.linger_time);
  } else {
    waiting_ = Wait::nothing;
    host_.loop().timers().disarm(timer_);
  }
}

void Connection::on_timeout() {
  switch (waiting_) {
    case Wait::head:
      refuse(408, "the request line and headers came too slowly");
      return;
    case Wait::body:
      refuse(408, "the body came too slowly");
      return;
    case Wait::nothing:
    case Wait::idle:
    case Wait::send:
    case Wait::linger:
      close();
      return;
  }
}

void Connection::close() {
  if (phase_ == Phase::closed) return;
  phase_ = Phase::closed;
  host_.loop().timers().disarm(timer_);
  drained_ = nullptr;
  if (exchange_ != nullptr) {
    exchange_->connection_ = nullptr;
    exchange_ = nullptr;
  }
  lose_body();
  if (receive_.busy()) host_.loop().ring().cancel(receive_);
  if (send_.busy()) host_.loop().ring().cancel(send_);
  finish_close();
}

void Connection::finish_close() {
  if (receive_.busy() || send_.busy() || socket_ < 0) return;
  close_descriptor(socket_);
  socket_ = -1;
  host_.on_closed(this);
}

}  // namespace postring::http
