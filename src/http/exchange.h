// Exchange: one request on its way to its answer.
//
// A handler gets a shared_ptr and keeps it as long as it works on the answer; when the client goes
// away the object stays, gone() says so, and everything done with it does nothing. A request whose
// last ExchangePtr goes without an answer is answered with 500. Exactly one of these is done:
//
//     respond(response)                              an answer whose size is known
//     begin_stream(response), write() ..., end()     one whose size is not (chunked)
//
// The body, if the request has one, is read by at most one of
//
//     receive_body(bytes_max, sink)     piece by piece, with pause_body() and resume_body()
//     collect_body(bytes_max, done)     whole, for small ones
//
// and what nobody read, or what is left at the answer, is read and dropped, or the connection is
// closed where that costs too much. A body beyond its limit is answered with 413 here; the sink
// then hears on_body_lost(). The 100 of RFC 9110 section 10.1.1 goes out when a handler starts
// reading.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "http/request.h"

namespace postring::http {

class BodySink {
 public:
  virtual ~BodySink() = default;
  // A piece of the body; the view is valid during the call. May pause, answer, or both.
  virtual void on_body(std::string_view bytes) = 0;
  virtual void on_body_end() = 0;
  // The client went, or sent what is no body, or too much of it; an answer is of no use any more.
  virtual void on_body_lost() = 0;
};

class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const Request& request() const = 0;
  // For routers, which put the parameters in.
  virtual Request& edit_request() = 0;

  // The sink is held until the body ended or was lost.
  virtual void receive_body(uint64_t bytes_max, std::shared_ptr<BodySink> sink) = 0;
  virtual void pause_body() = 0;
  virtual void resume_body() = 0;
  // `done` is not called where the body is lost or too long.
  virtual void collect_body(uint64_t bytes_max, std::function<void(std::string body)> done) = 0;

  virtual void respond(Response response) = 0;

  // `response.body` is the first piece.
  virtual void begin_stream(Response response) = 0;
  // False: enough waits to be sent; go on when `when_drained` was called.
  virtual bool write(std::string piece) = 0;
  virtual void when_drained(std::function<void()> call) = 0;
  virtual void end() = 0;

  virtual bool answered() const = 0;
  virtual bool gone() const = 0;
};

using ExchangePtr = std::shared_ptr<Exchange>;
using Handler = std::function<void(ExchangePtr exchange)>;

}  // namespace postring::http
