// ApiCall: one request to the API with who asks it, and what its headers and query say. Internal to
// submission/.
//
// The readers answer a fault themselves and return nothing: the caller just returns.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/exchange.h"
#include "submission/backend.h"
#include "submission/batch_reader.h"

namespace postring::submission {

struct ApiCall {
  http::ExchangePtr exchange;
  Caller caller;

  const http::Request& request() const { return exchange->request(); }
  void respond(uint16_t status, std::string json) const;
  void refuse(const Refused& refused) const;
  void refuse(uint16_t status, std::string_view type, std::string detail) const;

  // A hexadecimal id in the path: what is none is not found.
  std::optional<uint64_t> id() const;
  std::optional<uint32_t> limit(uint32_t standard, uint32_t max) const;
  // An id in the query, 0 where there is none.
  std::optional<uint64_t> query_id(std::string_view name) const;
  // "30", "30s" or "500ms", at most `max`.
  std::optional<Duration> wait(Duration max) const;
  // Whether the query has only these, separated by spaces; `tenant` is allowed where it was used.
  bool check_query(std::string_view allowed) const;
  // Empty where none was given.
  std::optional<std::string> idempotency_key() const;
  bool check_json_type() const;
  std::optional<BatchFormat> batch_format() const;
  std::optional<bool> gzip() const;
  // What is created belongs to a tenant: an operator must name one.
  bool check_tenant() const;
};

}  // namespace postring::submission
