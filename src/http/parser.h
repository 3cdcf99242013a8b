// RequestParser: bytes of HTTP/1.1 requests in, one thing at a time out. Boost.Beast does the
// grammar; what is ambiguous or beyond a limit is refused here.
//
//   auto [consumed, stop] = parser.put(bytes);
//
// put() consumes whole elements (a line of the head, a chunk's size, any part of a body); need_more
// means: give what was not consumed again, with more behind it. After `end` or `wrong` call
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
  bool count_framing(size_t before, size_t after);

  Limits limits_;
  std::unique_ptr<Grammar> grammar_;
  uint64_t body_bytes_ = 0;
  uint64_t framing_bytes_ = 0;
};

}  // namespace postring::http
