#include "submission/api_call.h"

#include <charconv>

#include "base/time_text.h"
#include "mail/id_text.h"
#include "submission/problems.h"

namespace postring::submission {
namespace {

// "Text/CSV; charset=utf-8" -> "text/csv".
std::string media_type(std::string_view header) {
  std::string type;
  for (char c : header.substr(0, header.find(';'))) {
    if (c == ' ' || c == '\t') continue;
    type += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return type;
}

template <typename T>
std::optional<T> number(std::string_view text) {
  T value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

void ApiCall::respond(uint16_t status, std::string json) const {
  http::Response response;
  response.status = status;
  response.body = std::move(json);
  exchange->respond(std::move(response));
}

void ApiCall::refuse(const Refused& refused) const {
  exchange->respond(answer_of(refused));
}

void ApiCall::refuse(uint16_t status, std::string_view type, std::string detail) const {
  exchange->respond(http::problem({.status = status, .type = type, .detail = std::move(detail)}));
}

std::optional<uint64_t> ApiCall::id() const {
  auto id = mail::parse_id(request().parameter("id"));
  if (!id) refuse({.why = Refusal::not_found, .detail = "an id has 16 hexadecimal digits"});
  return id;
}

std::optional<uint32_t> ApiCall::limit(uint32_t standard, uint32_t max) const {
  if (!request().has_query("limit")) return standard;
  auto limit = number<uint32_t>(request().query_value("limit"));
  if (limit && *limit >= 1 && *limit <= max) return limit;
  exchange->respond(invalid_field("limit", "must be 1 to " + std::to_string(max)));
  return std::nullopt;
}

std::optional<uint64_t> ApiCall::query_id(std::string_view name) const {
  if (!request().has_query(name)) return 0;
  auto id = mail::parse_id(request().query_value(name));
  if (!id) exchange->respond(invalid_field(std::string(name), "must be 16 hexadecimal digits"));
  return id;
}

std::optional<Duration> ApiCall::wait(Duration max) const {
  std::string_view text = request().query_value("wait");
  if (text.empty()) return Duration{};
  std::optional<Duration> wait;
  if (auto seconds = number<uint32_t>(text)) {
    wait = Duration::seconds(*seconds);
  } else if (auto parsed = parse_duration(text)) {
    wait = *parsed;
  }
  if (wait && *wait <= max) return wait;
  exchange->respond(invalid_field("wait", "must be seconds or a duration, at most " +
                                              std::to_string(max.whole_seconds()) + "s"));
  return std::nullopt;
}

bool ApiCall::check_query(std::string_view allowed) const {
  for (const http::Header& entry : request().query) {
    bool known = false;
    for (std::string_view left = allowed; !left.empty() && !known;) {
      size_t space = left.find(' ');
      known = left.substr(0, space) == entry.first;
      left.remove_prefix(space == std::string_view::npos ? left.size() : space + 1);
    }
    if (known) continue;
    exchange->respond(invalid_field(entry.first, "is no parameter here"));
    return false;
  }
  return true;
}

std::optional<std::string> ApiCall::idempotency_key() const {
  std::string key(request().header("idempotency-key"));
  bool fits = key.size() <= kIdempotencyKeyMax;
  for (char c : key) fits = fits && c > 0x20 && c < 0x7f;
  if (fits) return key;
  exchange->respond(invalid_field(
      "Idempotency-Key",
      "must be at most " + std::to_string(kIdempotencyKeyMax) + " printable ASCII characters"));
  return std::nullopt;
}

bool ApiCall::check_json_type() const {
  std::string type = media_type(request().header("content-type"));
  bool plain = request().header("content-encoding").empty();
  if ((type.empty() || type == "application/json") && plain) return true;
  refuse(415, "wrong-media-type", "this takes application/json, not encoded");
  return false;
}

std::optional<BatchFormat> ApiCall::batch_format() const {
  std::string type = media_type(request().header("content-type"));
  if (type == "application/x-ndjson" || type == "application/ndjson" ||
      type == "application/jsonl") {
    return BatchFormat::ndjson;
  }
  if (type == "text/csv") return BatchFormat::csv;
  refuse(415, "wrong-media-type", "this takes application/x-ndjson or text/csv");
  return std::nullopt;
}

std::optional<bool> ApiCall::gzip() const {
  std::string encoding = media_type(request().header("content-encoding"));
  if (encoding.empty() || encoding == "identity") return false;
  if (encoding == "gzip" || encoding == "x-gzip") return true;
  refuse(415, "wrong-content-encoding", "the only Content-Encoding understood is gzip");
  return std::nullopt;
}

bool ApiCall::check_tenant() const {
  if (caller.tenant != kEveryTenant) return true;
  exchange->respond(invalid_field("tenant", "must be given in the query"));
  return false;
}

}  // namespace postring::submission
