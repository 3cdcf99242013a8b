// Request and Response as values, and what they may cost.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/units.h"

namespace postring::http {

enum class Method : uint8_t { get, head, post, put, patch, remove, options, other };

std::string_view name_of(Method method);

// Names are lower case in requests; as given in responses.
using Header = std::pair<std::string, std::string>;

struct Request {
  Method method = Method::other;
  std::string path;  // as sent, percent-encoding included, without the query
  std::vector<Header> headers;
  std::vector<Header> query;       // decoded, in order
  std::vector<Header> parameters;  // of the route's {names}, decoded
  int64_t content_length = -1;     // -1: no body, or a chunked one
  bool has_body = false;

  // The first of the name, empty where there is none.
  std::string_view header(std::string_view lower_case_name) const;
  std::string_view query_value(std::string_view name) const;
  bool has_query(std::string_view name) const;
  std::string_view parameter(std::string_view name) const;
};

struct Response {
  uint16_t status = 200;
  std::vector<Header> headers;  // beside Content-Length, Content-Type, Date and Connection
  std::string content_type = "application/json";
  std::string body;
};

std::string_view reason_of(uint16_t status);

// What one server may cost. A limit that is reached is answered, not crashed into.
struct Limits {
  uint32_t connections = 1'024;                  // beyond, idle ones make room, or more wait
  uint32_t header_bytes = 16 * 1'024;            // request line and headers: 431
  uint32_t headers = 100;                        // 431
  uint64_t body_bytes = 64u << 20;               // as sent; a handler may ask for less: 413
  Duration header_time = Duration::seconds(10);  // from the first byte to the empty line: 408
  Duration idle_time = Duration::seconds(75);    // between two requests
  Duration body_time = Duration::seconds(30);    // without a byte while one is wanted: 408
  uint32_t body_bytes_per_second = 256;          // a slower body is cut off after body_time
  Duration send_time = Duration::seconds(30);    // without the client taking a byte
  Duration linger_time = Duration::seconds(1);   // after an answer that ends the connection
  uint32_t receive_bytes = 64 * 1'024;           // a connection's buffer while a body comes in
  uint32_t send_bytes = 1u << 20;  // of a streamed answer, waiting: write() says to stop
  // Of answers that their clients have not read yet, all connections together: beyond, requests
  // are answered with 503 until some were.
  uint64_t unread_bytes = 256u << 20;
};

}  // namespace postring::http
