#include "smtp/command_text.h"

#include <gtest/gtest.h>

#include <string>

#include "smtp/limits.h"

namespace postring::smtp {
namespace {

TEST(CommandText, OrdinaryAddressesCanBeSaid) {
  EXPECT_TRUE(is_sayable_address("ann@example.com"));
  EXPECT_TRUE(is_sayable_address("a.b+c=d@[192.0.2.1]"));
  EXPECT_TRUE(is_sayable_address("\"two words <x>\"@example.com"));
  EXPECT_TRUE(is_sayable_address("\"a\\\"b\"@example.com"));
  EXPECT_TRUE(is_sayable_address("j\xc3\xb6rg@example.com"));
}

TEST(CommandText, NothingCanBeSmuggledIntoACommand) {
  using namespace std::string_view_literals;
  for (auto address :
       {""sv, "a\r\nDATA"sv, "a\n@b"sv, "a\r@b"sv, "a\0@b"sv, "a> SIZE=1"sv, "a b@c"sv, "<a@b>"sv,
        "\"a\r\n\"@b"sv, "\"a\\\r\"@b"sv, "\"open@b"sv, "\"a\\"sv, "a\x7f@b"sv})
    EXPECT_FALSE(is_sayable_address(address)) << address;
  EXPECT_TRUE(is_sayable_address(std::string(kAddressBytesMax, 'a')));
  EXPECT_FALSE(is_sayable_address(std::string(kAddressBytesMax + 1, 'a')));
}

TEST(CommandText, Names) {
  EXPECT_TRUE(is_sayable_name("mx1.example.com"));
  EXPECT_TRUE(is_sayable_name("[IPv6:2001:db8::1]"));
  EXPECT_FALSE(is_sayable_name(""));
  EXPECT_FALSE(is_sayable_name("a b"));
  EXPECT_FALSE(is_sayable_name("a\r\nMAIL"));
}

}  // namespace
}  // namespace postring::smtp
