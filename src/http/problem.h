// Problem documents (RFC 9457): every error of the API in one shape.
//
//   exchange->respond(problem({.status = 404, .title = "No such campaign", .detail = "..."}));
//
//   {"type":"urn:postring:problem:not-found","title":"No such campaign","status":404,"detail":"…"}
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/units.h"
#include "http/request.h"

namespace postring::http {

struct Problem {
  uint16_t status = 500;
  std::string_view type = {};  // the last part of the URN; empty: after the status ("not-found")
  std::string title = {};      // the same for every problem of the type; empty: the status' reason
  std::string detail = {};     // this one
  Duration retry_after = {};   // > 0: a Retry-After header in whole seconds, rounded up
  std::string extra = {};      // further members as JSON: "\"line\":3,\"field\":\"address\""
};

Response problem(const Problem& problem);

}  // namespace postring::http
