#include "http/request.h"

namespace postring::http {
namespace {

std::string_view find(const std::vector<Header>& list, std::string_view name) {
  for (const Header& entry : list) {
    if (entry.first == name) return entry.second;
  }
  return {};
}

}  // namespace

std::string_view name_of(Method method) {
  constexpr std::string_view kNames[] = {"GET",   "HEAD",   "POST",    "PUT",
                                         "PATCH", "DELETE", "OPTIONS", "?"};
  return kNames[static_cast<uint8_t>(method)];
}

std::string_view Request::header(std::string_view lower_case_name) const {
  return find(headers, lower_case_name);
}

std::string_view Request::query_value(std::string_view name) const {
  return find(query, name);
}

bool Request::has_query(std::string_view name) const {
  for (const Header& entry : query) {
    if (entry.first == name) return true;
  }
  return false;
}

std::string_view Request::parameter(std::string_view name) const {
  return find(parameters, name);
}

std::string_view reason_of(uint16_t status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Unknown";
  }
}

}  // namespace postring::http
