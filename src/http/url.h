// Percent-encoding (RFC 3986 section 2.1) and query strings as forms write them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postring::http {

// Nothing where a '%' is not followed by two hexadecimal digits.
std::optional<std::string> percent_decode(std::string_view text);

// Everything but unreserved characters encoded: fits a path segment and a query value.
std::string percent_encode(std::string_view text);

// "a=1&b=x+y": pairs in order, '+' as a space; a name without '=' has an empty value.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view text);

}  // namespace postring::http
