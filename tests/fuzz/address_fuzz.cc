// Addresses: what is taken is safe in a command line and is its own canonical form.

#include <string>

#include "mail/address.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace postring::mail;
  std::string_view text = as_text(data, size);
  std::string out = "before";
  auto canonical = canonical_address(text, out);
  auto parsed = parse_address(text);
  REQUIRE(canonical.has_value() == parsed.has_value());
  if (!canonical) {
    REQUIRE(out == "before");
    REQUIRE(canonical.error().byte <= size);
    return 0;
  }
  std::string address = out.substr(6);
  REQUIRE(address == parsed->text());
  REQUIRE(address.size() == canonical->size_bytes && address.size() <= kMailboxMax);
  for (char c : address) REQUIRE(static_cast<unsigned char>(c) >= 32 && c != 127);
  REQUIRE(!parsed->domain().empty() && !parsed->local().empty());
  REQUIRE(domain_of(address) == parsed->domain());
  std::string again;
  REQUIRE(canonical_address(address, again) && again == address);
  auto view = scan_address(address);
  REQUIRE(view && view->is_canonical);
  return 0;
}
