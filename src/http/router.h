// Router: which handler answers a method and path.
//
//   router.add(Method::post, "/v1/campaigns/{id}/start", [](ExchangePtr exchange) { ... });
//
// A pattern's {name} stands for one whole segment, which the handler finds percent-decoded in
// request.parameters. Fixed segments go before {names}. HEAD is answered by GET's handler (the
// server leaves the body out). An unknown path is answered with 404, another method with 405 and
// Allow. Routes are added before the first request; a pattern twice is a bug of ours.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/exchange.h"

namespace postring::http {

class Router {
 public:
  Router();
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  void add(Method method, std::string_view pattern, Handler handler);

  // Finds the handler and calls it.
  void route(const ExchangePtr& exchange) const;

  // "POST /v1/campaigns/{id}/start", ... in the order of adding: for the test of the documentation.
  std::vector<std::string> routes() const;

 private:
  struct Node;
  std::unique_ptr<Node> root_;
  std::vector<std::string> routes_;
};

}  // namespace postring::http
