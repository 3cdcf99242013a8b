// Addresses: an RFC 5321 Mailbox checked and brought into one form.
//
// The canonical form keeps the local part byte for byte (only its owner knows whether case matters)
// and has the domain as lower-case A-labels. Quoted local parts are taken as they are; address
// literals ("user@[192.0.2.1]"), source routes, comments and display names are refused. A local
// part of UTF-8 is taken and needs SMTPUTF8 (RFC 6531) at the peer.
//
// Two ways in: canonical_address appends to a buffer of the caller and allocates nothing for an
// ASCII address (a submission does this per recipient); parse_address gives an owned Address and a
// sentence that says what is wrong at which byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/result.h"

namespace postring::mail {

constexpr size_t kLocalPartMax = 64;  // RFC 5321 section 4.5.3.1.1
constexpr size_t kDomainMax = 255;    // section 4.5.3.1.2
constexpr size_t kMailboxMax = 254;   // a Path is at most 256 with its brackets, section 4.5.3.1.3
constexpr size_t kLabelMax = 63;      // RFC 1035 section 2.3.4

enum class AddressWrong : uint8_t {
  empty,
  no_at,
  empty_local_part,
  local_part_too_long,
  bad_local_part,  // a byte that neither atom nor quoted string allows, or a dot out of place
  not_utf8,
  empty_domain,
  domain_too_long,
  address_literal,
  bad_domain,  // a byte or label the domain grammar does not allow, or an IDN libidn2 refuses
  too_long,
};

// What is wrong and at which byte of the input (from 0).
struct AddressFault {
  AddressWrong wrong;
  uint32_t byte;
};

// "empty local part", "address literals are not supported", ...
std::string_view text_of(AddressWrong wrong);

// The parts of a checked address; the views point into what was checked.
struct AddressView {
  std::string_view local;
  std::string_view domain;
  bool needs_smtputf8;  // the local part is not ASCII
  bool is_canonical;    // the text is its own canonical form already
};

// Checks without allocating. A domain that is not ASCII gets its length and UTF-8 checked only:
// canonical_address decides about it.
std::expected<AddressView, AddressFault> scan_address(std::string_view text);

struct CanonicalAddress {
  uint32_t size_bytes;   // appended to the buffer
  uint32_t local_bytes;  // of these, before the '@'
  bool needs_smtputf8;
};

// Appends the canonical form of `text` to `out`; on a fault `out` is as before.
std::expected<CanonicalAddress, AddressFault> canonical_address(std::string_view text,
                                                                std::string& out);

class Address {
 public:
  std::string_view text() const { return text_; }
  std::string_view local() const { return std::string_view(text_).substr(0, local_bytes_); }
  std::string_view domain() const { return std::string_view(text_).substr(local_bytes_ + 1); }
  bool needs_smtputf8() const { return needs_smtputf8_; }

 private:
  friend Result<Address> parse_address(std::string_view text);
  std::string text_;
  size_t local_bytes_ = 0;
  bool needs_smtputf8_ = false;
};

// The address in canonical form, or "byte 7: ..." in words.
Result<Address> parse_address(std::string_view text);

// The domain of a canonical address: what follows the last '@'. Empty where there is none.
inline std::string_view domain_of(std::string_view canonical) {
  size_t at = canonical.rfind('@');
  return at == std::string_view::npos ? std::string_view{} : canonical.substr(at + 1);
}

// A domain name as lower-case A-labels (RFC 5890) without a final dot.
Result<std::string> canonical_domain(std::string_view domain);

}  // namespace postring::mail
