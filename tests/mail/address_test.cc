#include "mail/address.h"

#include <gtest/gtest.h>

#include <string>

#include "base/random.h"
#include "mail/utf8.h"

namespace postring::mail {
namespace {

std::string canonical(std::string_view text) {
  auto address = parse_address(text);
  return address ? std::string(address->text()) : "! " + address.error().message;
}

AddressFault fault_of(std::string_view text) {
  std::string out = "kept";
  auto found = canonical_address(text, out);
  EXPECT_FALSE(found.has_value()) << text;
  EXPECT_EQ(out, "kept");
  return found ? AddressFault{} : found.error();
}

TEST(address, plain_forms_are_their_own_canonical_form) {
  for (std::string_view text :
       {"a@b", "anna@example.com", "a.b+c@x-y.example", "!#$%&'*/=?^`{|}~@e.org",
        "\"a b\"@example.com", "\"a\\\"@b\"@example.com", "\"\"@example.com", "a@1und1.de",
        "a@xn--bcher-kva.example"}) {
    EXPECT_EQ(canonical(text), text);
    auto view = scan_address(text);
    ASSERT_TRUE(view) << text;
    EXPECT_TRUE(view->is_canonical) << text;
    EXPECT_FALSE(view->needs_smtputf8);
  }
}

TEST(address, the_domain_is_folded_and_the_local_part_is_not) {
  EXPECT_EQ(canonical("Anna.Meier@EXAMPLE.Com"), "Anna.Meier@example.com");
  EXPECT_FALSE(scan_address("a@Example.com")->is_canonical);
}

TEST(address, international_domains_become_a_labels) {
  EXPECT_EQ(canonical("a@b\xc3\xbc"
                      "cher.example"),
            "a@xn--bcher-kva.example");
  EXPECT_EQ(canonical("a@B\xc3\x9c"
                      "CHER.example"),
            "a@xn--bcher-kva.example");
  EXPECT_EQ(fault_of("a@\xe2\x80\xae.example").wrong, AddressWrong::bad_domain);
  // Nothing is left out of a domain to make it one.
  EXPECT_EQ(fault_of("a@b\xd2\x96x@k").wrong, AddressWrong::bad_domain);
  EXPECT_EQ(fault_of("a@b\xd2\x96x k").wrong, AddressWrong::bad_domain);
}

TEST(address, a_utf8_local_part_needs_smtputf8) {
  auto address = parse_address("j\xc3\xb6rg@Example.org");
  ASSERT_TRUE(address);
  EXPECT_TRUE(address->needs_smtputf8());
  EXPECT_EQ(address->text(), "j\xc3\xb6rg@example.org");
  EXPECT_EQ(address->local(), "j\xc3\xb6rg");
  EXPECT_EQ(address->domain(), "example.org");
}

TEST(address, faults_say_what_and_where) {
  struct Case {
    std::string text;
    AddressWrong wrong;
    uint32_t byte;
  };
  const Case cases[] = {
      {"", AddressWrong::empty, 0},
      {"anna", AddressWrong::no_at, 4},
      {"@example.com", AddressWrong::empty_local_part, 0},
      {".a@example.com", AddressWrong::bad_local_part, 0},
      {"a..b@example.com", AddressWrong::bad_local_part, 2},
      {"a.@example.com", AddressWrong::bad_local_part, 1},
      {"a b@example.com", AddressWrong::bad_local_part, 1},
      {"a\r\nRCPT TO:<b@c>@example.com", AddressWrong::bad_local_part, 1},
      {std::string("a\0b@example.com", 15), AddressWrong::bad_local_part, 1},
      {"<a@example.com>", AddressWrong::bad_local_part, 0},
      {"\"a@example.com", AddressWrong::bad_local_part, 14},
      {"\"a\"b@example.com", AddressWrong::bad_local_part, 3},
      {"\"a\"", AddressWrong::no_at, 3},
      {"\"a\rb\"@example.com", AddressWrong::bad_local_part, 2},
      {"a\xff@example.com", AddressWrong::not_utf8, 1},
      {"a@", AddressWrong::empty_domain, 2},
      {"a@[192.0.2.1]", AddressWrong::address_literal, 2},
      {"a@192.0.2.1", AddressWrong::bad_domain, 10},
      {"a@b..c", AddressWrong::bad_domain, 4},
      {"a@b.", AddressWrong::bad_domain, 4},
      {"a@.b", AddressWrong::bad_domain, 2},
      {"a@-b.c", AddressWrong::bad_domain, 2},
      {"a@b-.c", AddressWrong::bad_domain, 3},
      {"a@b_c.d", AddressWrong::bad_domain, 3},
      {"a@b c", AddressWrong::bad_domain, 3},
      {"a@b@c", AddressWrong::bad_domain, 3},
      {"a@b\r\n", AddressWrong::bad_domain, 3},
      {std::string(65, 'a') + "@b.c", AddressWrong::local_part_too_long, 64},
      {"a@" + std::string(64, 'b') + ".c", AddressWrong::bad_domain, 66},
  };
  for (const Case& c : cases) {
    AddressFault fault = fault_of(c.text);
    EXPECT_EQ(fault.wrong, c.wrong) << c.text << ": " << text_of(fault.wrong);
    EXPECT_EQ(fault.byte, c.byte) << c.text;
  }
  EXPECT_EQ(canonical("a b@example.com"), "! byte 1: not allowed before the '@' here");
}

TEST(address, lengths_are_held) {
  std::string label(63, 'x');
  std::string domain = label + "." + label + "." + label;  // 191 bytes
  EXPECT_TRUE(parse_address(std::string(62, 'a') + "@" + domain));
  EXPECT_EQ(fault_of(std::string(63, 'a') + "@" + domain).wrong, AddressWrong::too_long);
  EXPECT_EQ(fault_of("a@" + domain + "." + label + ".x").wrong, AddressWrong::domain_too_long);
  EXPECT_EQ(fault_of("a@" + std::string(2'000, 'x')).wrong, AddressWrong::too_long);
}

TEST(address, domains_alone) {
  EXPECT_EQ(*canonical_domain("Example.COM."), "example.com");
  EXPECT_EQ(*canonical_domain("b\xc3\xbc"
                              "cher.de"),
            "xn--bcher-kva.de");
  EXPECT_FALSE(canonical_domain("a b"));
  EXPECT_FALSE(canonical_domain(""));
  EXPECT_EQ(domain_of("\"a@b\"@c.d"), "c.d");
}

// What is accepted can stand in a command: it is canonical, short and free of controls.
TEST(address, random_bytes_never_yield_an_unsafe_address) {
  constexpr uint64_t kSeed = 7;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  const std::string alphabet("ab.@\"\\-A1 \r\n\0<>[]\xc3\xbc\xff", 21);
  int accepted = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text;
    for (uint64_t n = random.below(12); n > 0; --n) text += alphabet[random.below(alphabet.size())];
    if (random.chance(1, 2)) text += "@b.c";
    auto address = parse_address(text);
    if (!address) continue;
    ++accepted;
    std::string_view again = address->text();
    EXPECT_EQ(again.find_first_of(std::string_view("\r\n\0", 3)), std::string_view::npos);
    EXPECT_TRUE(is_utf8(again));
    EXPECT_TRUE(is_ascii(address->domain()));
    auto second = parse_address(again);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->text(), again);
    EXPECT_TRUE(scan_address(again)->is_canonical);
    EXPECT_EQ(domain_of(again), address->domain());
  }
  EXPECT_GT(accepted, 1'000);
}

TEST(utf8, well_formed_and_not) {
  EXPECT_TRUE(is_utf8("plain"));
  EXPECT_TRUE(is_utf8("\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"));
  for (std::string_view bad :
       {"\x80", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xc3", "\xe2\x82", "\xf0\x9f\x98"}) {
    EXPECT_EQ(find_bad_utf8(std::string("123456789") + std::string(bad)), 9u);
  }
}

}  // namespace
}  // namespace postring::mail
