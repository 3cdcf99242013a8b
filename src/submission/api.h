// Api: the routes of submission/openapi.yaml over a Backend.
//
//   Api api(loop, backend, {});
//   api.add_routes(router);             // with keys, for TCP listeners
//   operators.add_operator_routes(r);   // without, for the operators' Unix socket
//
// One per worker and router. Over the operators' socket the caller is whoever may open it: every
// tenant is seen, and `?tenant=NAME` makes a request that tenant's. Other commands of operators are
// added to the same router by the engine.
//
// Must outlive the server that uses the router, and no longer be asked once the backend is gone.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "http/router.h"
#include "io/loop.h"
#include "submission/backend.h"
#include "submission/slices.h"

namespace postring::submission {

struct ApiOptions {
  uint32_t uploads_max = 64;  // batches coming in at a time on this worker: beyond, 503
  BatchLimits batch = {};     // beyond, 413
};

class Api {
 public:
  Api(Loop& loop, Backend& backend, ApiOptions options);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  void add_routes(http::Router& router);
  void add_operator_routes(http::Router& router);

  // For batches that begin from now on.
  void set_batch_limits(const BatchLimits& limits);

  // Answers in flight are given, new submissions are refused with 503.
  void stop_submission();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace postring::submission
