// Client: a plain socket on the thread of the loop it talks to. Reading turns the loop.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "base/check.h"
#include "io/clock.h"
#include "io/loop.h"
#include "io/socket.h"

namespace postring::http {

class Client {
 public:
  Client(Loop& loop, const SocketAddress& address) : loop_(loop) {
    sockaddr_storage system{};
    socklen_t size = address.to_system(system);
    connect(AF_INET, reinterpret_cast<sockaddr*>(&system), size);
  }
  Client(Loop& loop, const std::string& path) : loop_(loop) {
    sockaddr_un system{};
    system.sun_family = AF_UNIX;
    path.copy(system.sun_path, sizeof system.sun_path - 1);
    connect(AF_UNIX, reinterpret_cast<sockaddr*>(&system), sizeof system);
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  void end_sending() { ::shutdown(socket_, SHUT_WR); }

  // Sends everything, turning the loop where the socket is full. False: the server closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0) {
        bytes.remove_prefix(static_cast<size_t>(sent));
      } else if (sent < 0 && errno != EAGAIN) {
        return false;
      } else {
        turn();
      }
    }
    return true;
  }

  // Sends what the socket takes; -1: nothing now.
  ssize_t send_some(std::string_view bytes) {
    return ::send(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  // What is there now.
  std::string read_now() {
    char buffer[65'536];
    ssize_t got = ::recv(socket_, buffer, sizeof buffer, MSG_DONTWAIT);
    return got > 0 ? std::string(buffer, static_cast<size_t>(got)) : std::string();
  }

  // What came until `enough` says so of all of it, the server closed, or 20 seconds passed.
  template <typename Enough>
  std::string read_until(Enough enough) {
    Instant end = clock_now() + Duration::seconds(20);
    std::string all = std::move(rest_);
    rest_.clear();
    while (!enough(all) && clock_now() < end) {
      static char buffer[1 << 20];
      ssize_t got = ::recv(socket_, buffer, sizeof buffer, MSG_DONTWAIT);
      if (got > 0) {
        all.append(buffer, static_cast<size_t>(got));
      } else if (got == 0 || errno != EAGAIN) {
        closed_ = true;
        break;
      } else {
        turn();
      }
    }
    return all;
  }

  // One whole answer with Content-Length or chunks; what follows stays for the next.
  std::string read_answer() {
    size_t size = 0;
    std::string all = read_until([&](const std::string& text) {
      size = answer_size(text);
      return size > 0;
    });
    if (size == 0) return all;
    rest_ = all.substr(size);
    return all.substr(0, size);
  }

  std::string read_to_end() {
    return read_until([](const std::string&) { return false; });
  }
  bool closed() const { return closed_; }

  void turn() { loop_.turn(clock_now() + Duration::milliseconds(1)); }

  static std::string body_of(const std::string& answer) {
    size_t head = answer.find("\r\n\r\n");
    if (head == std::string::npos) return {};
    std::string body = answer.substr(head + 4);
    if (answer.find("Transfer-Encoding: chunked") > head) return body;
    std::string joined;
    for (size_t at = 0; at < body.size();) {
      size_t line = body.find("\r\n", at);
      size_t size = std::stoul(body.substr(at, line - at), nullptr, 16);
      joined += body.substr(line + 2, size);
      at = line + 2 + size + 2;
    }
    return joined;
  }

 private:
  void connect(int family, sockaddr* address, socklen_t size) {
    socket_ = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(socket_ >= 0);
    CHECK(::connect(socket_, address, size) == 0, "the server listens");
    int on = 1;  // pieces of a request must not wait for each other; fails on a Unix socket
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }

  // 0 where it is not whole yet. An interim answer (100) is one of its own.
  static size_t answer_size(const std::string& text) {
    size_t head = text.find("\r\n\r\n");
    if (head == std::string::npos) return 0;
    head += 4;
    if (text.starts_with("HTTP/1.1 100")) return head;
    size_t length = text.find("Content-Length: ");
    if (length < head) {
      size_t size = head + std::stoul(text.substr(length + 16));
      return text.size() >= size ? size : 0;
    }
    for (size_t at = head; at < text.size();) {
      size_t line = text.find("\r\n", at);
      if (line == std::string::npos) return 0;
      size_t size = std::stoul(text.substr(at, line - at), nullptr, 16);
      at = line + 2 + size + 2;
      if (size == 0) return text.size() >= at ? at : 0;
    }
    return 0;
  }

  Loop& loop_;
  int socket_ = -1;
  std::string rest_;
  bool closed_ = false;
};

}  // namespace postring::http
