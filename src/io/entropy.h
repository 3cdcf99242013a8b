// The random seam: bytes nobody can guess, for keys, query ids and seeds. Does not fail: where the
// system has none, the process ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace postring {

void fill_with_entropy(std::span<std::byte> bytes);

uint64_t entropy_word();

}  // namespace postring
