// Enhanced status codes (RFC 3463), as they stand in replies (RFC 2034) and delivery reports.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mail/outcome.h"

namespace postring::mail {

// class.subject.detail; class is 2 (success), 4 (persistent transient) or 5 (permanent).
struct EnhancedStatus {
  uint8_t klass = 0;
  uint8_t subject = 0;
  uint8_t detail = 0;

  constexpr bool is_set() const { return klass != 0; }
  constexpr bool operator==(const EnhancedStatus&) const = default;
};

// The whole of `text` as a code: "5.1.1". Subject and detail have one to three digits without
// leading zeros; the registry stays far below 255 and what is above is no code.
std::optional<EnhancedStatus> parse_enhanced(std::string_view text);

constexpr EnhancedStatus enhanced_of(const Reply& reply) {
  return {reply.enhanced[0], reply.enhanced[1], reply.enhanced[2]};
}

// The code at the start of a reply's text and the text after it. A code whose class does not agree
// with the first digit of `reply_code` is not believed (RFC 2034 section 4): then there is none.
struct StatusPrefix {
  EnhancedStatus status;  // not set: none there
  std::string_view text;  // what follows the code and its spaces
};
StatusPrefix split_enhanced(uint16_t reply_code, std::string_view text);

// "5.1.1"; "" where not set.
std::string enhanced_text(EnhancedStatus status);

// What the registered code says, in a few words ("bad destination mailbox address"); where the
// detail is unknown what the subject says, else "".
std::string_view enhanced_meaning(EnhancedStatus status);

}  // namespace postring::mail
