#include "traffic/settings.h"

#include <gtest/gtest.h>

namespace postring::traffic {
namespace {

Override connections(uint32_t n) {
  Override o;
  o.connections = n;
  return o;
}

using Hosts = std::vector<std::string>;

TEST(Settings, TheFirstDefaultsAreCareful) {
  Settings settings = Rules().for_site("example.com", Hosts{"mx.example.com"}, false);
  EXPECT_EQ(settings.connections, 10u);
  EXPECT_EQ(settings.rate, throttle::Rate::per_second(100));
}

TEST(Settings, AnAllowedNetworkNeedsNoCare) {
  Settings settings = Rules().for_site("example.com", Hosts{"mx.example.com"}, true);
  EXPECT_FALSE(settings.rate.limited());
  EXPECT_GT(settings.connections, 10u);
}

TEST(Settings, TheMoreParticularWins) {
  Rules rules(connections(1), {{"big.example", connections(2)}, {"mx.big.example", connections(3)}},
              {{".org", connections(4)}, {".a.org", connections(5)}, {"b.a.org", connections(6)}});
  auto of = [&](std::string_view domain, Hosts hosts) {
    return rules.for_site(domain, hosts, false).connections;
  };
  EXPECT_EQ(of("x.com", {"mx.other.example"}), 1u);
  EXPECT_EQ(of("x.com", {"a.big.example", "b.big.example"}), 2u);
  EXPECT_EQ(of("x.com", {"1.mx.big.example"}), 3u);
  EXPECT_EQ(of("x.com", {"1.mx.big.example", "a.big.example"}), 2u);
  EXPECT_EQ(of("x.com", {"notbig.example"}), 1u);
  EXPECT_EQ(of("x.org", {"a.big.example"}), 4u);
  EXPECT_EQ(of("x.a.org", {"a.big.example"}), 5u);
  EXPECT_EQ(of("b.a.org", {"a.big.example"}), 6u);
  EXPECT_EQ(of("org", {"a.big.example"}), 2u);
}

TEST(Settings, WhatAnOverrideDoesNotNameStays) {
  Override slow;
  slow.rate = throttle::Rate{10, Duration::minutes(1)};
  slow.pipelining = Pipelining::off;
  Rules rules(connections(7), {}, {{"example.com", slow}});
  Settings settings = rules.for_domain("example.com");
  EXPECT_EQ(settings.connections, 7u);
  EXPECT_EQ(settings.rate, (throttle::Rate{10, Duration::minutes(1)}));
  EXPECT_EQ(settings.pipelining, Pipelining::off);
  EXPECT_TRUE(settings.chunking);
}

TEST(Settings, DomainsWithSettingsOfTheirOwnAreMarked) {
  Rules rules({}, {}, {{".org", connections(4)}, {"a.org", connections(5)}});
  EXPECT_EQ(rules.lane_mark("example.com"), "");
  EXPECT_EQ(rules.lane_mark("b.org"), ".org");
  EXPECT_EQ(rules.lane_mark("a.org"), "a.org");
}

TEST(Settings, SaysWhatIsOutOfBounds) {
  EXPECT_EQ(what_is_wrong(connections(5)), "");
  EXPECT_EQ(what_is_wrong(connections(0)), "connections is 0; allowed are 1 to 10000");
  Override o;
  o.retry = std::vector<Duration>{};
  EXPECT_EQ(what_is_wrong(o), "retry must name at least one wait");
  o.retry = std::vector<Duration>{Duration{}};
  EXPECT_NE(what_is_wrong(o), "");
}

}  // namespace
}  // namespace postring::traffic
