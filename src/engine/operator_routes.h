// OperatorRoutes: what operators ask over the control socket, beside the whole of /v1.
//
// The socket's file permissions are the authorisation; its callers see every tenant, or with
// ?tenant=NAME act for one. Lives on the control worker, with an HTTP server of its own.
//
//     GET    /operator/status            POST /operator/retry      {"domain"}
//     POST   /operator/reload            POST /operator/dns/flush  {"name"}
//     POST   /operator/stop              POST /operator/try        {"address", ...}
//     GET    /operator/keys?tenant=      GET  /operator/verp/{token}
//     POST   /operator/keys              GET  /operator/lanes
//     DELETE /operator/keys/{id}
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "engine/control.h"
#include "engine/worker.h"
#include "http/router.h"
#include "http/server.h"
#include "reporting/log.h"
#include "submission/api.h"

namespace postring::engine {

class OperatorRoutes {
 public:
  OperatorRoutes(Worker& worker, Control& control, reporting::Log& log, std::function<void()> stop);
  OperatorRoutes(const OperatorRoutes&) = delete;
  OperatorRoutes& operator=(const OperatorRoutes&) = delete;

  void listen(int listener) { server_.listen(listener); }
  void stop(std::function<void()> stopped) {
    server_.stop(Duration::seconds(2), std::move(stopped));
  }

  // Reads and judges the configuration file; applies all of it, or says every mistake. `done` gets
  // the answer's JSON document.
  struct Reloaded {
    bool applied = false;
    std::string json;
  };
  void reload(std::move_only_function<void(Reloaded)> done);

 private:
  void add_routes();
  void status(http::ExchangePtr exchange);
  void create_key(http::ExchangePtr exchange, const std::string& body);
  void list_keys(http::ExchangePtr exchange);
  void revoke_key(http::ExchangePtr exchange);
  void retry(http::ExchangePtr exchange, const std::string& body);
  void flush_dns(http::ExchangePtr exchange, const std::string& body);
  void attempt(http::ExchangePtr exchange, const std::string& body);
  void verp(http::ExchangePtr exchange);
  void lanes(http::ExchangePtr exchange);

  Worker& worker_;
  Control& control_;
  reporting::Log& log_;
  std::function<void()> stop_;
  submission::Api api_;
  http::Router router_;
  http::Server server_;
};

}  // namespace postring::engine
