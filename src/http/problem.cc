#include "http/problem.h"

#include "base/json_writer.h"

namespace postring::http {
namespace {

// "Not Found" -> "not-found".
std::string type_after(std::string_view reason) {
  std::string type;
  for (char c : reason) {
    if (c == ' ') {
      type += '-';
    } else {
      type += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return type;
}

}  // namespace

Response problem(const Problem& problem) {
  std::string_view reason = reason_of(problem.status);
  std::string type = "urn:postring:problem:";
  type += problem.type.empty() ? type_after(reason) : std::string(problem.type);
  JsonWriter json;
  json.object().field("type", type);
  json.field("title", problem.title.empty() ? reason : std::string_view(problem.title));
  json.field("status", problem.status).field_unless_empty("detail", problem.detail);
  json.end();
  Response response;
  response.status = problem.status;
  response.content_type = "application/problem+json";
  response.body = json.take();
  if (!problem.extra.empty()) {
    response.body.pop_back();
    response.body += ',';
    response.body += problem.extra;
    response.body += '}';
  }
  if (problem.retry_after > Duration{}) {
    int64_t seconds = (problem.retry_after.us + 999'999) / 1'000'000;
    response.headers.emplace_back("Retry-After", std::to_string(seconds));
  }
  return response;
}

}  // namespace postring::http
