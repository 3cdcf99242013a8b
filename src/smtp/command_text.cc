#include "smtp/command_text.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "smtp/limits.h"

namespace postring::smtp {
namespace {

// Bytes that are harmless wherever they stand.
constexpr auto kHarmless = [] {
  std::array<bool, 256> harmless{};
  for (size_t c = 0x21; c < 256; ++c) harmless[c] = c != 0x7f;
  for (uint8_t c : {'"', '\\', '<', '>'}) harmless[c] = false;
  return harmless;
}();

}  // namespace

bool is_sayable_address(std::string_view address) {
  if (address.empty() || address.size() > kAddressBytesMax) return false;
  bool plain = std::ranges::all_of(
      address, [](char c) { return kHarmless[static_cast<uint8_t>(c)]; });
  if (plain) return true;
  bool quoted = false;
  for (size_t i = 0; i < address.size(); ++i) {
    auto c = static_cast<uint8_t>(address[i]);
    if (c < 0x20 || c == 0x7f) return false;
    if (quoted && c == '\\') {
      // The next byte stands for itself, but no control byte may hide behind it.
      if (++i == address.size()) return false;
      auto escaped = static_cast<uint8_t>(address[i]);
      if (escaped < 0x20 || escaped == 0x7f) return false;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && (c == ' ' || c == '<' || c == '>')) {
      return false;
    }
  }
  return !quoted;
}

bool is_sayable_name(std::string_view name) {
  return !name.empty() && name.size() <= kEhloNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace postring::smtp
