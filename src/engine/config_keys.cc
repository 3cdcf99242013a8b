#include "engine/config_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace postring::engine {

namespace {

constexpr ConfigSection kSections[] = {
    {"spool", false, "Where accepted mail lies until it is delivered. A change needs a restart."},
    {"events", false, "How long what happened can be read. The older of the two limits counts."},
    {"http", false, "The API."},
    {"control", false, "The operator's socket; its file permissions say who may use it."},
    {"source", true, "An address mail leaves from. None: the system chooses one."},
    {"dns", false, "How domains are looked up. What is known already stays known."},
    {"divert", false, "Sends all mail to one place; nothing leaves. For trials."},
    {"route", true, "Hosts for a domain instead of its MX; with \"*\" a smart host."},
    {"delivery", false, "How mail is sent, and the limits of every site."},
    {"domain", true, "Other limits for a recipient domain. The most particular one wins."},
    {"mx", true, "Other limits for sites whose MX hosts all end in a suffix."},
    {"log", false, "What is written to standard error."},
};

// What [delivery], [[domain]] and [[mx]] have in common.
#define POSTRING_LIMIT_KEYS(section, standards)                                                   \
  {section, "connections", "1 to 10000", standards ? "10" : "",                                   \
   "Connections to a site from one source at the same time."},                                    \
      {section, "messages_per_connection", "1 to 1000000", standards ? "500" : "",                \
       "Messages on one connection before it is closed."},                                        \
      {section, "messages_per_second", "0 to 1000000", standards ? "100" : "",                    \
       "Messages a second to a site from one source; 0: no limit."},                              \
      {section, "burst", "1 to 1000000", standards ? "20" : "",                                   \
       "Messages that may go at once before that rate holds."},                                   \
      {section, "pipelining", "\"off\", \"within\" or \"across\"", standards ? "\"across\"" : "", \
       "off: wait for every reply; within: one message's commands together; across: and the "     \
       "next message's with this one's end."},                                                    \
      {section, "chunking", "true or false", standards ? "true" : "",                             \
       "Send with BDAT where the peer offers it."},                                               \
      {section, "retry", "a list of durations",                                                   \
       standards ? "[\"5m\", \"15m\", \"1h\", \"3h\"]" : "",                                      \
       "Waits between attempts; the last repeats. Each is varied a little."},                     \
      {section, "max_age", "a duration, 1m to 30d", standards ? "\"4d\"" : "",                    \
       "A message that was not delivered for this long is given up."},                            \
      {section, "on_lost_final_reply", "\"retry\" or \"assume_delivered\"",                       \
       standards ? "\"retry\"" : "",                                                              \
       "When a message was sent and the connection broke before the reply. The event then says "  \
       "possible_duplicate."},                                                                    \
      {section, "connect_timeout", "a duration, 1s to 10m", standards ? "\"30s\"" : "",           \
       "Wait for a connection to open."},                                                         \
  {                                                                                               \
    section, "idle_timeout", "a duration, 0s to 5m", standards ? "\"5s\"" : "",                   \
        "Keep a connection without work this long."                                               \
  }

constexpr ConfigKey kKeys[] = {
    {"", "workers", "0 to 256", "0",
     "Threads that send, each with a CPU of its own; 0: one for every CPU the process may use. "
     "Needs a restart."},
    {"", "hostname", "a domain", "the machine's name",
     "Names this machine in EHLO and Message-ID where no source does. Needs a restart."},
    {"", "postmaster", "an address", "postmaster@ the hostname",
     "Who answers for this machine; the sender of `postring try`."},

    {"spool", "dir", "an absolute path", "",
     "Required. A folder on a journaling filesystem; one daemon at a time uses it."},
    {"spool", "segment_size", "a size, 2MiB to 1GiB", "\"64MiB\"",
     "Size of one log file; one of events has 16 MiB at most. Room comes back a file at a time."},
    {"spool", "reserve_segments", "1 to 64", "2",
     "Files per slice kept for outcomes and for making room when the disk is full."},
    {"spool", "outcome_sync", "a duration, 1ms to 1s", "\"5ms\"",
     "Longest time until a written outcome is safe from a power cut. What was sent within it may "
     "be "
     "sent twice after one."},
    {"spool", "campaign_age", "a duration, 1d to 3650d", "\"30d\"",
     "What finished longer ago than this is gone from the spool, and the personal data with it."},
    {"spool", "free_min", "a size, 16MiB to 1TiB", "\"256MiB\"",
     "With less room than this nothing new is accepted; delivery goes on."},

    {"events", "keep", "a duration, 1h to 3650d", "\"7d\"", "Events older than this are deleted."},
    {"events", "keep_bytes", "a size, 64MiB to 64TiB", "\"10GiB\"",
     "The oldest events are deleted when they and their indexes take more than this."},

    {"http", "listen", "a list of \"address:port\"", "[\"127.0.0.1:8025\"]",
     "Where the API listens. Needs a restart. Addresses other than loopback need insecure_listen."},
    {"http", "insecure_listen", "true or false", "false",
     "Allow the API on other addresses although nothing is encrypted: keys and mail can be read by "
     "whoever sees the network."},
    {"http", "connections", "1 to 65536", "1024",
     "Clients at the same time, per worker. Where more come, who is idle longest makes room."},
    {"http", "body_bytes", "a size, 1KiB to 64MiB", "\"64MiB\"",
     "Largest batch, unpacked; a larger one gets 413."},
    {"http", "batch_lines", "1 to 250000", "250000", "Most lines in a batch."},
    {"http", "timeout", "a duration, 1s to 10m", "\"30s\"",
     "A client that sends nothing of a body for this long, or takes nothing of an answer, is "
     "dropped."},
    {"http", "header_timeout", "a duration, 100ms to 10m", "\"10s\"",
     "A request's line and headers must be there this long after its first byte; then 408."},
    {"http", "idle_timeout", "a duration, 100ms to 1h", "\"75s\"",
     "A connection is closed when no request begins on it for this long."},

    {"control", "socket", "an absolute path", "\"/run/postring/control.sock\"",
     "The socket the `postring` command talks to. Needs a restart."},
    {"control", "mode", "file permissions in octal", "\"0600\"", "Its permissions."},

    {"source", "name", "letters, digits, . _ -", "", "Required. How campaigns and events name it."},
    {"source", "address", "an IPv4 or IPv6 address", "the system's choice",
     "An address of this machine. One that is not there stops this source only."},
    {"source", "ehlo", "a domain", "the hostname",
     "The name for EHLO; should resolve to the address and back."},

    {"dns", "servers", "a list of addresses", "those of /etc/resolv.conf",
     "Name servers, with a port where it is not 53. A caching one nearby is best."},
    {"dns", "timeout", "a duration, 100ms to 1m", "\"5s\"", "Wait for one answer."},
    {"dns", "tries", "1 to 10", "3", "Tries before the lookup is put off."},
    {"dns", "names_in_flight", "1 to 30000", "1000", "Names looked up at the same time."},
    {"dns", "cache_names", "1000 to 10000000", "200000", "Names remembered."},
    {"dns", "negative_ttl_max", "a duration, 1s to 1d", "\"15m\"",
     "Longest time a missing name is remembered."},
    {"dns", "allow_networks", "a list of \"network/bits\"", "[]",
     "Loopback, private and own networks that DNS may point to all the same. Sites that lie wholly "
     "in them are not treated with the careful limits."},

    {"divert", "all", "\"host:port\"", "", "Required. Where all mail goes instead."},

    {"route", "domain", "a domain, \"*.domain\" or \"*\"", "",
     "Required. The domain, what is below it, or everything."},
    {"route", "hosts", "a list of \"host:port\"", "",
     "Required. Tried in this order; port 25 where none is given."},

    POSTRING_LIMIT_KEYS("delivery", true),
    {"delivery", "port", "1 to 65535", "25", "The port of MX hosts."},
    {"delivery", "connections_max", "1 to 1000000", "20000", "Connections of the whole daemon."},
    {"delivery", "stop_wait", "a duration, 0s to 10m", "\"30s\"",
     "When stopping: wait this long for replies to messages already sent."},

    {"domain", "name", "a domain or \"*.domain\"", "", "Required. Which recipients' domain."},
    POSTRING_LIMIT_KEYS("domain", false),

    {"mx", "suffix", "a domain", "",
     "Required. \"example.net\" covers that host and all hosts below it."},
    POSTRING_LIMIT_KEYS("mx", false),

    {"log", "level", "\"error\", \"warning\", \"info\" or \"debug\"", "\"info\"", "What is said."},
};

#undef POSTRING_LIMIT_KEYS

// Levenshtein's distance: letters to insert, delete or change.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row[b.size()];
}

std::string written(const ConfigSection& section) {
  return section.repeated ? fmt::format("[[{}]]", section.name) : fmt::format("[{}]", section.name);
}

void append_wrapped(std::string& out, std::string_view text, size_t indent, size_t columns) {
  size_t column = 0;
  while (!text.empty()) {
    size_t end = std::min(text.find(' '), text.size());
    if (column == 0 || column + 1 + end > columns) {
      if (column != 0) out += '\n';
      out.append(indent, ' ');
      column = indent;
    } else {
      out += ' ';
      ++column;
    }
    out += text.substr(0, end);
    column += end;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  out += '\n';
}

void append_keys(std::string& out, std::string_view section) {
  for (const ConfigKey& key : kKeys) {
    if (key.section != section) continue;
    out += fmt::format("  {} = {}{}\n", key.name, key.takes,
                       key.standard.empty() ? "" : fmt::format("    (default {})", key.standard));
    append_wrapped(out, key.says, 6, 96);
  }
}

}  // namespace

std::span<const ConfigKey> config_keys() {
  return kKeys;
}
std::span<const ConfigSection> config_sections() {
  return kSections;
}

const ConfigSection* find_section(std::string_view name) {
  const auto* found = std::ranges::find(kSections, name, &ConfigSection::name);
  return found == std::end(kSections) ? nullptr : found;
}

const ConfigKey* find_key(std::string_view section, std::string_view name) {
  const auto* found = std::ranges::find_if(
      kKeys, [&](const ConfigKey& key) { return key.section == section && key.name == name; });
  return found == std::end(kKeys) ? nullptr : found;
}

std::string suggest_key(std::string_view section, std::string_view name) {
  // Elsewhere, but spelled right, is the likelier slip.
  for (const ConfigKey& key : kKeys) {
    if (key.name != name || key.section == section || key.name == "name") continue;
    const ConfigSection* home = find_section(key.section);
    return home == nullptr ? fmt::format("'{}' belongs at the top of the file", name)
                           : fmt::format("'{}' belongs in {}", name, written(*home));
  }
  std::string_view nearest;
  size_t least = std::max<size_t>(name.size() / 3, 1) + 1;
  auto consider = [&](std::string_view known) {
    size_t steps = distance(name, known);
    if (steps >= least) return;
    least = steps;
    nearest = known;
  };
  for (const ConfigKey& key : kKeys)
    if (key.section == section) consider(key.name);
  if (section.empty())
    for (const ConfigSection& known : kSections) consider(known.name);
  return nearest.empty() ? std::string() : fmt::format("did you mean '{}'?", nearest);
}

std::string config_help() {
  std::string out =
      "The configuration is a TOML file. Durations are written \"250ms\", \"90s\", \"5m\", \"3h\" "
      "or \"2d\",\nsizes \"64MiB\" or \"10GiB\". Unknown keys are mistakes. "
      "`postring check config FILE` says them all.\n\n";
  append_keys(out, "");
  for (const ConfigSection& section : kSections) {
    out += '\n' + written(section) + '\n';
    append_wrapped(out, section.says, 2, 96);
    append_keys(out, section.name);
  }
  return out;
}

}  // namespace postring::engine
