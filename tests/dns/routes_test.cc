#include "dns/routes.h"

#include <gtest/gtest.h>

namespace postring::dns {
namespace {

RouteTarget target(std::string_view text) {
  return RouteTarget::parse(text).value();
}

TEST(RouteTarget, Parses) {
  EXPECT_EQ(target("MX.example.com.").host, "mx.example.com");
  EXPECT_EQ(target("mx.example.com").port, 25);
  EXPECT_EQ(target("mx.example.com:2525").port, 2525);
  EXPECT_EQ(target("192.0.2.1:26").ip->text(), "192.0.2.1");
  EXPECT_EQ(target("[2001:db8::1]:26").port, 26);
  EXPECT_EQ(target("2001:db8::1").ip->text(), "2001:db8::1");
  EXPECT_EQ(target("[2001:db8::1]").port, 25);
  for (const char* text :
       {"", ":25", "a:", "a:0", "a:65536", "a:x", "[::1", "[::1]25", "[::1]:", "a b:25", "a..b"})
    EXPECT_FALSE(RouteTarget::parse(text).has_value()) << text;
}

TEST(Routes, TheMostSpecificWins) {
  auto routes = Routes::create({{"*", {target("smart")}},
                                {"Example.com", {target("exact")}},
                                {"*.example.com", {target("below")}},
                                {"*.deep.example.com", {target("deep")}}},
                               {});
  ASSERT_TRUE(routes.has_value());
  auto host = [&](std::string_view domain) { return routes->find(domain)->targets[0].host; };
  EXPECT_EQ(host("example.com"), "exact");
  EXPECT_EQ(host("a.example.com"), "below");
  EXPECT_EQ(host("a.b.example.com"), "below");
  EXPECT_EQ(host("a.deep.example.com"), "deep");
  EXPECT_EQ(host("deep.example.com"), "below");
  EXPECT_EQ(host("badexample.com"), "smart");
  EXPECT_FALSE(routes->diverts());
}

TEST(Routes, NoneMeansDns) {
  EXPECT_EQ(Routes().find("example.com"), nullptr);
  auto routes = Routes::create({{"a.com", {target("x")}}}, {});
  EXPECT_EQ(routes->find("b.com"), nullptr);
}

TEST(Routes, ADiversionWinsOverEverything) {
  auto routes = Routes::create({{"a.com", {target("x")}}}, target("127.0.0.1:2525"));
  EXPECT_TRUE(routes->diverts());
  EXPECT_EQ(routes->find("a.com")->targets[0].port, 2525);
  EXPECT_EQ(routes->find("[192.0.2.1]")->targets[0].port, 2525);
}

TEST(Routes, MistakesAreNamed) {
  auto wrong = [](std::vector<Route> routes) {
    auto made = Routes::create(std::move(routes), {});
    return made ? "" : made.error().message;
  };
  EXPECT_EQ(wrong({{"a.com", {}}}), "route 'a.com': has no host");
  EXPECT_EQ(wrong({{"a.com", {target("x")}}, {"A.com", {target("y")}}}),
            "route 'A.com': is there twice");
  EXPECT_NE(wrong({{"*", {target("x")}}, {"*", {target("x")}}}), "");
  EXPECT_NE(wrong({{"a.*", {target("x")}}}), "");
  EXPECT_NE(wrong({{"a.com", std::vector<RouteTarget>(33, target("x"))}}), "");
}

}  // namespace
}  // namespace postring::dns
