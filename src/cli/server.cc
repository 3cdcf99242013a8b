#include "cli/server.h"

#include <fmt/format.h>

#include <cstring>

#include "engine/config.h"
#include "io/file.h"

namespace postring::cli {

namespace {

constexpr uint64_t kKeyFileBytesMax = 4'096;

Result<std::string> socket_of(const ServerOptions& options) {
  if (!options.socket.empty()) return options.socket;
  if (options.config.empty()) return kDefaultSocket;
  auto config = engine::load_config(options.config);
  if (!config) return fail(config.error().front().text());
  return config->control.socket;
}

}  // namespace

Server::Server(ServerAddress address, Headers headers, std::string tenant)
    : client_(std::make_unique<ApiClient>(std::move(address), std::move(headers))),
      tenant_(std::move(tenant)) {}

Result<Server> Server::over_socket(const ServerOptions& options) {
  auto path = socket_of(options);
  if (!path) return std::unexpected(path.error());
  return Server(ServerAddress::unix_socket(*path), {}, options.tenant);
}

Result<Server> Server::over_url(const ServerOptions& options) {
  auto address = ServerAddress::parse(options.url.empty() ? kDefaultUrl : options.url);
  if (!address) return std::unexpected(address.error());
  std::string key = options.key;
  if (key.empty() && !options.key_file.empty()) {
    auto text = read_whole_file(options.key_file, kKeyFileBytesMax);
    if (!text) return fail(fmt::format("{}: {}", options.key_file, std::strerror(text.error())));
    key = *text;
    key.erase(key.find_last_not_of(" \r\n\t") + 1);
  }
  if (!options.tenant.empty()) {
    return fail("--tenant is for the operator's socket; a key acts for its own tenant");
  }
  if (key.empty()) {
    return fail(
        "an API key is needed: --key, --key-file or $POSTRING_KEY; "
        "`postring key create --tenant NAME --scope submit,read` makes one");
  }
  if (key.find_first_of("\r\n") != std::string::npos) return fail("the API key has several lines");
  return Server(std::move(*address), {{"Authorization", "Bearer " + key}}, "");
}

Result<Server> Server::choose(const ServerOptions& options) {
  bool with_key = !options.key.empty() || !options.key_file.empty();
  return with_key && options.socket.empty() ? over_url(options) : over_socket(options);
}

Result<ApiAnswer> Server::call(const ApiRequest& request) {
  ApiRequest sent = request;
  if (!tenant_.empty() && sent.path.starts_with("/v1/")) {
    sent.path += sent.path.find('?') == std::string::npos ? '?' : '&';
    sent.path += "tenant=" + percent_encoded(tenant_);
  }
  auto answer = client_->call(sent);
  if (answer || !client_->address().is_unix) return answer;
  std::string hint;
  if (answer.error().message.ends_with(std::strerror(EACCES))) {
    hint =
        "; the socket's permissions do not let you: run this as its owner, or see [control] mode";
  } else if (answer.error().message.ends_with(std::strerror(ENOENT)) ||
             answer.error().message.ends_with(std::strerror(ECONNREFUSED))) {
    hint = "; does `postring serve` run, and is this its [control] socket (--socket, --config)?";
  }
  return fail(answer.error().message + hint);
}

Result<JsonDocument> Server::ask(const ApiRequest& request) {
  auto answer = call(request);
  if (!answer) return std::unexpected(answer.error());
  if (!answer->good()) return fail(problem_text(*answer));
  return JsonDocument::parse(answer->body.empty() ? "{}" : std::string_view(answer->body));
}

Result<JsonDocument> Server::get(const std::string& path) {
  return ask({.method = "GET", .path = path});
}

Result<JsonDocument> Server::post(const std::string& path, std::string body) {
  return ask({.method = "POST", .path = path, .body = std::move(body)});
}

std::string problem_text(const ApiAnswer& answer) {
  auto document = JsonDocument::parse(answer.body);
  if (!document || answer.content_type.find("json") == std::string::npos)
    return fmt::format("the server answered with status {}", answer.status);
  JsonView problem = document->root();
  std::string detail = problem.text("detail");
  std::string text = detail.empty() ? problem.text("title") : detail;
  std::string field = problem.text("field");
  if (!field.empty() && !text.starts_with(field + " ")) text = field + ": " + text;
  for (JsonView mistake : problem.list("mistakes")) {
    text += fmt::format("\n  {}:{}: {}{}{}", mistake.text("file"), mistake.text("line"),
                        mistake.text("key"), mistake.text("key").empty() ? "" : ": ",
                        mistake.text("message"));
  }
  return fmt::format("{} ({})", text, answer.status);
}

std::string query_of(const Headers& values) {
  std::string query;
  for (const auto& [name, value] : values) {
    if (value.empty()) continue;
    query += (query.empty() ? "?" : "&") + name + "=" + percent_encoded(value);
  }
  return query;
}

}  // namespace postring::cli
