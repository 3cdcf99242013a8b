// Classes of mail by name: in the API, events and the command line.
#pragma once

#include <optional>
#include <string_view>

#include "mail/ids.h"

namespace postring {

constexpr const char* name_of(MailClass mail_class) {
  constexpr const char* kNames[] = {"transactional", "standard", "bulk"};
  return kNames[static_cast<uint8_t>(mail_class)];
}

// Nothing but the names above.
constexpr std::optional<MailClass> parse_class(std::string_view name) {
  for (auto known : {MailClass::transactional, MailClass::standard, MailClass::bulk}) {
    if (name == name_of(known)) return known;
  }
  return std::nullopt;
}

}  // namespace postring
