// Server: the daemon as a command sees it: where it is, who asks, and answers as JSON or as a
// sentence about what went wrong.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "cli/api_client.h"
#include "cli/json_document.h"

namespace postring::cli {

// What the command line (or the environment) says about the server.
struct ServerOptions {
  std::string socket;    // --socket, $POSTRING_SOCKET
  std::string config;    // --config: its [control] socket
  std::string url;       // --url, $POSTRING_URL
  std::string key;       // --key, $POSTRING_KEY
  std::string key_file;  // --key-file
  std::string tenant;    // --tenant, with the socket
  bool json = false;     // --json
};

inline constexpr const char* kDefaultSocket = "/run/postring/control.sock";
inline constexpr const char* kDefaultUrl = "http://127.0.0.1:8025";

class Server {
 public:
  // The operator's socket.
  static Result<Server> over_socket(const ServerOptions& options);
  // The API with a key.
  static Result<Server> over_url(const ServerOptions& options);
  // The API where a key is given, the socket otherwise.
  static Result<Server> choose(const ServerOptions& options);

  // The answer's document, or a sentence: what the server refused and why, or why it cannot be
  // reached.
  Result<JsonDocument> ask(const ApiRequest& request);
  Result<JsonDocument> get(const std::string& path);
  Result<JsonDocument> post(const std::string& path, std::string body = {});

  // As it came; for those who look at the status themselves.
  Result<ApiAnswer> call(const ApiRequest& request);

 private:
  Server(ServerAddress address, Headers headers, std::string tenant);

  std::unique_ptr<ApiClient> client_;
  std::string tenant_;  // whose requests under /v1 are, over the socket; empty: every tenant's
};

// "409 wrong-state: the campaign is complete", with further lines for mistakes, if any.
std::string problem_text(const ApiAnswer& answer);

// "campaign=1a&limit=5" from what is not empty.
std::string query_of(const Headers& values);

}  // namespace postring::cli
