// Options: everything that a run may meet, as plain data drawn once from the seed.
//
//   Options options = draw_options(seed, Mode::swarm, kDials);
//   print(options);                      // "name value", one a line: a scenario has the same form
//   set_option(options, "smtp.greylist", "250");
//
// Chances are of 1,000 where nothing else is said, times are microseconds. Faults are met until the
// run heals (faults_for); then all of them are off, and everything has to drain.
//
// What is added draws from numbers of its own, as a further generation of dials: a scenario that
// was found with fewer says so (`dials 1`), and stays the run that it was.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace postring::sim {

enum class Mode : uint8_t {
  swarm,  // some faults are off altogether, the others of any strength
  lite,   // the world is kind; the process may crash, at any moment that dials of crashes know
  quiet   // no faults: what is measured and what scenarios start from
};

// Lies of the machine that no product can live with: each must break a law (--canary).
enum Plant : int64_t {
  kNoPlant,
  kLyingSync,    // a sync says success and makes nothing durable
  kLostWrite,    // a write says success and reaches nothing, now and then
  kFlippedByte,  // a byte of what is sent is another one, now and then
};

constexpr int64_t kDials = 6;

struct Options {
  // The work.
  int64_t workers = 1;
  int64_t workers_later = 1;  // after a restart
  int64_t campaigns = 1;
  int64_t recipients = 300;  // of each campaign
  int64_t batch = 100;       // recipients of one
  int64_t domains = 10;
  int64_t retry_s = 60;
  int64_t max_age_s = 86'400;
  int64_t messages_per_second = 0;  // 0: no limit
  int64_t burst = 20;
  int64_t connections = 10;
  int64_t segment_bytes = 65'536;
  int64_t tail_window_bytes = 64 << 20;  // what lies further behind is read through the ring
  int64_t pauses = 0;   // of each campaign
  int64_t pause_s_max = 120;
  int64_t cancels = 0;  // 1: the last campaign is cancelled at some moment
  int64_t faults_for_s = 600;
  int64_t messages = 0;            // single ones, of another tenant
  int64_t message_recipients_max = 10;  // of those that share one content
  int64_t erasures = 0;            // of messages
  int64_t dotted_values = 0;  // of recipients: a value begins with a dot

  int64_t plant = kNoPlant;

  // The process and its machine.
  int64_t crashes = 0;
  int64_t crash_power = 500;     // of these, how many lose what was not synced
  int64_t crash_in_file = 300;   // at a file operation, not between two events
  int64_t busy_crashes = 0;      // after some of what the ring and the disk do under load
  int64_t crash_in_start = 0;    // of starts after a crash
  int64_t restart_ms_max = 30'000;
  int64_t stops = 0;             // orderly restarts
  int64_t turn_us_max = 50;
  int64_t stall = 0;             // of 100,000 turns
  int64_t stall_us_max = 200'000;
  int64_t completions_max = 0;   // that one turn finds, the others overflow; 0: no limit
  int64_t clock_jumps = 0;       // of the wall clock
  int64_t clock_jump_s_max = 0;  // forward or back
  int64_t early_submit = 0;      // the submission queue was full

  // The disk.
  int64_t io_us_max = 200;
  int64_t sync_us_max = 5'000;
  int64_t short_io = 0;
  int64_t sync_failures = 0;    // in the whole run
  int64_t disk_bytes = 1 << 30;
  int64_t disk_full = 0;        // how often others fill it for a while
  int64_t read_errors = 0;      // of reads
  int64_t bit_flips = 0;        // in what is sealed: the run ends where the start names it
  int64_t flips_anywhere = 0;   // 1: in the control log and in contents, too

  // The network.
  int64_t latency_us_min = 200;
  int64_t latency_us_max = 20'000;
  int64_t short_send = 0;
  int64_t pieces = 0;           // what arrives comes byte by byte
  int64_t refuse = 0;
  int64_t unreachable = 0;      // a connection that never opens
  int64_t client_loss = 0;      // a client's connection breaks

  // Names.
  int64_t dns_us_max = 50'000;
  int64_t dns_failure = 0;      // SERVFAIL, or no answer
  int64_t dns_null = 0;         // of the domains: they take no mail
  int64_t dns_missing = 0;      // of the domains: they do not exist
  int64_t dns_alias = 0;        // of the domains: another name for one with the MX
  int64_t dns_loop = 0;         // of the domains: another name for themselves
  int64_t dns_malformed = 0;    // of answers

  // Mail hosts.
  int64_t smtp_us_max = 10'000;       // until a reply
  int64_t smtp_tarpit = 0;            // of replies that take up to a minute
  int64_t smtp_greylist = 0;          // of recipients: not at the first time
  int64_t smtp_unknown = 0;           // of recipients: 550, always
  int64_t smtp_defer = 0;             // of replies to RCPT and the dot: 4yz
  int64_t smtp_421 = 0;               // of replies: 421 and closed
  int64_t smtp_refuse_content = 0;    // of recipients: 554 at the dot, always
  int64_t smtp_drop_early = 0;        // of connections: lost before the first MAIL
  int64_t smtp_drop = 0;              // of commands: lost instead of the reply
  int64_t smtp_drop_dot = 0;          // of contents taken: lost before the 250
  int64_t smtp_multiline = 0;
  int64_t smtp_no_pipelining = 0;     // of hosts
  int64_t smtp_no_chunking = 0;       // of hosts
  int64_t smtp_connections = 0;       // a host's limit; 0: none
  int64_t smtp_recipients = 0;        // a host's limit in a transaction, then 452; 0: none
  int64_t smtp_messages = 0;          // a host's limit on a connection, then 421; 0: none
  int64_t smtp_malformed = 0;         // of replies: none of SMTP
  int64_t smtp_silent = 0;            // of what is answered: nothing is said any more
  int64_t smtp_cut = 0;               // of replies: closed in the middle of it
  int64_t smtp_drop_content = 0;      // of contents: lost before their end
  int64_t smtp_no_ehlo = 0;           // of hosts: HELO only
  int64_t smtp_no_bdat = 0;           // of hosts: CHUNKING is offered and BDAT unknown
  int64_t smtp_no_ahead = 0;          // of hosts: PIPELINING is offered and 503 what comes of it
  int64_t smtp_354_always = 0;        // of hosts: also where no recipient was taken

  int64_t longest_stall_us() const { return stall > 0 ? stall_us_max : 0; }
};

Options draw_options(uint64_t seed, Mode mode, int64_t dials);

// Calls `visit` for every option, in a fixed order.
void for_each_option(Options& options,
                     const std::function<void(std::string_view name, int64_t& value)>& visit);

std::string text_of(const Options& options);

// One "name value" line; false: there is no such option, or it is no number.
bool set_option(Options& options, std::string_view line);

}  // namespace postring::sim
