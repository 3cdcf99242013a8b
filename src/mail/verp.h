// VERP tokens: who a bounce, a reply or an unsubscription is about, in the address it comes to.
//
// A token names a campaign and a recipient and carries a keyed tag, so that a stranger can make
// none and change none. It is written in lower-case base32 and read in either case, because some
// hosts fold the local part of an address:
//
//     base32( version (1 byte) | varint slice | varint counter | varint campaign | tag (8 bytes) )
//
// 23 to 47 characters. The tag is SipHash-2-4 under a key derived from the secret by HMAC-SHA-256:
// one is made per message sent, and SipHash is the keyed function made for inputs this short.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "mail/ids.h"

namespace postring::mail {

constexpr size_t kVerpTokenMax = 47;

class VerpKey {
 public:
  // Any secret of the operator's; at least 16 random bytes are advised.
  explicit VerpKey(std::string_view secret);
  // The SipHash key itself, as its published test vectors give it.
  VerpKey(uint64_t k0, uint64_t k1) : k0_(k0), k1_(k1) {}

  // SipHash-2-4 of the bytes under this key.
  uint64_t tag(std::string_view bytes) const;
  constexpr bool operator==(const VerpKey&) const = default;

 private:
  uint64_t k0_ = 0;
  uint64_t k1_ = 0;
};

struct VerpId {
  CampaignId campaign = 0;
  RecipientId recipient = 0;
  constexpr bool operator==(const VerpId&) const = default;
};

// Writes the token to `out` and returns how many characters it has.
size_t verp_encode(const VerpKey& key, VerpId id, std::array<char, kVerpTokenMax>& out);

// Whom the token names, if it was made with one of the keys (the newest first; several while a
// secret is being replaced).
std::optional<VerpId> verp_decode(std::span<const VerpKey> keys, std::string_view token);

}  // namespace postring::mail
