#include "mail/status.h"

#include <utility>

namespace postring::mail {
namespace {

// One to three digits without leading zeros at the start of `text`, taken from it; -1 where there
// are none or the number is above 255.
int take_number(std::string_view& text) {
  size_t count = 0;
  int value = 0;
  while (count < text.size() && text[count] >= '0' && text[count] <= '9') {
    if (++count > 3) return -1;
    value = value * 10 + (text[count - 1] - '0');
  }
  if (count == 0 || (count > 1 && text[0] == '0') || value > 255) return -1;
  text.remove_prefix(count);
  return value;
}

bool take_dot(std::string_view& text) {
  if (!text.starts_with('.')) return false;
  text.remove_prefix(1);
  return true;
}

// A code at the start of `text`, taken from it; not set and nothing taken where there is none.
EnhancedStatus take_code(std::string_view& text) {
  if (text.empty() || (text[0] != '2' && text[0] != '4' && text[0] != '5')) return {};
  std::string_view left = text.substr(1);
  if (!take_dot(left)) return {};
  int subject = take_number(left);
  if (subject < 0 || !take_dot(left)) return {};
  int detail = take_number(left);
  if (detail < 0) return {};
  EnhancedStatus status{static_cast<uint8_t>(text[0] - '0'), static_cast<uint8_t>(subject),
                        static_cast<uint8_t>(detail)};
  text = left;
  return status;
}

struct Meaning {
  uint8_t subject;
  uint8_t detail;
  std::string_view words;
};

// RFC 3463 section 3 and the IANA registry of enumerated status codes.
constexpr Meaning kMeanings[] = {
    {1, 0, "address status"},
    {1, 1, "bad destination mailbox address"},
    {1, 2, "bad destination system address"},
    {1, 3, "bad destination mailbox address syntax"},
    {1, 4, "destination mailbox address ambiguous"},
    {1, 5, "destination address valid"},
    {1, 6, "destination mailbox has moved"},
    {1, 7, "bad sender's mailbox address syntax"},
    {1, 8, "bad sender's system address"},
    {1, 9, "message relayed to non-compliant mailer"},
    {1, 10, "recipient address has null MX"},
    {2, 0, "mailbox status"},
    {2, 1, "mailbox disabled"},
    {2, 2, "mailbox full"},
    {2, 3, "message length exceeds administrative limit"},
    {2, 4, "mailing list expansion problem"},
    {3, 0, "mail system status"},
    {3, 1, "mail system full"},
    {3, 2, "system not accepting network messages"},
    {3, 3, "system not capable of selected features"},
    {3, 4, "message too big for system"},
    {3, 5, "system incorrectly configured"},
    {4, 0, "network or routing status"},
    {4, 1, "no answer from host"},
    {4, 2, "bad connection"},
    {4, 3, "directory server failure"},
    {4, 4, "unable to route"},
    {4, 5, "mail system congestion"},
    {4, 6, "routing loop detected"},
    {4, 7, "delivery time expired"},
    {5, 0, "mail delivery protocol status"},
    {5, 1, "invalid command"},
    {5, 2, "syntax error"},
    {5, 3, "too many recipients"},
    {5, 4, "invalid command arguments"},
    {5, 5, "wrong protocol version"},
    {6, 0, "message content or media status"},
    {6, 1, "media not supported"},
    {6, 2, "conversion required and prohibited"},
    {6, 3, "conversion required but not supported"},
    {6, 4, "conversion with loss performed"},
    {6, 5, "conversion failed"},
    {6, 7, "non-ASCII addresses not permitted"},
    {7, 0, "security or policy status"},
    {7, 1, "delivery not authorized, message refused"},
    {7, 2, "mailing list expansion prohibited"},
    {7, 3, "security conversion required but not possible"},
    {7, 4, "security features not supported"},
    {7, 5, "cryptographic failure"},
    {7, 7, "message integrity failure"},
    {7, 8, "authentication credentials invalid"},
    {7, 20, "no passing DKIM signature found"},
    {7, 23, "SPF validation failed"},
    {7, 25, "reverse DNS validation failed"},
    {7, 26, "multiple authentication checks failed"},
    {7, 27, "sender address has null MX"},
    {7, 28, "mail flood detected"},
    {7, 30, "REQUIRETLS support required"},
};

}  // namespace

std::optional<EnhancedStatus> parse_enhanced(std::string_view text) {
  EnhancedStatus status = take_code(text);
  if (!status.is_set() || !text.empty()) return std::nullopt;
  return status;
}

StatusPrefix split_enhanced(uint16_t reply_code, std::string_view text) {
  std::string_view left = text;
  EnhancedStatus status = take_code(left);
  bool ends = left.empty() || left[0] == ' ' || left[0] == '\t';
  if (!status.is_set() || !ends || status.klass != reply_code / 100) return {{}, text};
  while (!left.empty() && (left[0] == ' ' || left[0] == '\t')) left.remove_prefix(1);
  return {status, left};
}

std::string enhanced_text(EnhancedStatus status) {
  if (!status.is_set()) return {};
  std::string text = std::to_string(status.klass);
  text.append(".").append(std::to_string(status.subject));
  text.append(".").append(std::to_string(status.detail));
  return text;
}

std::string_view enhanced_meaning(EnhancedStatus status) {
  if (!status.is_set()) return {};
  std::string_view of_subject;
  for (const Meaning& meaning : kMeanings) {
    if (meaning.subject != status.subject) continue;
    if (meaning.detail == status.detail) return meaning.words;
    if (meaning.detail == 0) of_subject = meaning.words;
  }
  return of_subject;
}

}  // namespace postring::mail
