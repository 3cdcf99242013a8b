#include "http/connection.h"

#include <cstring>

#include "base/check.h"
#include "http/problem.h"
#include "io/socket.h"

namespace postring::http {
namespace {

constexpr size_t kFirstBufferBytes = 4'096;

}  // namespace

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

std::optional<Instant> Connection::idle_since() const {
  bool idle = phase_ == Phase::head && !head_begun_ && begin_ == end_;
  return idle ? answered_at_ : std::nullopt;
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
  if (!refused_at_once(exchange)) host_.router().route(exchange);
}

bool Connection::refused_at_once(const ExchangePtr& exchange) {
  if (too_long()) {
    exchange->respond(problem({.status = 413,
                               .detail = "the body is longer than the " +
                                         std::to_string(body_bytes_max_) + " bytes taken here"}));
    return true;
  }
  if (host_.too_much_unread()) {
    exchange->respond(problem({.status = 503,
                               .type = "answers-unread",
                               .detail = "too many answers wait for clients to read them",
                               .retry_after = Duration::seconds(1)}));
    return true;
  }
  return false;
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
  host_.count_unread(-static_cast<int64_t>(out_bytes_));
  out_bytes_ = 0;
  host_.on_closed(this);
}

}  // namespace postring::http
