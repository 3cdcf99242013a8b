#include "io/socket_address.h"

#include <gtest/gtest.h>

namespace postring {
namespace {

TEST(SocketAddress, TextsReadBack) {
  for (const char* text : {"127.0.0.1:25", "[::1]:2525", "[2001:db8::7]:65535"}) {
    auto address = SocketAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), text);
  }
  for (const char* wrong : {"", "127.0.0.1", "::1:25", "[127.0.0.1]:25", "127.0.0.1:66000",
                            "127.0.0.1:", "localhost:25", "127.0.0.1:25x"}) {
    EXPECT_FALSE(SocketAddress::parse(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace postring
