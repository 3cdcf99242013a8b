#include "submission/keys.h"

#include "base/base64.h"
#include "io/entropy.h"
#include "submission/backend.h"

namespace postring::submission {
namespace {

constexpr std::string_view kPrefix = "pr_";
constexpr size_t kKeyBytes = 32;
constexpr size_t kKeyCharacters = 43;

struct Scope {
  std::string_view name;
  uint8_t bit;
};
constexpr Scope kScopes[] = {
    {"submit", kScopeSubmit}, {"read", kScopeRead}, {"admin", kScopeAdmin}};

}  // namespace

std::string make_key() {
  std::string bytes(kKeyBytes, '\0');
  fill_with_entropy(std::as_writable_bytes(std::span<char>(bytes)));
  return std::string(kPrefix) + base64url(bytes);
}

std::optional<Sha256> hash_key(std::string_view key) {
  if (key.size() != kPrefix.size() + kKeyCharacters || !key.starts_with(kPrefix)) {
    return std::nullopt;
  }
  return sha256(key);
}

Result<uint8_t> parse_scopes(std::string_view text) {
  uint8_t scopes = 0;
  while (!text.empty()) {
    size_t comma = text.find(',');
    std::string_view name = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    bool known = false;
    for (const Scope& scope : kScopes) {
      if (scope.name != name) continue;
      scopes |= scope.bit;
      known = true;
    }
    if (!known) {
      return fail("'" + std::string(name) + "' is no scope; known are submit, read and admin");
    }
  }
  if (scopes == 0) return fail("a key needs a scope: submit, read or admin");
  return scopes;
}

std::string scopes_text(uint8_t scopes) {
  std::string text;
  for (const Scope& scope : kScopes) {
    if ((scopes & scope.bit) == 0) continue;
    if (!text.empty()) text += ',';
    text += scope.name;
  }
  return text;
}

}  // namespace postring::submission
