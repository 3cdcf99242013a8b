// The backend's refusals and the API's own as problem documents.
#pragma once

#include <string>

#include "http/problem.h"
#include "submission/backend.h"

namespace postring::submission {

http::Response answer_of(const Refused& refused);

// 422 with "field" as a member of its own.
http::Response invalid_field(const std::string& field, const std::string& reason);

}  // namespace postring::submission
