// CRC-32C (Castagnoli, RFC 3720 appendix B.4), with the processor's instruction where it has one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace postring {

// The checksum of `bytes` following a prefix whose checksum is `before` (0 for none):
// crc32c(b, crc32c(a)) equals crc32c(a + b).
uint32_t crc32c(std::span<const std::byte> bytes, uint32_t before = 0);
inline uint32_t crc32c(std::string_view bytes, uint32_t before = 0) {
  return crc32c(std::as_bytes(std::span(bytes)), before);
}

}  // namespace postring
