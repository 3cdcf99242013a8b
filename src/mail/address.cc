#include "mail/address.h"

#include <fmt/format.h>
#include <idn2.h>

#include <algorithm>
#include <array>

#include "mail/utf8.h"

namespace postring::mail {
namespace {

enum : uint8_t {
  kAtom = 1,  // atext, RFC 5322 section 3.2.3
  kLetterDigit = 2,
  kUpper = 4,
  kQuoted = 8,  // qtextSMTP, RFC 5321 section 4.1.2
  kDigit = 16,
};

constexpr std::array<uint8_t, 256> make_classes() {
  std::array<uint8_t, 256> classes{};
  for (unsigned c = 32; c < 127; ++c) {
    if (c != '"' && c != '\\') classes[c] |= kQuoted;
  }
  for (char c : std::string_view("!#$%&'*+-/=?^_`{|}~")) classes[static_cast<uint8_t>(c)] |= kAtom;
  for (unsigned c = '0'; c <= '9'; ++c) classes[c] |= kAtom | kLetterDigit | kDigit;
  for (unsigned c = 'a'; c <= 'z'; ++c) classes[c] |= kAtom | kLetterDigit;
  for (unsigned c = 'A'; c <= 'Z'; ++c) classes[c] |= kAtom | kLetterDigit | kUpper;
  return classes;
}
constexpr std::array<uint8_t, 256> kClasses = make_classes();

uint8_t class_of(char c) {
  return kClasses[static_cast<uint8_t>(c)];
}

std::unexpected<AddressFault> wrong(AddressWrong what, size_t byte) {
  return std::unexpected(AddressFault{what, static_cast<uint32_t>(byte)});
}

struct LocalEnd {
  size_t at;  // of the '@'
  bool ascii;
};

// A quoted local part: from the opening quote to the '@' after the closing one.
std::expected<LocalEnd, AddressFault> scan_quoted(std::string_view text) {
  bool ascii = true;
  size_t i = 1;
  while (i < text.size() && text[i] != '"') {
    if (text[i] == '\\') {
      ++i;
      if (i == text.size()) break;
      if (text[i] < 32 || text[i] > 126) return wrong(AddressWrong::bad_local_part, i);
      ++i;
    } else if (static_cast<uint8_t>(text[i]) >= 0x80) {
      size_t size = utf8_character(text, i);
      if (size == 0) return wrong(AddressWrong::not_utf8, i);
      ascii = false;
      i += size;
    } else if ((class_of(text[i]) & kQuoted) != 0) {
      ++i;
    } else {
      return wrong(AddressWrong::bad_local_part, i);
    }
  }
  if (i == text.size()) return wrong(AddressWrong::bad_local_part, i);
  ++i;
  if (i == text.size()) return wrong(AddressWrong::no_at, i);
  if (text[i] != '@') return wrong(AddressWrong::bad_local_part, i);
  return LocalEnd{i, ascii};
}

// A dot-string: atoms with single dots between them.
std::expected<LocalEnd, AddressFault> scan_dot_string(std::string_view text) {
  bool ascii = true;
  bool after_dot = true;
  size_t i = 0;
  while (i < text.size()) {
    char c = text[i];
    if ((class_of(c) & kAtom) != 0) {
      after_dot = false;
      ++i;
    } else if (c == '.') {
      if (after_dot) return wrong(AddressWrong::bad_local_part, i);
      after_dot = true;
      ++i;
    } else if (c == '@') {
      if (i == 0) return wrong(AddressWrong::empty_local_part, 0);
      if (after_dot) return wrong(AddressWrong::bad_local_part, i - 1);
      return LocalEnd{i, ascii};
    } else if (static_cast<uint8_t>(c) >= 0x80) {
      size_t size = utf8_character(text, i);
      if (size == 0) return wrong(AddressWrong::not_utf8, i);
      ascii = false;
      after_dot = false;
      i += size;
    } else {
      return wrong(AddressWrong::bad_local_part, i);
    }
  }
  return wrong(AddressWrong::no_at, i);
}

struct DomainScan {
  bool ascii;
  bool canonical;
};

// `base` is where the domain starts in what the caller was given.
std::expected<DomainScan, AddressFault> scan_domain(std::string_view domain, size_t base) {
  if (domain.empty()) return wrong(AddressWrong::empty_domain, base);
  if (domain[0] == '[') return wrong(AddressWrong::address_literal, base);
  if (domain.size() > kDomainMax) return wrong(AddressWrong::domain_too_long, base + kDomainMax);
  bool upper = false;
  bool digits_only = true;
  size_t label = 0;
  for (size_t i = 0; i <= domain.size(); ++i) {
    if (i == domain.size() || domain[i] == '.') {
      bool empty = i == label;
      if (empty || i - label > kLabelMax) return wrong(AddressWrong::bad_domain, base + i);
      if (domain[i - 1] == '-') return wrong(AddressWrong::bad_domain, base + i - 1);
      // A top label of digits only is the end of an IPv4 address that lacks its brackets.
      if (i == domain.size() && digits_only) return wrong(AddressWrong::bad_domain, base + label);
      label = i + 1;
      digits_only = true;
      continue;
    }
    uint8_t c = class_of(domain[i]);
    if ((c & kLetterDigit) == 0) {
      if (static_cast<uint8_t>(domain[i]) >= 0x80) {
        size_t bad = find_bad_utf8(domain);
        if (bad != std::string_view::npos) return wrong(AddressWrong::not_utf8, base + bad);
        return DomainScan{false, false};
      }
      if (domain[i] != '-' || i == label) return wrong(AddressWrong::bad_domain, base + i);
    }
    digits_only = digits_only && (c & kDigit) != 0;
    upper = upper || (c & kUpper) != 0;
  }
  return DomainScan{true, !upper};
}

void append_lower(std::string_view domain, std::string& out) {
  size_t start = out.size();
  out.append(domain);
  for (size_t i = start; i < out.size(); ++i) {
    if ((class_of(out[i]) & kUpper) != 0) out[i] = static_cast<char>(out[i] | 0x20);
  }
}

// An internationalised domain to A-labels by UTS 46 (non-transitional) with libidn2.
bool append_idn(std::string_view domain, std::string& out) {
  std::string input(domain);
  // What libidn2 cannot encode of these it may leave out: another domain than was written.
  for (char c : input) {
    bool ascii = static_cast<uint8_t>(c) < 0x80;
    if (ascii && (class_of(c) & kLetterDigit) == 0 && c != '-' && c != '.') return false;
  }
  char* labels = nullptr;
  int rc = idn2_lookup_u8(reinterpret_cast<const uint8_t*>(input.c_str()),
                          reinterpret_cast<uint8_t**>(&labels),
                          IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES);
  if (rc != IDN2_OK) return false;
  std::string_view found(labels);
  bool fits = scan_domain(found, 0).has_value() && is_ascii(found);
  if (fits) append_lower(found, out);
  idn2_free(labels);
  return fits;
}

}  // namespace

std::string_view text_of(AddressWrong wrong) {
  switch (wrong) {
    case AddressWrong::empty:
      return "the address is empty";
    case AddressWrong::no_at:
      return "no '@' and domain";
    case AddressWrong::empty_local_part:
      return "nothing before the '@'";
    case AddressWrong::local_part_too_long:
      return "more than 64 bytes before the '@'";
    case AddressWrong::bad_local_part:
      return "not allowed before the '@' here";
    case AddressWrong::not_utf8:
      return "not UTF-8";
    case AddressWrong::empty_domain:
      return "no domain after the '@'";
    case AddressWrong::domain_too_long:
      return "a domain of more than 255 bytes";
    case AddressWrong::address_literal:
      return "address literals are not supported";
    case AddressWrong::bad_domain:
      return "not a domain name";
    case AddressWrong::too_long:
      return "more than 254 bytes";
  }
  return "?";
}

std::expected<AddressView, AddressFault> scan_address(std::string_view text) {
  if (text.empty()) return wrong(AddressWrong::empty, 0);
  // Four times the limit covers every IDN that becomes shorter as A-labels.
  if (text.size() > kMailboxMax * 4) return wrong(AddressWrong::too_long, kMailboxMax);
  auto local = text[0] == '"' ? scan_quoted(text) : scan_dot_string(text);
  if (!local) return std::unexpected(local.error());
  if (local->at > kLocalPartMax) return wrong(AddressWrong::local_part_too_long, kLocalPartMax);
  auto domain = scan_domain(text.substr(local->at + 1), local->at + 1);
  if (!domain) return std::unexpected(domain.error());
  if (domain->ascii && text.size() > kMailboxMax) return wrong(AddressWrong::too_long, kMailboxMax);
  return AddressView{text.substr(0, local->at), text.substr(local->at + 1), !local->ascii,
                     domain->canonical};
}

std::expected<CanonicalAddress, AddressFault> canonical_address(std::string_view text,
                                                                std::string& out) {
  auto view = scan_address(text);
  if (!view) return std::unexpected(view.error());
  size_t start = out.size();
  auto local_bytes = static_cast<uint32_t>(view->local.size());
  if (view->is_canonical) {
    out.append(text);
  } else {
    out.append(text.substr(0, local_bytes + 1));
    if (is_ascii(view->domain)) {
      append_lower(view->domain, out);
    } else if (!append_idn(view->domain, out)) {
      out.resize(start);
      return wrong(AddressWrong::bad_domain, local_bytes + 1);
    }
    // It may be shorter than that as it was given.
    if (out.size() - start > kMailboxMax) {
      out.resize(start);
      return wrong(AddressWrong::too_long, std::min(kMailboxMax, text.size()));
    }
  }
  return CanonicalAddress{static_cast<uint32_t>(out.size() - start), local_bytes,
                          view->needs_smtputf8};
}

Result<Address> parse_address(std::string_view text) {
  Address address;
  auto found = canonical_address(text, address.text_);
  if (!found) {
    return fail(fmt::format("byte {}: {}", found.error().byte, text_of(found.error().wrong)));
  }
  address.local_bytes_ = found->local_bytes;
  address.needs_smtputf8_ = found->needs_smtputf8;
  return address;
}

Result<std::string> canonical_domain(std::string_view domain) {
  if (domain.ends_with('.')) domain.remove_suffix(1);
  auto scan = scan_domain(domain, 0);
  if (!scan) {
    return fail(fmt::format("byte {}: {}", scan.error().byte, text_of(scan.error().wrong)));
  }
  std::string out;
  if (scan->ascii) {
    append_lower(domain, out);
  } else if (!append_idn(domain, out)) {
    return fail("not a domain name: libidn2 refuses it");
  }
  return out;
}

}  // namespace postring::mail
