// Message: DNS answers (RFC 1035, 3596) read from the wire.
//
// Reads untrusted bytes: every length is checked, compression pointers may only point back, names
// are at most 255 bytes. Names come out in lower case without a final dot; the root is "". A byte
// that no host name has is written "\ddd", so that no strange label can pass for a real name.
// At most kRecordsMax records are read; records of other types and classes are passed over.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dns/limits.h"
#include "io/socket_address.h"

namespace postring::dns {

enum class RecordType : uint16_t { a = 1, cname = 5, soa = 6, mx = 15, txt = 16, aaaa = 28 };

enum class Rcode : uint8_t {
  no_error = 0,
  format_error = 1,
  server_failure = 2,
  name_error = 3,  // NXDOMAIN
  not_implemented = 4,
  refused = 5
};

struct Record {
  std::string name;
  RecordType type = RecordType::a;
  uint32_t ttl_seconds = 0;
  IpAddress ip;             // a, aaaa
  uint16_t preference = 0;  // mx
  std::string text;         // mx, cname: the name it points to; txt: its strings joined
};

struct Message {
  uint16_t id = 0;
  Rcode rcode = Rcode::no_error;
  bool truncated = false;
  bool authentic = false;  // the AD bit
  std::vector<Record> answers;
  // RFC 2308 5: how long "there is none" holds, from the authority section's SOA.
  std::optional<uint32_t> negative_ttl_seconds;
};

enum class MessageError : uint8_t {
  too_short,   // something is missing
  bad_name,    // a label, a pointer or the length of a name
  bad_record,  // a record's data does not fit its type
  not_a_reply  // the QR bit is not set
};

Result<Message, MessageError> parse_message(std::string_view bytes);

// What a server says about (name, type): the answer with its chain of CNAMEs followed.
struct RecordSet {
  enum class Kind : uint8_t {
    records,  // `records`, at least one, all of the type asked for
    no_data,  // the name exists, the type does not
    no_name,  // NXDOMAIN
    alias     // `alias` must be asked instead: the server did not follow it
  };
  Kind kind = Kind::no_data;
  std::vector<Record> records;
  std::string alias;
  // Of the whole chain, of the SOA for negative answers; absent where a negative answer has none.
  std::optional<uint32_t> ttl_seconds;
};

using RecordSetPtr = std::shared_ptr<const RecordSet>;

// Nothing where the message is no answer one may use: truncated, an rcode that is neither "no
// error" nor NXDOMAIN, a chain of more than kCnamesMax names or one that runs in a circle.
std::optional<RecordSet> record_set_of(const Message& message, std::string_view name,
                                       RecordType type);

// A name that may be asked for and connected to: labels of letters, digits, '-' and '_', in lower
// case, no final dot, at most 253 bytes.
bool is_host_name(std::string_view name);

}  // namespace postring::dns
