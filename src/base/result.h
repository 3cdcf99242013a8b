// Result: what the world does wrong, as a value.
//
// Each folder names its errors in a small enum class; where a person reads the error, it is an
// Error: one sentence that says where, what was found and what was expected.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace postring {

struct Error {
  std::string message;
};

template <typename T, typename E = Error>
using Result = std::expected<T, E>;

// return fail("line 3: unknown key 'x'");
inline std::unexpected<Error> fail(std::string message) {
  return std::unexpected(Error{std::move(message)});
}

}  // namespace postring
