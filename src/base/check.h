// check: an assertion that stays on in production.
//
// What we did wrong ends the process with the place and the broken condition; what the world does
// wrong is a value (base/result.h). Split conditions: one check each, so that the message names
// the one that broke.
#pragma once

#include <string_view>

namespace postring {

// Prints "FILE:LINE: check failed: CONDITION (MESSAGE)" to standard error and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               std::string_view message) noexcept;

}  // namespace postring

#define POSTRING_CHECK_1(condition)                                                  \
  do {                                                                               \
    if (!(condition)) [[unlikely]]                                                   \
      ::postring::check_failed(__FILE__, __LINE__, #condition, {});                  \
  } while (false)
#define POSTRING_CHECK_2(condition, message)                                         \
  do {                                                                               \
    if (!(condition)) [[unlikely]]                                                   \
      ::postring::check_failed(__FILE__, __LINE__, #condition, (message));           \
  } while (false)
#define POSTRING_CHECK_PICK(a, b, name, ...) name
// CHECK(condition) or CHECK(condition, "what must hold").
#define CHECK(...) \
  POSTRING_CHECK_PICK(__VA_ARGS__, POSTRING_CHECK_2, POSTRING_CHECK_1, )(__VA_ARGS__)
