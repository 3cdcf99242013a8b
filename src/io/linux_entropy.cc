#include <sys/random.h>

#include <cerrno>

#include "base/check.h"
#include "io/entropy.h"

namespace postring {

void fill_with_entropy(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    ssize_t count = getrandom(bytes.data(), bytes.size(), 0);
    CHECK(count > 0 || errno == EINTR, "getrandom failed");
    if (count > 0) bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

uint64_t entropy_word() {
  uint64_t word = 0;
  fill_with_entropy(std::as_writable_bytes(std::span(&word, 1)));
  return word;
}

}  // namespace postring
