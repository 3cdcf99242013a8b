#include "dns/resolver.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <string>

#include "dns/limits.h"
#include "wire_builder.h"

namespace postring::dns {
namespace {

constexpr uint16_t kA = 1, kMx = 15, kAaaa = 28;

// Answers from a table when told to; what is not in it times out or does not exist.
class FakeWire : public DnsWire {
 public:
  struct Question {
    std::string name;
    uint16_t type;
    Done done;
  };

  void query(const std::string& name, uint16_t type, Done done) override {
    ++asked[name + "/" + std::to_string(type)];
    questions.push_back({name, type, std::move(done)});
    most = std::max(most, questions.size());
  }

  void set(const WireBuilder& wire, const std::string& name, uint16_t type) {
    answers[{name, type}] = wire.bytes();
  }
  void mx(const std::string& domain, std::initializer_list<std::pair<int, const char*>> hosts,
          uint32_t ttl = 300) {
    WireBuilder wire(domain, kMx);
    for (auto [preference, host] : hosts)
      wire.mx(domain, ttl, static_cast<uint16_t>(preference), host);
    set(wire, domain, kMx);
  }
  void a(const std::string& host, std::initializer_list<uint8_t> ip, uint32_t ttl = 300) {
    set(WireBuilder(host, kA).a(host, ttl, ip), host, kA);
  }

  // Answers all there is to answer.
  void run(Instant now) {
    while (!questions.empty()) {
      Question question = std::move(questions.front());
      questions.pop_front();
      if (down) {
        question.done(std::unexpected(error), now);
      } else if (auto found = answers.find({question.name, question.type});
                 found != answers.end()) {
        question.done(std::string_view(found->second), now);
      } else {
        // Known names of another type: no data; unknown ones: NXDOMAIN.
        auto next = answers.lower_bound({question.name, 0});
        bool known = next != answers.end() && next->first.first == question.name;
        std::string bytes =
            WireBuilder(question.name, question.type, known ? 0 : 3).soa("zone", 600, 600).bytes();
        question.done(std::string_view(bytes), now);
      }
    }
  }

  std::map<std::pair<std::string, uint16_t>, std::string> answers;
  std::map<std::string, int> asked;
  std::deque<Question> questions;
  size_t most = 0;
  bool down = false;
  DnsWireError error = DnsWireError::timeout;
};

class ResolverTest : public testing::Test {
 protected:
  // Resolves to the end.
  ResolutionPtr resolve(std::string_view domain) {
    ResolutionPtr got;
    resolver.resolve(domain, now, [&](ResolutionPtr r) { got = std::move(r); });
    wire.run(now);
    EXPECT_NE(got, nullptr);
    return got;
  }
  static std::string hosts(const Resolution& r) {
    std::string out;
    for (const MailHost& host : r.hosts) {
      out += std::to_string(host.preference) + " " + host.name + ":" + std::to_string(host.port);
      for (const IpAddress& ip : host.addresses) out += " " + ip.text();
      out += "; ";
    }
    return out;
  }
  void configure(ResolverOptions options, std::vector<Route> routes = {},
                 std::optional<RouteTarget> divert = {}, AddressFilter filter = {}) {
    resolver.reconfigure(options, Routes::create(std::move(routes), std::move(divert)).value(),
                         std::move(filter));
  }

  FakeWire wire;
  Instant now{1'000'000'000};
  Resolver resolver{wire, ResolverOptions{}, Routes{}, AddressFilter{}};
};

TEST_F(ResolverTest, MxSortedWithAddresses) {
  wire.mx("example.com", {{20, "B.example.com"}, {10, "a.example.com"}, {20, "aa.example.com"}});
  wire.a("a.example.com", {8, 8, 8, 1});
  wire.a("b.example.com", {8, 8, 8, 2});
  wire.set(WireBuilder("b.example.com", kAaaa)
               .a("b.example.com", 60, {0x26, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}),
           "b.example.com", kAaaa);
  ResolutionPtr r = resolve("Example.COM.");
  EXPECT_EQ(r->kind, Resolution::Kind::hosts);
  EXPECT_EQ(hosts(*r), "10 a.example.com:25 8.8.8.1; 20 b.example.com:25 8.8.8.2 2606::1; ");
  EXPECT_EQ(r->site, "a.example.com,aa.example.com,b.example.com");
  EXPECT_FALSE(r->implicit_mx);
  EXPECT_EQ(r->expires_at, now + Duration::seconds(60));
}

TEST_F(ResolverTest, DomainsOfOneMxSetShareASite) {
  wire.mx("x.com", {{10, "m1.host"}, {20, "m2.host"}});
  wire.mx("y.com", {{5, "m2.host"}, {7, "m1.host"}});
  wire.a("m1.host", {8, 8, 8, 1});
  wire.a("m2.host", {8, 8, 8, 2});
  EXPECT_EQ(resolve("x.com")->site, resolve("y.com")->site);
  EXPECT_EQ(wire.asked["m1.host/1"], 1) << "the second time from the cache";
}

TEST_F(ResolverTest, ImplicitMx) {
  wire.a("plain.com", {8, 8, 8, 1});
  ResolutionPtr r = resolve("plain.com");
  EXPECT_TRUE(r->implicit_mx);
  EXPECT_EQ(hosts(*r), "0 plain.com:25 8.8.8.1; ");
  EXPECT_EQ(r->site, "plain.com");
}

TEST_F(ResolverTest, WhatBouncesSaysWhy) {
  wire.mx("null.com", {{0, ""}});
  wire.mx("lost.com", {{1, "nowhere.com"}});
  wire.set(WireBuilder("empty.com", 16), "empty.com", 16);
  wire.mx("strange.com", {{1, "a b"}});
  struct Case {
    const char* domain;
    Resolution::Kind kind;
    const char* reason;
  };
  for (const Case& c :
       {Case{"null.com", Resolution::Kind::null_mx, "the domain null.com takes no mail (null MX)"},
        Case{"gone.com", Resolution::Kind::no_domain, "the domain gone.com does not exist"},
        Case{"lost.com", Resolution::Kind::no_address, "no mail host of lost.com has an address"},
        Case{"empty.com", Resolution::Kind::no_address,
             "the domain empty.com has neither MX nor address"},
        Case{"strange.com", Resolution::Kind::no_address,
             "the MX of strange.com name no valid host"},
        Case{"b\xc3\xbc.com", Resolution::Kind::bad_name, "'b\xc3\xbc.com' is no domain name"},
        Case{"", Resolution::Kind::bad_name, "'' is no domain name"}}) {
    ResolutionPtr r = resolve(c.domain);
    EXPECT_EQ(r->kind, c.kind) << c.domain;
    EXPECT_EQ(r->reason, c.reason);
    EXPECT_TRUE(is_permanent(r->kind));
    EXPECT_TRUE(r->site.empty());
  }
}

TEST_F(ResolverTest, ANullMxAmongOthersIsPassedOver) {
  wire.mx("odd.com", {{0, ""}, {10, "m.host"}});
  wire.a("m.host", {8, 8, 8, 1});
  EXPECT_EQ(hosts(*resolve("odd.com")), "10 m.host:25 8.8.8.1; ");
}

TEST_F(ResolverTest, DangerousAddressesAreRefused) {
  wire.mx("evil.com", {{1, "in.evil.com"}, {2, "also.evil.com"}});
  wire.a("in.evil.com", {127, 0, 0, 1});
  wire.a("also.evil.com", {10, 0, 0, 1});
  ResolutionPtr r = resolve("evil.com");
  EXPECT_EQ(r->kind, Resolution::Kind::refused_address);
  EXPECT_EQ(r->reason,
            "also.evil.com has the address 10.0.0.1, a private address, to which nothing is sent");
  wire.mx("half.com", {{1, "in.evil.com"}, {2, "good.com"}});
  wire.a("good.com", {8, 8, 8, 8});
  EXPECT_EQ(hosts(*resolve("half.com")), "2 good.com:25 8.8.8.8; ");
  configure({}, {}, {}, AddressFilter({*Network::parse("127.0.0.0/8")}, {}));
  EXPECT_EQ(hosts(*resolve("evil.com")), "1 in.evil.com:25 127.0.0.1; ");
}

TEST_F(ResolverTest, AddressLiterals) {
  EXPECT_EQ(hosts(*resolve("[8.8.8.8]")), "0 [8.8.8.8]:25 8.8.8.8; ");
  EXPECT_EQ(resolve("[IPv6:2606::1]")->kind, Resolution::Kind::hosts);
  EXPECT_EQ(resolve("[127.0.0.1]")->kind, Resolution::Kind::refused_address);
  EXPECT_EQ(resolve("[x]")->kind, Resolution::Kind::bad_name);
  EXPECT_EQ(resolve("[8.8.8.8")->kind, Resolution::Kind::bad_name);
}

TEST_F(ResolverTest, AliasesAreFollowedAndBounded) {
  wire.set(WireBuilder("www.com", kMx).cname("www.com", 300, "real.com"), "www.com", kMx);
  wire.mx("real.com", {{1, "m.real.com"}});
  wire.set(WireBuilder("m.real.com", kA).cname("m.real.com", 60, "n.real.com"), "m.real.com", kA);
  wire.a("n.real.com", {8, 8, 8, 1});
  ResolutionPtr r = resolve("www.com");
  EXPECT_EQ(hosts(*r), "1 m.real.com:25 8.8.8.1; ");
  for (int i = 0; i < 30; ++i) {
    std::string name = "c" + std::to_string(i) + ".com";
    wire.set(WireBuilder(name, kMx).cname(name, 60, "c" + std::to_string(i + 1) + ".com"), name,
             kMx);
  }
  EXPECT_EQ(resolve("c0.com")->kind, Resolution::Kind::no_domain);
  EXPECT_EQ(wire.asked["c20.com/15"], 0);
}

TEST_F(ResolverTest, OneQuestionForAllWhoAsk) {
  wire.mx("example.com", {{1, "m.host"}});
  wire.a("m.host", {8, 8, 8, 1});
  int answered = 0;
  for (int i = 0; i < 100; ++i)
    resolver.resolve("example.com", now, [&](ResolutionPtr) { ++answered; });
  wire.run(now);
  EXPECT_EQ(answered, 100);
  EXPECT_EQ(wire.asked["example.com/15"], 1);
  bool at_once = false;
  resolver.resolve("example.com", now, [&](ResolutionPtr) { at_once = true; });
  EXPECT_TRUE(at_once);
}

TEST_F(ResolverTest, NamesInFlightAreCapped) {
  configure({.names_in_flight_max = 3});
  int answered = 0;
  for (int i = 0; i < 50; ++i) {
    std::string domain = "d" + std::to_string(i) + ".com";
    wire.a(domain, {8, 8, 8, 8});
    resolver.resolve(domain, now, [&](ResolutionPtr r) {
      EXPECT_EQ(r->kind, Resolution::Kind::hosts);
      ++answered;
    });
  }
  EXPECT_EQ(resolver.stats().in_flight, 3u);
  EXPECT_EQ(resolver.stats().waiting, 47u);
  wire.run(now);
  EXPECT_EQ(answered, 50);
  EXPECT_LE(wire.most, 6u) << "A and AAAA of three names";
  EXPECT_EQ(resolver.stats().in_flight, 0u);
}

TEST_F(ResolverTest, TooManyWaitingIsTemporary) {
  configure({.names_in_flight_max = 1, .names_waiting_max = 2});
  std::string answers;
  for (const char* domain : {"a.com", "b.com", "c.com", "d.com"})
    resolver.resolve(domain, now, [&](ResolutionPtr r) { answers += r->domain + " "; });
  EXPECT_EQ(answers, "d.com ");
  wire.run(now);
  EXPECT_EQ(answers, "d.com a.com b.com c.com ");
}

TEST_F(ResolverTest, CachedNamesThatWaitedEndWithoutDeepStacks) {
  wire.a("x.com", {8, 8, 8, 8});
  resolve("x.com");
  configure({.names_in_flight_max = 1});
  int answered = 0;
  // Each answer asks the next: callbacks nest in resolve().
  std::function<void(int)> ask = [&](int left) {
    resolver.resolve("x" + std::to_string(left) + ".com", now, [&, left](ResolutionPtr) {
      ++answered;
      if (left > 0) ask(left - 1);
    });
  };
  ask(20'000);
  wire.run(now);
  EXPECT_EQ(answered, 20'001);
}

TEST_F(ResolverTest, TimeToLiveAndNegativeCache) {
  wire.a("x.com", {8, 8, 8, 8}, 100);
  resolve("x.com");
  resolve("gone.com");
  now = now + Duration::seconds(99);
  resolve("x.com");
  resolve("gone.com");
  EXPECT_EQ(wire.asked["x.com/1"], 1);
  EXPECT_EQ(wire.asked["gone.com/15"], 1);
  now = now + Duration::seconds(2);
  resolve("x.com");
  EXPECT_EQ(wire.asked["x.com/1"], 2);
  now = now + Duration::seconds(600);
  wire.a("gone.com", {8, 8, 4, 4});
  EXPECT_EQ(resolve("gone.com")->kind, Resolution::Kind::hosts);
}

TEST_F(ResolverTest, ShortTimesAreHeldAMinimum) {
  wire.a("x.com", {8, 8, 8, 8}, 0);
  ResolutionPtr r = resolve("x.com");
  EXPECT_EQ(r->expires_at, now + ResolverOptions{}.ttl_min);
}

TEST_F(ResolverTest, FailuresAreTemporaryAndNotRepeatedAtOnce) {
  wire.down = true;
  for (DnsWireError error : {DnsWireError::timeout, DnsWireError::server_failure}) {
    wire.error = error;
    std::string domain = "x" + std::to_string(static_cast<int>(error)) + ".com";
    ResolutionPtr r = resolve(domain);
    EXPECT_EQ(r->kind, Resolution::Kind::temporary);
    EXPECT_FALSE(is_permanent(r->kind));
    EXPECT_NE(r->reason.find(text_of(error)), std::string::npos);
    EXPECT_EQ(r->expires_at, now + ResolverOptions{}.failure_ttl);
    resolve(domain);
    EXPECT_EQ(wire.asked[domain + "/15"], 1);
  }
  now = now + ResolverOptions{}.failure_ttl;
  wire.down = false;
  wire.a("x0.com", {8, 8, 8, 8});
  EXPECT_EQ(resolve("x0.com")->kind, Resolution::Kind::hosts);
}

TEST_F(ResolverTest, ServfailInTheAnswerAndGarbageAreTemporary) {
  wire.set(WireBuilder("x.com", kMx, 2), "x.com", kMx);
  EXPECT_EQ(resolve("x.com")->kind, Resolution::Kind::temporary);
  wire.answers[{"y.com", kMx}] = "garbage";
  EXPECT_EQ(resolve("y.com")->kind, Resolution::Kind::temporary);
}

TEST_F(ResolverTest, AnOutageUsesWhatWasKnown) {
  wire.mx("x.com", {{1, "m.host"}});
  wire.a("m.host", {8, 8, 8, 8});
  std::string before = hosts(*resolve("x.com"));
  resolve("gone.com");
  wire.down = true;
  now = now + Duration::hours(2);
  ResolutionPtr r = resolve("x.com");
  EXPECT_EQ(r->kind, Resolution::Kind::hosts);
  EXPECT_TRUE(r->stale);
  EXPECT_EQ(hosts(*r), before);
  EXPECT_EQ(r->expires_at, now + ResolverOptions{}.failure_ttl);
  now = now + Duration::days(2);
  EXPECT_EQ(resolve("x.com")->kind, Resolution::Kind::temporary);
  wire.down = false;
  now = now + Duration::minutes(1);
  EXPECT_FALSE(resolve("x.com")->stale);
}

TEST_F(ResolverTest, OneFailingHostDoesNotStopTheOthers) {
  wire.mx("x.com", {{1, "bad.host"}, {2, "good.host"}});
  wire.set(WireBuilder("bad.host", kA, 2), "bad.host", kA);
  wire.a("good.host", {8, 8, 8, 8});
  ResolutionPtr r = resolve("x.com");
  EXPECT_EQ(hosts(*r), "2 good.host:25 8.8.8.8; ");
  EXPECT_EQ(r->site, "bad.host,good.host");
  EXPECT_EQ(r->expires_at, now + ResolverOptions{}.failure_ttl);
  wire.mx("y.com", {{1, "bad.host"}});
  EXPECT_EQ(resolve("y.com")->kind, Resolution::Kind::temporary);
}

TEST_F(ResolverTest, RoutesAndDiversion) {
  wire.a("smart.host", {10, 0, 0, 1});
  configure({}, {{"x.com",
                  {RouteTarget::parse("127.0.0.1:2525").value(),
                   RouteTarget::parse("smart.host:26").value()}}});
  ResolutionPtr r = resolve("x.com");
  EXPECT_TRUE(r->routed);
  EXPECT_FALSE(r->diverted);
  EXPECT_EQ(hosts(*r), "0 127.0.0.1:2525 127.0.0.1; 1 smart.host:26 10.0.0.1; ");
  EXPECT_EQ(r->site, "127.0.0.1:2525,smart.host:26");
  configure({}, {}, RouteTarget::parse("127.0.0.1:2526").value());
  r = resolve("anything.com");
  EXPECT_TRUE(r->diverted);
  EXPECT_EQ(hosts(*r), "0 127.0.0.1:2526 127.0.0.1; ");
  EXPECT_EQ(wire.asked["anything.com/15"], 0);
}

TEST_F(ResolverTest, FlushForgetsTheNameAndItsHosts) {
  wire.mx("x.com", {{1, "m.host"}});
  wire.a("m.host", {8, 8, 8, 8});
  resolve("x.com");
  EXPECT_FALSE(resolver.flush("y.com"));
  EXPECT_TRUE(resolver.flush("X.com."));
  resolve("x.com");
  EXPECT_EQ(wire.asked["x.com/15"], 2);
  EXPECT_EQ(wire.asked["m.host/1"], 2);
}

TEST_F(ResolverTest, ManyMxAreCutToTheMostPreferred) {
  WireBuilder builder("x.com", kMx);
  for (int i = 0; i < 100; ++i) {
    std::string host = "m" + std::to_string(i) + ".host";
    builder.mx("x.com", 60, static_cast<uint16_t>(i), host);
    wire.a(host, {8, 8, 8, static_cast<uint8_t>(i)});
  }
  wire.set(builder, "x.com", kMx);
  ResolutionPtr r = resolve("x.com");
  EXPECT_EQ(r->hosts.size(), kMailHostsMax);
  EXPECT_EQ(r->hosts.back().preference, kMailHostsMax - 1);
}

TEST_F(ResolverTest, ATinyCacheStillEnds) {
  configure({.cache_records_max = 1});
  wire.mx("x.com", {{1, "m1.host"}, {2, "m2.host"}});
  wire.a("m1.host", {8, 8, 8, 1});
  wire.a("m2.host", {8, 8, 8, 2});
  EXPECT_EQ(resolve("x.com")->hosts.size(), 2u);
  EXPECT_EQ(wire.asked["x.com/15"], 1);
  EXPECT_LE(resolver.stats().cached_records, 1u);
}

TEST_F(ResolverTest, WithoutIpv6NoAaaaIsAsked) {
  configure({.ipv6 = false});
  wire.a("x.com", {8, 8, 8, 1});
  resolve("x.com");
  EXPECT_EQ(wire.asked["x.com/28"], 0);
}

TEST(Resolver, MayGoWhileQuestionsAreOut) {
  FakeWire wire;
  {
    Resolver resolver(wire, {}, {}, {});
    resolver.resolve("x.com", Instant{1}, [](ResolutionPtr) { FAIL(); });
  }
  wire.run(Instant{2});
}

}  // namespace
}  // namespace postring::dns
