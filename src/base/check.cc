#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace postring {

void check_failed(const char* file, int line, const char* condition,
                  std::string_view message) noexcept {
  if (message.empty()) {
    std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
  } else {
    std::fprintf(stderr, "%s:%d: check failed: %s (%.*s)\n", file, line, condition,
                 static_cast<int>(message.size()), message.data());
  }
  std::abort();
}

}  // namespace postring
