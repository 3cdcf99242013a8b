// The answering half of a connection, and the exchanges that handlers answer through.
#include <cstdio>

#include "base/check.h"
#include "http/connection.h"
#include "http/problem.h"

namespace postring::http {
namespace {

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
  host_.count_answer(response.status);
  streamed_ = streamed;
  chunked_ = streamed && !http_1_0_;
  if (streamed && http_1_0_) keep_alive_ = false;
  if (host_.stopping() || host_.place_wanted()) keep_alive_ = false;
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
  host_.count_unread(static_cast<int64_t>(bytes.size()));
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
  host_.count_unread(-static_cast<int64_t>(sent));
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
  answered_at_ = host_.loop().now();
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

}  // namespace postring::http
