// The bounds of the SMTP conversation.
#pragma once

#include <cstddef>
#include <cstdint>

namespace postring::smtp {

// RFC 5321 4.5.3.1.5 grants a reply line 512 octets; real servers write longer ones.
constexpr size_t kReplyLineBytesMax = 4'096;
constexpr size_t kReplyLinesMax = 10'000;
constexpr size_t kReplyBytesMax = 1u << 20;

// RFC 5321 4.5.3.1: local part 64, "@", domain 255.
constexpr size_t kAddressBytesMax = 320;
constexpr size_t kEhloNameBytesMax = 255;
// RFC 5321 4.5.3.1.8: every server takes at least 100.
constexpr size_t kRecipientsMax = 100;

}  // namespace postring::smtp
