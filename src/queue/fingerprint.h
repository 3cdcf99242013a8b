// Fingerprints: 128 bits that stand for a recipient within its campaign, to find duplicates by.
//
// Of the submitter's own `ref`, or without one of the address with its domain case-folded (a
// canonical address is). Keyed (SipHash-2-4 with 128 bits of output) with a secret of the spool, so
// that nobody can choose two that collide; two of five million recipients do by chance once in
// 10^25 campaigns.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string_view>

namespace postring::queue {

struct FingerprintKey {
  std::array<uint64_t, 2> words{};
};

struct Fingerprint {
  uint64_t high = 0;
  uint64_t low = 0;
  auto operator<=>(const Fingerprint&) const = default;
};

// `ref` empty: of the address.
Fingerprint fingerprint_of(const FingerprintKey& key, std::string_view ref,
                           std::string_view address);

// SipHash-2-4-128 of the bytes, as its authors' reference has it.
Fingerprint siphash128(const FingerprintKey& key, std::string_view bytes);

}  // namespace postring::queue
