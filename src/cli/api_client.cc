#include "cli/api_client.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

namespace postring::cli {

namespace {

namespace beast = boost::beast::http;
using ResponseParser = beast::response_parser<beast::string_body>;

constexpr size_t kReadBytes = 64 * 1'024;

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

std::string reason(int error) {
  return std::strerror(error);
}

Result<ApiAnswer> answer_of(ResponseParser& parser) {
  auto& message = parser.get();
  ApiAnswer answer;
  answer.status = static_cast<int>(message.result_int());
  answer.content_type = std::string(message[beast::field::content_type]);
  auto retry_after = message[beast::field::retry_after];
  int64_t seconds = 0;
  std::from_chars(retry_after.data(), retry_after.data() + retry_after.size(), seconds);
  answer.retry_after = Duration::seconds(seconds);
  answer.body = std::move(message.body());
  return answer;
}

}  // namespace

Result<ServerAddress> ServerAddress::parse(std::string_view text) {
  constexpr std::string_view kHttp = "http://", kUnix = "unix:";
  if (text.starts_with(kUnix)) return unix_socket(std::string(text.substr(kUnix.size())));
  if (!text.starts_with(kHttp)) {
    return fail(
        fmt::format("'{}': expected http://HOST:PORT or unix:/path (TLS is not there yet)", text));
  }
  std::string_view rest = text.substr(kHttp.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  ServerAddress address;
  size_t colon = rest.rfind(':');
  size_t bracket = rest.rfind(']');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    std::string_view port = rest.substr(colon + 1);
    auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (error != std::errc{} || end != port.data() + port.size() || address.port == 0)
      return fail(fmt::format("'{}': '{}' is no port", text, port));
    rest = rest.substr(0, colon);
  }
  if (rest.starts_with('[') && rest.ends_with(']')) rest = rest.substr(1, rest.size() - 2);
  if (rest.empty() || rest.find('/') != std::string_view::npos)
    return fail(fmt::format("'{}': expected http://HOST:PORT without a path", text));
  address.host = rest;
  return address;
}

ServerAddress ServerAddress::unix_socket(std::string path) {
  ServerAddress address;
  address.is_unix = true;
  address.path = std::move(path);
  return address;
}

std::string ServerAddress::text() const {
  if (is_unix) return path;
  bool bracket = host.find(':') != std::string::npos;
  return fmt::format("http://{}{}{}:{}", bracket ? "[" : "", host, bracket ? "]" : "", port);
}

ApiClient::ApiClient(ServerAddress address, Headers headers)
    : address_(std::move(address)), headers_(std::move(headers)) {}

ApiClient::~ApiClient() {
  close();
}

void ApiClient::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

// True: ready. False: the time is over.
Result<bool> ApiClient::wait_for(short events, Duration timeout) {
  pollfd wanted{.fd = socket_, .events = events, .revents = 0};
  while (true) {
    int ready = ::poll(&wanted, 1, static_cast<int>(timeout.whole_ms()));
    if (ready >= 0) return ready > 0;
    if (errno != EINTR) return fail(reason(errno));
  }
}

Result<void> ApiClient::connect(Duration timeout) {
  std::unique_ptr<addrinfo, FreeAddresses> found;
  sockaddr_un path{};
  addrinfo local{};
  if (address_.is_unix) {
    if (address_.path.size() >= sizeof path.sun_path)
      return fail(fmt::format("{}: the path is too long for a socket", address_.path));
    path.sun_family = AF_UNIX;
    std::memcpy(path.sun_path, address_.path.c_str(), address_.path.size() + 1);
    local.ai_family = AF_UNIX;
    local.ai_addr = reinterpret_cast<sockaddr*>(&path);
    local.ai_addrlen = sizeof path;
  } else {
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    int error =
        ::getaddrinfo(address_.host.c_str(), std::to_string(address_.port).c_str(), &wanted, &list);
    if (error != 0) return fail(fmt::format("{}: {}", address_.text(), ::gai_strerror(error)));
    found.reset(list);
  }
  std::string last = "no address";
  for (addrinfo* one = address_.is_unix ? &local : found.get(); one != nullptr;
       one = one->ai_next) {
    socket_ = ::socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (socket_ < 0) return fail(reason(errno));
    int error = 0;
    if (::connect(socket_, one->ai_addr, one->ai_addrlen) != 0) error = errno;
    if (error == EINPROGRESS) {
      auto ready = wait_for(POLLOUT, timeout);
      socklen_t size = sizeof error;
      if (!ready) return std::unexpected(ready.error());
      if (!*ready) {
        error = ETIMEDOUT;
      } else {
        ::getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
      }
    }
    if (error == 0) return {};
    last = reason(error);
    close();
  }
  return fail(fmt::format("cannot reach postring at {}: {}", address_.text(), last));
}

Result<void> ApiClient::send_all(std::string_view bytes, Duration timeout) {
  while (!bytes.empty()) {
    ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN) {
      auto ready = wait_for(POLLOUT, timeout);
      if (!ready) return std::unexpected(ready.error());
      if (!*ready) return fail(fmt::format("{} takes nothing any more", address_.text()));
    } else if (errno != EINTR) {
      return fail(fmt::format("{}: {}", address_.text(), reason(errno)));
    }
  }
  return {};
}

std::string ApiClient::head_of(const ApiRequest& request) const {
  std::string host = address_.is_unix ? "localhost" : address_.text().substr(7);
  std::string head = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n",
                                 request.method, request.path, host);
  for (const Headers* list : {&headers_, &request.headers})
    for (const auto& [name, value] : *list) head += fmt::format("{}: {}\r\n", name, value);
  if (!request.body.empty()) head += fmt::format("Content-Type: {}\r\n", request.content_type);
  if (!request.body.empty() || request.method == "POST")
    head += fmt::format("Content-Length: {}\r\n", request.body.size());
  return head + "\r\n";
}

Result<ApiAnswer> ApiClient::receive(const ApiRequest& request, bool& silent) {
  ResponseParser parser;
  parser.eager(true);
  parser.body_limit(kAnswerBytesMax);
  if (request.method == "HEAD") parser.skip(true);
  std::string held;
  std::string buffer(kReadBytes, '\0');
  while (!parser.is_done()) {
    ssize_t size = ::recv(socket_, buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) {
      auto ready = wait_for(POLLIN, request.timeout);
      if (!ready) return std::unexpected(ready.error());
      if (!*ready) return fail(fmt::format("no answer from {}", address_.text()));
      continue;
    }
    boost::system::error_code error;
    if (size <= 0) {
      silent = held.empty() && !parser.got_some();
      if (size == 0 && !silent) parser.put_eof(error);
      if (size == 0 && !silent && !error && parser.is_done()) break;
      return fail(fmt::format("{} closed the connection before it had answered", address_.text()));
    }
    held.append(buffer.data(), static_cast<size_t>(size));
    size_t used = parser.put(boost::asio::buffer(held), error);
    held.erase(0, used);
    if (error && error != beast::error::need_more) {
      return fail(
          fmt::format("{} gave an answer that is no HTTP: {}", address_.text(), error.message()));
    }
  }
  bool keep = parser.get().keep_alive();
  auto answer = answer_of(parser);
  if (!keep) close();
  return answer;
}

Result<ApiAnswer> ApiClient::call(const ApiRequest& request) {
  std::string head = head_of(request);
  for (int attempt = 0;; ++attempt) {
    bool fresh = socket_ < 0;
    if (fresh) {
      if (auto connected = connect(request.timeout); !connected)
        return std::unexpected(connected.error());
    }
    bool silent = false;
    auto sent = send_all(head, request.timeout);
    if (sent) sent = send_all(request.body, request.timeout);
    // A server that refuses a body answers before it has read it, and may close: listen first.
    auto answer = receive(request, silent);
    if (answer) return answer;
    close();
    // A kept connection may have been closed while it was idle; nothing was read on the other side.
    if (!fresh && silent && attempt == 0) continue;
    return sent ? answer : std::unexpected(sent.error());
  }
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                 c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", byte);
    }
  }
  return out;
}

}  // namespace postring::cli
