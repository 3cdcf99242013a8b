// Hashes: SHA-256 for names and secrets, a fast keyless 64-bit hash for tables and ownership.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace postring {

using Sha256 = std::array<std::byte, 32>;

Sha256 sha256(std::string_view bytes);

// The same in pieces: add() any number of times, then finish() once.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;
  void add(std::string_view bytes);
  Sha256 finish();

 private:
  void* context_;
};

// RFC 2104 with SHA-256.
Sha256 hmac_sha256(std::string_view key, std::string_view bytes);

// Lower-case hexadecimal, two characters a byte.
std::string hex(std::span<const std::byte> bytes);

// Equal on every machine and in every version: it decides which worker owns a domain. Not safe
// against chosen input; where a stranger picks the keys, mix in a random seed.
uint64_t hash64(std::string_view bytes, uint64_t seed = 0);

}  // namespace postring
