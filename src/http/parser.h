// RequestParser: bytes of HTTP/1.1 requests in, one thing at a time out. Boost.Beast does the
// grammar; what is ambiguous or beyond a limit is refused here.
//
//   auto [consumed, stop] = parser.put(bytes);
//
// A head is taken only when it is there to its empty line: until then put() consumes nothing and
// says need_more; give it the same bytes again with more behind them. After `end` or `wrong` call
// reset() before the next request.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "http/request.h"

namespace postring::http {

enum class ParseStop : uint8_t {
  need_more,
  head,   // take_request() has it; a request without body is followed by `end`
  body,   // body_piece() has some of it, pointing into what was put
  end,    // of the request
  wrong,  // wrong_status() and wrong_detail() say what
};

struct Parsed {
  size_t consumed = 0;
  ParseStop stop = ParseStop::need_more;
};

class RequestParser {
 public:
  explicit RequestParser(const Limits& limits);
  ~RequestParser();

  Parsed put(std::string_view bytes);
  void reset();

  Request take_request();
  bool keep_alive() const;   // what the client wishes
  bool is_http_1_0() const;  // chunks are not understood
  bool expects_continue() const;
  std::string_view body_piece() const;
  uint16_t wrong_status() const;
  std::string_view wrong_detail() const;

 private:
  class Grammar;
  Limits limits_;
  std::unique_ptr<Grammar> grammar_;
};

}  // namespace postring::http
