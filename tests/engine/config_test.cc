#include "engine/config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/config_keys.h"
#include "engine/config_reader.h"

namespace postring::engine {
namespace {

constexpr const char* kLeast = "[spool]\ndir = \"/var/lib/postring\"\n";

Config good(const std::string& text) {
  auto config = parse_config(text, "test.toml");
  if (!config) {
    for (const ConfigMistake& mistake : config.error()) ADD_FAILURE() << mistake.text();
    return {};
  }
  return *config;
}

std::vector<std::string> mistakes(const std::string& text) {
  auto config = parse_config(text, "t");
  std::vector<std::string> texts;
  if (config) return texts;
  for (const ConfigMistake& mistake : config.error()) texts.push_back(mistake.text());
  return texts;
}

// The one mistake of a text that is put behind what every file needs.
std::string mistake(const std::string& text) {
  auto found = mistakes(std::string(kLeast) + text);
  EXPECT_EQ(found.size(), 1u) << text;
  return found.empty() ? "" : found[0];
}

TEST(Config, LeastFileHasCarefulDefaults) {
  Config config = good(kLeast);
  EXPECT_EQ(config.workers, 0u);
  EXPECT_EQ(config.spool.dir, "/var/lib/postring");
  ASSERT_EQ(config.http.listen.size(), 1u);
  EXPECT_EQ(config.http.listen[0].text(), "127.0.0.1:8025");
  EXPECT_EQ(config.control.mode, 0600u);
  EXPECT_TRUE(config.dns.allow_networks.empty());
  EXPECT_FALSE(config.divert);
  traffic::Rules rules(config.delivery.limits, config.mx_suffixes, config.domains);
  traffic::Settings settings = rules.for_site("example.com", {}, false);
  EXPECT_EQ(settings.connections, 10u);
  EXPECT_EQ(settings.rate.count, 100u);
}

TEST(Config, ReadsEveryKey) {
  Config config = good(R"(
workers = 2
hostname = "Mail.Example.COM"
postmaster = "post@example.com"
[spool]
dir = "/spool/"
segment_size = "16MiB"
reserve_segments = 3
outcome_sync = "10ms"
campaign_age = "10d"
free_min = "1GiB"
[events]
keep = "3d"
keep_bytes = "1GiB"
[http]
listen = ["127.0.0.1:0", "[::1]:8025"]
insecure_listen = false
connections = 10
body_bytes = 1048576
batch_lines = 1000
timeout = "5s"
header_timeout = "3s"
idle_timeout = "1m"
[control]
socket = "/run/x.sock"
mode = "0660"
[[source]]
name = "a"
address = "127.0.0.2"
ehlo = "a.example.com"
[[source]]
name = "b"
address = "::1"
[dns]
servers = ["127.0.0.1:5353", "192.0.2.1"]
timeout = "2s"
tries = 2
names_in_flight = 10
cache_names = 1000
negative_ttl_max = "1m"
allow_networks = ["127.0.0.0/8", "10.0.0.0/8"]
[divert]
all = "127.0.0.1:2525"
[[route]]
domain = "Example.org"
hosts = ["relay.example.net:587", "192.0.2.7"]
[[route]]
domain = "*.example.org"
hosts = ["relay.example.net"]
[[route]]
domain = "*"
hosts = ["smart.example.net"]
[delivery]
connections = 5
messages_per_connection = 50
messages_per_second = 0
burst = 7
pipelining = "within"
chunking = false
retry = ["1m", "2m"]
max_age = "1d"
on_lost_final_reply = "assume_delivered"
connect_timeout = "10s"
idle_timeout = "1s"
port = 2525
connections_max = 100
stop_wait = "5s"
[[domain]]
name = "*.example.org"
connections = 2
retry = ["9m"]
[[mx]]
suffix = "google.com"
pipelining = "off"
[log]
level = "debug"
)");
  EXPECT_EQ(config.hostname, "mail.example.com");
  EXPECT_EQ(config.spool.dir, "/spool");
  EXPECT_EQ(config.spool.segment_size, 16u << 20);
  EXPECT_EQ(config.http.listen.size(), 2u);
  EXPECT_EQ(config.http.timeout, Duration::seconds(5));
  EXPECT_EQ(config.http.header_timeout, Duration::seconds(3));
  EXPECT_EQ(config.http.idle_timeout, Duration::minutes(1));
  EXPECT_EQ(config.control.mode, 0660u);
  ASSERT_EQ(config.sources.size(), 2u);
  EXPECT_EQ(config.sources[0].ehlo_name, "a.example.com");
  ASSERT_EQ(config.dns.servers.size(), 2u);
  EXPECT_EQ(config.dns.servers[1].text(), "192.0.2.1:53");
  ASSERT_TRUE(config.divert);
  EXPECT_EQ(config.divert->port, 2525);
  ASSERT_EQ(config.routes.size(), 3u);
  EXPECT_EQ(config.routes[0].pattern, "example.org");
  EXPECT_EQ(config.routes[0].targets[0].port, 587);
  EXPECT_EQ(config.routes[1].pattern, "*.example.org");
  EXPECT_EQ(config.routes[2].pattern, "*");
  EXPECT_EQ(config.delivery.retry.size(), 2u);
  EXPECT_EQ(config.delivery.max_age, Duration::days(1));
  EXPECT_FALSE(config.delivery.limits.retry);
  EXPECT_FALSE(config.delivery.limits.rate->limited());
  ASSERT_EQ(config.domains.size(), 1u);
  EXPECT_EQ(config.domains[0].pattern, ".example.org");
  EXPECT_EQ(config.domains[0].override.retry->at(0), Duration::minutes(9));
  ASSERT_EQ(config.mx_suffixes.size(), 1u);
  EXPECT_EQ(config.mx_suffixes[0].override.pipelining, traffic::Pipelining::off);
  EXPECT_EQ(config.log_level, reporting::LogLevel::debug);
}

TEST(Config, SaysWhereAndWhatIsAllowed) {
  EXPECT_EQ(
      mistake("outcome_sync = \"5 m\""),
      "t:3: spool.outcome_sync: '5 m' is no duration: expected a number and ms, s, m, h or d");
  EXPECT_EQ(mistake("outcome_sync = \"2s\""),
            "t:3: spool.outcome_sync: '2s' is outside of 1ms to 1s");
  EXPECT_EQ(mistake("segment_size = \"64MB\""),
            "t:3: spool.segment_size: '64MB' is no size: expected a number of bytes, or one with "
            "KiB, MiB, GiB or TiB");
  EXPECT_EQ(mistake("segment_size = \"1KiB\""),
            "t:3: spool.segment_size: 1KiB is outside of 2MiB to 1GiB");
  EXPECT_EQ(mistake("reserve_segments = 0"),
            "t:3: spool.reserve_segments: 0 is outside of 1 to 64");
  EXPECT_EQ(mistake("reserve_segments = \"2\""),
            "t:3: spool.reserve_segments: is a text; expected a whole number, 1 to 64");
  EXPECT_EQ(mistake("[delivery]\nchunking = \"yes\""),
            "t:4: delivery.chunking: is a text; expected true or false, without quotes");
  EXPECT_EQ(mistake("[delivery]\npipelining = \"on\""),
            "t:4: delivery.pipelining: 'on' is none of 'off', 'within', 'across'");
  EXPECT_EQ(mistake("[delivery]\nretry = [\"5m\",\n\"x\"]"),
            "t:5: delivery.retry[2]: 'x' is no duration: expected a number and ms, s, m, h or d");
  EXPECT_EQ(mistake("[delivery]\nretry = []"),
            "t:4: delivery.retry: is empty; expected at least one duration");
  EXPECT_EQ(mistake("[delivery]\nretry = \"5m\""),
            "t:4: delivery.retry: is a text; expected a list of durations, in [ ]");
  EXPECT_EQ(mistake("[control]\nmode = \"rw\""),
            "t:4: control.mode: 'rw' are no file permissions: expected \"0600\"");
  EXPECT_EQ(mistake("[control]\nsocket = \"run/x\""),
            "t:4: control.socket: 'run/x' is no absolute path; begin with '/'");
  EXPECT_EQ(mistake("[[source]]\nname = \"a b\""),
            "t:4: source[1].name: 'a b': expected 1 to 64 letters, digits, '.', '_' or '-'");
  EXPECT_EQ(mistake("[[source]]\nname = \"a\"\naddress = \"1.2.3\""),
            "t:5: source[1].address: '1.2.3' is no IPv4 or IPv6 address");
  EXPECT_EQ(mistake("[[source]]\nname = \"a\"\n[[source]]\nname = \"a\""),
            "t:6: source[2].name: there is a [[source]] 'a' above already");
  EXPECT_EQ(mistake("[dns]\nallow_networks = [\"10.0.0.0/33\"]"),
            "t:4: dns.allow_networks[1]: '10.0.0.0/33' is no network: expected \"10.0.0.0/8\"");
  EXPECT_EQ(mistake("[[source]]\nname = \"a\"\nehlo = \"\""),
            "t:5: source[1].ehlo: is empty; expected a domain");
  EXPECT_EQ(mistake("[[domain]]\nname = \"*\""),
            "t:4: domain[1].name: '*' names no domain; expected a domain or \"*.\" and a domain");
  EXPECT_EQ(mistake("[http]\nheader_timeout = \"0s\""),
            "t:4: http.header_timeout: '0s' is outside of 100ms to 10m");
  EXPECT_EQ(mistake("[log]\nlevel = 3"),
            "t:4: log.level: is a number; expected \"error\", \"warning\", \"info\" or \"debug\", "
            "as a text in quotes");
}

TEST(Config, RequiredKeysAndTables) {
  EXPECT_EQ(mistakes("workers = 1"),
            std::vector<std::string>{"t:1: spool: the table [spool] is missing; it needs a dir"});
  EXPECT_EQ(mistakes("[spool]\n"),
            std::vector<std::string>{"t:1: spool.dir: is missing; it takes an absolute path"});
  EXPECT_EQ(mistake("[[route]]\nhosts = [\"a.example\"]"),
            "t:3: route[1].domain: is missing; it takes a domain, \"*.domain\" or \"*\"");
  EXPECT_EQ(mistake("[[domain]]\nconnections = 1"),
            "t:3: domain[1].name: is missing; it takes a domain or \"*.domain\"");
  EXPECT_EQ(mistake("[divert]"), "t:3: divert.all: is missing; it takes \"host:port\"");
  EXPECT_EQ(mistake("[source]\nname = \"a\""),
            "t:3: source: there can be several: write [[source]] instead of [source]");
  EXPECT_EQ(mistake("[[dns]]\n"), "t:3: dns: is given more than once; there is one [dns]");
}

TEST(Config, UnknownKeysAreMistakesWithASuggestion) {
  EXPECT_EQ(mistake("segmentsize = 1"),
            "t:3: spool.segmentsize: unknown key; did you mean 'segment_size'?");
  EXPECT_EQ(mistake("[delivry]\n"), "t:3: delivry: unknown key; did you mean 'delivery'?");
  EXPECT_EQ(mistake("[delivery]\nsegment_size = 1"),
            "t:4: delivery.segment_size: unknown key; 'segment_size' belongs in [spool]");
  EXPECT_EQ(mistake("workers = 1"),
            "t:3: spool.workers: unknown key; 'workers' belongs at the top of the file");
  EXPECT_EQ(mistake("[dns]\nxyzzy = 1"), "t:4: dns.xyzzy: unknown key");
}

TEST(Config, EveryMistakeIsReportedInTheOrderOfLines) {
  auto found =
      mistakes("workers = 999\nfoo = 1\n[spool]\n[http]\nlisten = [\"0.0.0.0:80\", \"x\"]\n");
  ASSERT_EQ(found.size(), 5u);
  EXPECT_TRUE(found[0].starts_with("t:1: workers: 999 is outside of 0 to 256")) << found[0];
  EXPECT_TRUE(found[1].starts_with("t:2: foo: unknown key")) << found[1];
  EXPECT_TRUE(found[2].starts_with("t:3: spool.dir: is missing")) << found[2];
  EXPECT_TRUE(found[3].starts_with("t:5: http.listen[1]: '0.0.0.0:80' is not loopback"))
      << found[3];
  EXPECT_TRUE(found[4].starts_with("t:5: http.listen[2]: 'x' is no address")) << found[4];
}

TEST(Config, OtherAddressesNeedInsecureListen) {
  Config config =
      good(std::string(kLeast) + "[http]\nlisten = [\"0.0.0.0:80\"]\ninsecure_listen = true");
  EXPECT_EQ(config.http.listen[0].text(), "0.0.0.0:80");
}

TEST(Config, SyntaxErrorsHaveALine) {
  auto found = mistakes("workers = 1\nworkers 2\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0].starts_with("t:2: column ")) << found[0];
  EXPECT_EQ(mistakes("a = \"\xff\"").size(), 1u);
  EXPECT_EQ(load_config("/nonexistent/x.toml").error()[0].text(),
            "/nonexistent/x.toml: cannot be read: No such file or directory");
}

TEST(Config, DiffSaysWhatNeedsARestart) {
  Config before = good(std::string(kLeast) + "[delivery]\nconnections = 5\n");
  Config after = good(
      "workers = 3\n[spool]\ndir = \"/other\"\n[delivery]\nretry = [\"1m\"]\n[[domain]]\nname = "
      "\"example.com\"\nburst = 2\n");
  auto changes = config_diff(before, after);
  auto find = [&](std::string_view key) {
    auto found = std::ranges::find(changes, key, &ConfigChange::key);
    EXPECT_NE(found, changes.end()) << key;
    return found == changes.end() ? ConfigChange{} : *found;
  };
  EXPECT_EQ(changes.size(), 5u);
  EXPECT_TRUE(find("workers").needs_restart);
  EXPECT_TRUE(find("spool.dir").needs_restart);
  EXPECT_EQ(find("delivery.retry").after, "[1m]");
  EXPECT_FALSE(find("delivery.retry").needs_restart);
  EXPECT_EQ(find("delivery.connections").after, "");
  EXPECT_EQ(find("domain 'example.com'.burst").before, "");
  EXPECT_TRUE(config_diff(before, before).empty());
}

TEST(Config, AReloadSaysAgainWhatWaitsForARestart) {
  Config start = good(kLeast);
  Config once = good(std::string("workers = 3\n") + kLeast +
                     "[dns]\nservers = [\"192.0.2.1\"]\ntimeout = \"1s\"\ntries = 1\n"
                     "[events]\nkeep = \"1d\"\nkeep_bytes = \"1GiB\"\n");
  auto changes = config_changes(start, start, once);
  EXPECT_EQ(changes.size(), 6u);
  for (const ConfigChange& change : changes) {
    EXPECT_EQ(change.needs_restart, change.key == "workers") << change.key;
  }
  changes = config_changes(start, once, once);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].key, "workers");
  EXPECT_EQ(changes[0].before, "0");
  EXPECT_EQ(changes[0].after, "3");
  changes = config_changes(start, once, start);
  EXPECT_EQ(changes.size(), 5u);  // as it was started with: no restart is needed any more
  EXPECT_TRUE(std::ranges::none_of(changes, &ConfigChange::needs_restart));
}

TEST(Config, HelpNamesEveryKeyAndKeysAreUnique) {
  std::string help = config_help();
  for (const ConfigKey& key : config_keys()) {
    EXPECT_NE(help.find("  " + std::string(key.name) + " = "), std::string::npos) << key.name;
    EXPECT_EQ(find_key(key.section, key.name), &key);
    EXPECT_TRUE(key.section.empty() || find_section(key.section)) << key.section;
  }
}

TEST(Config, Sizes) {
  EXPECT_EQ(*parse_size("64MiB"), 64u << 20);
  EXPECT_EQ(*parse_size("0"), 0u);
  EXPECT_EQ(size_text(64u << 20), "64MiB");
  EXPECT_EQ(size_text(1000), "1000");
  for (const char* wrong : {"", "MiB", "-1", "1.5GiB", "99999999999TiB", "1 MiB"})
    EXPECT_FALSE(parse_size(wrong)) << wrong;
}

}  // namespace
}  // namespace postring::engine
