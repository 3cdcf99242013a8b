// ApiClient: a blocking HTTP/1.1 client for the commands: the API over TCP, the operator's socket
// over a Unix socket.
//
//   ApiClient client(*ServerAddress::parse("http://127.0.0.1:8025"), {{"Authorization", ...}});
//   auto answer = client.call({.method = "GET", .path = "/v1/campaigns"});
//   if (!answer) say(answer.error().message); else if (answer->status >= 400) ...
//
// One connection, kept open between calls; a request that is lost because the server had closed an
// idle connection is sent once more. Errors of the connection say where it went and what can be
// done about it. Not for a worker's thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace postring::cli {

// Where the server is: "http://HOST[:PORT]", or "unix:/path".
struct ServerAddress {
  bool is_unix = false;
  std::string host;  // a name or an address without brackets
  uint16_t port = 80;
  std::string path;  // of the Unix socket

  static Result<ServerAddress> parse(std::string_view text);
  static ServerAddress unix_socket(std::string path);
  std::string text() const;
};

using Headers = std::vector<std::pair<std::string, std::string>>;

struct ApiRequest {
  std::string method = "GET";
  std::string path;  // with its query, percent-encoded
  std::string body = {};
  std::string content_type = "application/json";  // sent where there is a body
  Headers headers = {};
  Duration timeout = Duration::seconds(60);  // without a byte from the server
};

struct ApiAnswer {
  int status = 0;
  std::string content_type;
  Duration retry_after;  // 0: not said
  std::string body;

  bool good() const { return status >= 200 && status < 300; }
};

constexpr uint64_t kAnswerBytesMax = 1u << 30;

class ApiClient {
 public:
  // `headers` go with every request.
  ApiClient(ServerAddress address, Headers headers);
  ~ApiClient();
  ApiClient(const ApiClient&) = delete;
  ApiClient& operator=(const ApiClient&) = delete;

  // Any answer of the server is a success here; an error is one of the connection.
  Result<ApiAnswer> call(const ApiRequest& request);

  const ServerAddress& address() const { return address_; }

 private:
  Result<void> connect(Duration timeout);
  Result<void> send_all(std::string_view bytes, Duration timeout);
  // `silent` becomes true where the connection ended before the first byte of an answer.
  Result<ApiAnswer> receive(const ApiRequest& request, bool& silent);
  Result<bool> wait_for(short events, Duration timeout);
  void close();
  std::string head_of(const ApiRequest& request) const;

  ServerAddress address_;
  Headers headers_;
  int socket_ = -1;
};

// For a path's segment or a query's value.
std::string percent_encoded(std::string_view text);

}  // namespace postring::cli
