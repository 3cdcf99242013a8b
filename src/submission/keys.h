// API keys: what a client shows, and the hash that is kept of it.
//
// A key is "pr_" and 32 random bytes in base64url: enough that a plain SHA-256 of it is all the
// protection it needs at rest. It is shown once, when it is made.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"

namespace postring::submission {

constexpr size_t kKeyHintBytes = 7;  // of a key, to tell keys apart in a list

std::string make_key();  // from io/entropy.h
// Nothing where it cannot be a key.
std::optional<Sha256> hash_key(std::string_view key);

// "submit,read": scopes as bits (submission/backend.h), and back.
Result<uint8_t> parse_scopes(std::string_view text);
std::string scopes_text(uint8_t scopes);

}  // namespace postring::submission
