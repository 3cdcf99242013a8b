#include "http/parser.h"

// Beast asserts that the final chunk comes with five bytes at least; a client that sends an empty
// chunked body byte by byte breaks that, and nothing but the assertion depends on it.
#define BOOST_DISABLE_ASSERTS
// g++ 12 sees an optional read uninitialised in Beast's Content-Length where sanitisers are on.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <boost/beast/http/basic_parser.hpp>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#include <optional>

#include "base/check.h"
#include "http/url.h"

namespace postring::http {
namespace beast = boost::beast::http;
namespace {

constexpr uint64_t kFramingBytesMax = 64 * 1'024;

Method method_of(beast::verb verb) {
  switch (verb) {
    case beast::verb::get:
      return Method::get;
    case beast::verb::head:
      return Method::head;
    case beast::verb::post:
      return Method::post;
    case beast::verb::put:
      return Method::put;
    case beast::verb::patch:
      return Method::patch;
    case beast::verb::delete_:
      return Method::remove;
    case beast::verb::options:
      return Method::options;
    default:
      return Method::other;
  }
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equal_fold(std::string_view text, std::string_view lower_case) {
  if (text.size() != lower_case.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (lower(text[i]) != lower_case[i]) return false;
  }
  return true;
}

std::string_view view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

class RequestParser::Grammar final : public beast::basic_parser<true> {
 public:
  explicit Grammar(const Limits& limits) : limits_(limits) {
    header_limit(limits.header_bytes);
    body_limit(UINT64_MAX);  // whoever reads the body limits it
    eager(false);
  }

  Request request;
  bool head_done = false;
  bool head_told = false;
  bool expects_continue = false;
  bool has_host = false;
  int version = 11;
  std::string_view piece;
  uint16_t wrong_status = 0;
  std::string_view wrong_detail;

  void judge(const boost::system::error_code& error) {
    if (wrong_status != 0) return;
    if (error == beast::error::header_limit) {
      set_wrong(431, "the request line and headers are too long");
    } else if (error == beast::error::bad_version) {
      set_wrong(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    } else if (error == beast::error::bad_content_length) {
      set_wrong(400, "Content-Length is wrong, twice, or beside Transfer-Encoding");
    } else if (error == beast::error::bad_transfer_encoding) {
      set_wrong(400, "Transfer-Encoding is wrong, twice, or beside Content-Length");
    } else {
      set_wrong(400, head_done ? "the body's chunks are wrong" : "this is no HTTP request");
    }
  }

 private:
  using ErrorCode = boost::system::error_code;

  void set_wrong(uint16_t status, std::string_view detail) {
    if (wrong_status != 0) return;
    wrong_status = status;
    wrong_detail = detail;
  }

  void refuse(uint16_t status, std::string_view detail, ErrorCode& error) {
    set_wrong(status, detail);
    error = beast::error::bad_value;
  }

  void on_request_impl(beast::verb verb, boost::beast::string_view,
                       boost::beast::string_view target, int spoken, ErrorCode& error) override {
    version = spoken;
    request.method = method_of(verb);
    std::string_view path = view(target);
    if (!path.starts_with('/') && path != "*") {
      // RFC 9112 section 3.2.2: the absolute form must be taken.
      size_t authority = path.find("://");
      if (authority == std::string_view::npos) {
        refuse(400, "the request target must be a path", error);
        return;
      }
      size_t slash = path.find('/', authority + 3);
      path = slash == std::string_view::npos ? "/" : path.substr(slash);
    }
    size_t mark = path.find('?');
    if (mark != std::string_view::npos) {
      auto query = parse_query(path.substr(mark + 1));
      if (!query) {
        refuse(400, "the query has a wrong %-escape", error);
        return;
      }
      request.query = std::move(*query);
      path = path.substr(0, mark);
    }
    request.path = path;
  }

  void on_response_impl(int, boost::beast::string_view, int, ErrorCode&) override {
    CHECK(false, "a parser of requests met a response");
  }

  void on_field_impl(beast::field, boost::beast::string_view name, boost::beast::string_view text,
                     ErrorCode& error) override {
    if (head_done) return;  // trailers mean nothing here
    if (request.headers.size() == limits_.headers) {
      refuse(431, "there are too many headers", error);
      return;
    }
    Header header;
    header.first.reserve(name.size());
    for (char c : view(name)) header.first += lower(c);
    header.second = view(text);
    if (header.first == "transfer-encoding" && !equal_fold(header.second, "chunked")) {
      refuse(501, "the only Transfer-Encoding understood is chunked", error);
      return;
    }
    if (header.first == "host") {
      if (has_host) {
        refuse(400, "there are two Host headers", error);
        return;
      }
      has_host = true;
    }
    if (header.first == "expect") {
      if (!equal_fold(header.second, "100-continue")) {
        refuse(417, "the only Expect understood is 100-continue", error);
        return;
      }
      expects_continue = true;
    }
    request.headers.push_back(std::move(header));
  }

  void on_header_impl(ErrorCode& error) override {
    if (version == 11 && !has_host) {
      refuse(400, "HTTP/1.1 needs a Host header", error);
      return;
    }
    if (version == 10 && chunked()) {
      refuse(400, "HTTP/1.0 has no Transfer-Encoding", error);
      return;
    }
    head_done = true;
    if (auto length = content_length()) {
      if (*length > static_cast<uint64_t>(INT64_MAX)) {
        refuse(413, "the body is too long", error);
        return;
      }
      request.content_length = static_cast<int64_t>(*length);
    }
    request.has_body = chunked() || request.content_length > 0;
    expects_continue = expects_continue && request.has_body && version == 11;
  }

  void on_body_init_impl(const boost::optional<uint64_t>&, ErrorCode&) override {}

  size_t on_body_impl(boost::beast::string_view body, ErrorCode&) override {
    piece = view(body);
    return body.size();
  }

  void on_chunk_header_impl(uint64_t, boost::beast::string_view, ErrorCode&) override {}

  size_t on_chunk_body_impl(uint64_t, boost::beast::string_view body, ErrorCode&) override {
    piece = view(body);
    return body.size();
  }

  void on_finish_impl(ErrorCode&) override {}

  const Limits& limits_;
};

RequestParser::RequestParser(const Limits& limits)
    : limits_(limits), grammar_(std::make_unique<Grammar>(limits_)) {}
RequestParser::~RequestParser() = default;

void RequestParser::reset() {
  grammar_ = std::make_unique<Grammar>(limits_);
  body_bytes_ = framing_bytes_ = 0;
}

Parsed RequestParser::put(std::string_view bytes) {
  Grammar& grammar = *grammar_;
  CHECK(grammar.wrong_status == 0, "a wrong request goes no further");
  Parsed parsed;
  while (true) {
    if (grammar.head_done && !grammar.head_told) {
      grammar.head_told = true;
      parsed.stop = ParseStop::head;
      return parsed;
    }
    if (grammar.is_done()) {
      parsed.stop = ParseStop::end;
      return parsed;
    }
    std::string_view left = bytes.substr(parsed.consumed);
    if (left.empty()) return parsed;
    grammar.piece = {};
    size_t before = parsed.consumed;
    boost::system::error_code error;
    parsed.consumed += grammar.put(boost::asio::const_buffer(left.data(), left.size()), error);
    if (error == beast::error::need_more) return parsed;
    if (error) {
      grammar.judge(error);
      parsed.stop = ParseStop::wrong;
      return parsed;
    }
    if (!count_framing(before, parsed.consumed)) {
      parsed.stop = ParseStop::wrong;
      return parsed;
    }
    if (!grammar.piece.empty()) {
      parsed.stop = ParseStop::body;
      return parsed;
    }
  }
}

// What is no body costs no more than its share: Beast limits a line, not how many there are.
bool RequestParser::count_framing(size_t before, size_t after) {
  Grammar& grammar = *grammar_;
  body_bytes_ += grammar.piece.size();
  framing_bytes_ += after - before - grammar.piece.size();
  if (!grammar.head_done || !grammar.head_told) {
    if (framing_bytes_ <= limits_.header_bytes) return true;
    grammar.wrong_status = 431;
    grammar.wrong_detail = "the request line and headers are too long";
    return false;
  }
  if (framing_bytes_ <= limits_.header_bytes + kFramingBytesMax + 8 * body_bytes_) return true;
  grammar.wrong_status = 400;
  grammar.wrong_detail = "the body's chunks are mostly not body";
  return false;
}

Request RequestParser::take_request() {
  return std::move(grammar_->request);
}
bool RequestParser::keep_alive() const {
  return grammar_->keep_alive();
}
bool RequestParser::is_http_1_0() const {
  return grammar_->version == 10;
}
bool RequestParser::expects_continue() const {
  return grammar_->expects_continue;
}
std::string_view RequestParser::body_piece() const {
  return grammar_->piece;
}
uint16_t RequestParser::wrong_status() const {
  return grammar_->wrong_status;
}
std::string_view RequestParser::wrong_detail() const {
  return grammar_->wrong_detail;
}

}  // namespace postring::http
