#include "dns/address_filter.h"

#include <gtest/gtest.h>

namespace postring::dns {
namespace {

IpAddress ip(const char* text) {
  return IpAddress::parse(text).value();
}

TEST(Network, Parses) {
  EXPECT_TRUE(Network::parse("10.0.0.0/8")->contains(ip("10.255.0.1")));
  EXPECT_FALSE(Network::parse("10.0.0.0/8")->contains(ip("11.0.0.1")));
  EXPECT_TRUE(Network::parse("127.0.0.0/9")->contains(ip("127.127.0.1")));
  EXPECT_FALSE(Network::parse("127.0.0.0/9")->contains(ip("127.128.0.1")));
  EXPECT_TRUE(Network::parse("192.0.2.1")->contains(ip("192.0.2.1")));
  EXPECT_FALSE(Network::parse("192.0.2.1")->contains(ip("192.0.2.2")));
  EXPECT_TRUE(Network::parse("0.0.0.0/0")->contains(ip("8.8.8.8")));
  EXPECT_FALSE(Network::parse("0.0.0.0/0")->contains(ip("::1")));
  EXPECT_TRUE(Network::parse("fe80::/10")->contains(ip("febf::1")));
  for (const char* text : {"", "x", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/8x",
                           "10.0.0.0/-1", "10.0.0/8", "::/300"})
    EXPECT_FALSE(Network::parse(text).has_value()) << text;
}

TEST(AddressFilter, RefusesWhatIsNoPublicHost) {
  AddressFilter filter;
  for (const char* text : {"127.0.0.1",
                           "127.255.255.254",
                           "0.0.0.0",
                           "10.1.2.3",
                           "100.64.0.1",
                           "169.254.1.1",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.168.1.1",
                           "224.0.0.1",
                           "239.1.1.1",
                           "255.255.255.255",
                           "198.18.0.1",
                           "192.0.2.1",
                           "::",
                           "::1",
                           "fe80::1",
                           "fc00::1",
                           "fd12::1",
                           "ff02::1",
                           "2001:db8::1",
                           "::ffff:127.0.0.1",
                           "::ffff:10.0.0.1",
                           "64:ff9b::7f00:1",
                           "2002:7f00:1::",
                           "::127.0.0.1",
                           "::2"})
    EXPECT_NE(filter.refusal(ip(text)), nullptr) << text;
  for (const char* text : {"8.8.8.8", "172.32.0.1", "100.128.0.1", "192.169.0.1", "1.1.1.1",
                           "2606:4700::1111", "2a00:1450:4001::1a", "::ffff:8.8.8.8"})
    EXPECT_EQ(filter.refusal(ip(text)), nullptr) << text;
}

TEST(AddressFilter, AllowedNetworksAndOwnAddresses) {
  AddressFilter filter({*Network::parse("127.0.0.0/8"), *Network::parse("::1/128")},
                       {ip("8.8.4.4"), ip("2606:4700::5")});
  EXPECT_EQ(filter.refusal(ip("127.0.0.5")), nullptr);
  EXPECT_EQ(filter.refusal(ip("::ffff:127.0.0.5")), nullptr);
  EXPECT_EQ(filter.refusal(ip("::1")), nullptr);
  EXPECT_NE(filter.refusal(ip("10.0.0.1")), nullptr);
  EXPECT_STREQ(filter.refusal(ip("8.8.4.4")), "an address of this machine");
  EXPECT_NE(filter.refusal(ip("::ffff:8.8.4.4")), nullptr);
  EXPECT_NE(filter.refusal(ip("2606:4700::5")), nullptr);
}

}  // namespace
}  // namespace postring::dns
