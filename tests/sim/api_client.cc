#include "sim/api_client.h"

#include <charconv>
#include <utility>

namespace postring::sim {
namespace {

constexpr Duration kPatience = Duration::minutes(2);

// One request and its answer.
class Exchange final : public Actor, public std::enable_shared_from_this<Exchange> {
 public:
  using Done = std::function<void(const ApiClient::Reply&)>;

  Exchange(std::string request, bool loses, Random& random, Done done)
      : request_(std::move(request)), loses_(loses), random_(random), done_(std::move(done)) {}

  void on_open(Stream& stream) override {
    stream_ = stream.shared_from_this();
    bool loses_request = loses_ && random_.chance(1, 2);
    stream.say(loses_request ? request_.substr(0, random_.below(request_.size())) : request_);
    if (loses_request) lose();
  }

  void on_bytes(Stream&, std::string_view bytes, Instant) override {
    if (!done_) return;
    if (loses_) return lose();
    answer_ += bytes;
    size_t head = answer_.find("\r\n\r\n");
    if (head == std::string::npos) return;
    size_t length = 0;
    size_t at = answer_.find("Content-Length: ");
    if (at != std::string::npos && at < head) {
      std::from_chars(answer_.data() + at + 16, answer_.data() + head, length);
    }
    if (answer_.size() < head + 4 + length) return;
    ApiClient::Reply reply;
    std::from_chars(answer_.data() + 9, answer_.data() + 12, reply.status);
    reply.body = answer_.substr(head + 4, length);
    end(reply);
  }

  void on_end(Stream&, bool) override { end({}); }

  void lose() {
    stream_->abort();
    end({});
  }

  void end(const ApiClient::Reply& reply) {
    if (!done_) return;
    if (stream_ != nullptr) stream_->finish();
    stream_ = nullptr;
    std::exchange(done_, nullptr)(reply);
  }

 private:
  std::string request_;
  bool loses_;
  Random& random_;
  Done done_;
  StreamPtr stream_;
  std::string answer_;
};

bool is_for_good(const ApiClient::Reply& reply) {
  // Another attempt may be at work.
  if (reply.status == 409) return reply.body.find("wrong-state") != std::string::npos;
  return reply.status >= 200 && reply.status < 500 && reply.status != 429 && reply.status != 408;
}

}  // namespace

std::string ApiClient::bytes_of(const Request& request) const {
  std::string bytes = request.method + " " + request.path + " HTTP/1.1\r\nHost: postring\r\n";
  if (!api_key_.empty()) bytes += "Authorization: Bearer " + api_key_ + "\r\n";
  if (!request.type.empty()) bytes += "Content-Type: " + request.type + "\r\n";
  if (!request.key.empty()) bytes += "Idempotency-Key: " + request.key + "\r\n";
  if (request.method == "POST") {
    bytes += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  return bytes + "Connection: close\r\n\r\n" + request.body;
}

void ApiClient::call(Request request, std::function<void(const Reply&)> done) {
  attempt(std::make_shared<Request>(std::move(request)), std::move(done));
}

void ApiClient::attempt(std::shared_ptr<Request> request, std::function<void(const Reply&)> done) {
  auto judge = [this, request, done = std::move(done)](const Reply& reply) {
    if (on_note) {
      on_note("api: " + request->method + " " + request->path + " " + std::to_string(reply.status) +
              (reply.status == 200 ? "" : " " + reply.body));
    }
    if (is_for_good(reply)) return done(reply);
    ++retries_;
    schedule_.after(Duration::milliseconds(random_.between(50, 3'000)),
                    [this, request, done] { attempt(request, done); });
  };
  bool loses = faults_.drawn(random_, faults_.options.client_loss, Fault::client_lost);
  auto exchange = std::make_shared<Exchange>(bytes_of(*request), loses, random_, judge);
  if (!net_.connect_to_process(where_, exchange)) return exchange->end({});
  schedule_.after(kPatience, [weak = std::weak_ptr<Exchange>(exchange)] {
    if (auto waiting = weak.lock()) waiting->end({});
  });
}

}  // namespace postring::sim
