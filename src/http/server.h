// Server: HTTP/1.1 (RFC 9112) on a worker's ring, over TCP and Unix sockets.
//
//   http::Server server(loop, router, limits);
//   server.listen(listener);           // a listening descriptor, the server's from now on
//   ...
//   server.stop([&] { ... });          // no new requests; called when the last answer is out
//
// Connections are kept alive. When all places are taken and another client comes, who is idle
// longest leaves, or else who is answered next. Pipelined requests are answered in order, one at a
// time. Handlers run on the worker's thread and must not block. The router must outlive the server.
// The server may be destroyed only after stop() called back: until then the kernel has its buffers.
//
// What the client does wrong is answered with a problem document (http/problem.h) and ends the
// connection where its next byte could not be told apart any more: 400, 408, 413, 417, 431, 501,
// 505. A message that says both Content-Length and Transfer-Encoding, or a Transfer-Encoding other
// than chunked, is refused (RFC 9112 section 6.3).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "http/exchange.h"
#include "http/router.h"
#include "io/loop.h"

namespace postring::http {

// Since the start.
struct ServerCounters {
  uint64_t requests = 0;
  uint64_t answers_4xx = 0;
  uint64_t answers_5xx = 0;
};

class Server {
 public:
  Server(Loop& loop, const Router& router, const Limits& limits);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void listen(int listener);

  // For what begins from now on; nobody is sent away for them.
  void set_limits(const Limits& limits);

  // Stops accepting, closes idle connections, lets requests in flight end (with
  // "Connection: close") but no longer than `patience`, then calls `stopped` once.
  void stop(Duration patience, std::function<void()> stopped);

  size_t connections() const;
  const ServerCounters& counters() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace postring::http
