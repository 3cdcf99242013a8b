// ApiClient: asks the daemon over HTTP/1.1, one request on a connection, and insists as a careful
// client does: what gets no answer, 409 or 5xx is asked again after a while, with the same key.
//
//   client.call({"POST", "/v1/campaigns", json, "application/json", "key-1"},
//               [this](const ApiClient::Reply& reply) { ... });   // 2xx, or a refusal for good
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/random.h"
#include "sim/net.h"

namespace postring::sim {

class ApiClient {
 public:
  struct Request {
    std::string method, path;
    std::string body = {};
    std::string type = {};
    std::string key = {};  // Idempotency-Key
  };
  struct Reply {
    int status = 0;  // 0: no whole answer came
    std::string body;
  };

  // `where` is the address or path of the daemon's listener.
  ApiClient(Schedule& schedule, Faults& faults, Net& net, std::string where, uint64_t seed)
      : schedule_(schedule),
        faults_(faults),
        net_(net),
        where_(std::move(where)),
        random_(seed) {}

  void use_key(std::string api_key) { api_key_ = std::move(api_key); }
  void call(Request request, std::function<void(const Reply&)> done);
  // Gets a line for every answer.
  std::function<void(const std::string&)> on_note;
  uint64_t retries() const { return retries_; }

 private:
  void attempt(std::shared_ptr<Request> request, std::function<void(const Reply&)> done);
  std::string bytes_of(const Request& request) const;

  Schedule& schedule_;
  Faults& faults_;
  Net& net_;
  std::string where_;
  std::string api_key_;
  Random random_;
  uint64_t retries_ = 0;
};

}  // namespace postring::sim
