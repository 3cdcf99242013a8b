// What a client may say, read strictly (RFC 5321 section 4.1, 1870, 3030, 6152, 6531), and what a
// message may look like on the wire. Nothing is repaired: what is not exactly right is named.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "behaviour.h"

namespace mxsim {

enum class Verb : uint8_t {
  kHelo,
  kEhlo,
  kMail,
  kRcpt,
  kData,
  kBdat,
  kRset,
  kNoop,
  kQuit,
  kVrfy,
  kUnknown,
};

// The first word of a line, without regard to case.
Verb verb_of(std::string_view line);

struct MailCommand {
  std::string sender;
  std::optional<uint64_t> size;
  bool eight_bit = false;
  bool smtputf8 = false;
};

// Of a command line without its CRLF: what it says, or what is wrong with it (a violation's name).
struct Parsed {
  std::string wrong;
  bool ok() const { return wrong.empty(); }
};

Parsed parse_mail(std::string_view line, const Extensions& offered, MailCommand& command);
Parsed parse_rcpt(std::string_view line, bool smtputf8, std::string& recipient);
Parsed parse_bdat(std::string_view line, uint64_t& size, bool& last);
Parsed parse_helo(std::string_view line, std::string& name);

// "" for an acceptable mailbox (local part dot-atom or quoted string, domain or address literal).
std::string check_mailbox(std::string_view mailbox, bool smtputf8);

// The message inside what was sent. `stuffed` is what came with DATA, its final ".CRLF" included.
struct Received {
  std::string message;
  std::vector<std::string> violations;
  std::string message_id;
};
Received unwrap(std::string_view sent, bool stuffed, bool eight_bit_declared);

}  // namespace mxsim
