#include "sim/options.h"

#include <charconv>

#include "base/random.h"

namespace postring::sim {

void for_each_option(Options& o,
                     const std::function<void(std::string_view name, int64_t& value)>& visit) {
  visit("workers", o.workers);
  visit("workers_later", o.workers_later);
  visit("campaigns", o.campaigns);
  visit("recipients", o.recipients);
  visit("batch", o.batch);
  visit("domains", o.domains);
  visit("retry_s", o.retry_s);
  visit("max_age_s", o.max_age_s);
  visit("messages_per_second", o.messages_per_second);
  visit("burst", o.burst);
  visit("connections", o.connections);
  visit("segment_bytes", o.segment_bytes);
  visit("tail_window_bytes", o.tail_window_bytes);
  visit("pauses", o.pauses);
  visit("pause_s_max", o.pause_s_max);
  visit("cancels", o.cancels);
  visit("faults_for_s", o.faults_for_s);
  visit("plant", o.plant);
  visit("crashes", o.crashes);
  visit("crash_power", o.crash_power);
  visit("crash_in_file", o.crash_in_file);
  visit("busy_crashes", o.busy_crashes);
  visit("crash_in_start", o.crash_in_start);
  visit("restart_ms_max", o.restart_ms_max);
  visit("stops", o.stops);
  visit("turn_us_max", o.turn_us_max);
  visit("stall", o.stall);
  visit("stall_us_max", o.stall_us_max);
  visit("completions_max", o.completions_max);
  visit("clock_jumps", o.clock_jumps);
  visit("clock_jump_s_max", o.clock_jump_s_max);
  visit("early_submit", o.early_submit);
  visit("io_us_max", o.io_us_max);
  visit("sync_us_max", o.sync_us_max);
  visit("short_io", o.short_io);
  visit("sync_failures", o.sync_failures);
  visit("disk_bytes", o.disk_bytes);
  visit("disk_full", o.disk_full);
  visit("read_errors", o.read_errors);
  visit("bit_flips", o.bit_flips);
  visit("flips_anywhere", o.flips_anywhere);
  visit("latency_us_min", o.latency_us_min);
  visit("latency_us_max", o.latency_us_max);
  visit("short_send", o.short_send);
  visit("pieces", o.pieces);
  visit("refuse", o.refuse);
  visit("unreachable", o.unreachable);
  visit("client_loss", o.client_loss);
  visit("dns_us_max", o.dns_us_max);
  visit("dns_failure", o.dns_failure);
  visit("dns_null", o.dns_null);
  visit("dns_missing", o.dns_missing);
  visit("dns_alias", o.dns_alias);
  visit("dns_loop", o.dns_loop);
  visit("dns_malformed", o.dns_malformed);
  visit("smtp_us_max", o.smtp_us_max);
  visit("smtp_tarpit", o.smtp_tarpit);
  visit("smtp_greylist", o.smtp_greylist);
  visit("smtp_unknown", o.smtp_unknown);
  visit("smtp_defer", o.smtp_defer);
  visit("smtp_421", o.smtp_421);
  visit("smtp_refuse_content", o.smtp_refuse_content);
  visit("smtp_drop_early", o.smtp_drop_early);
  visit("smtp_drop", o.smtp_drop);
  visit("smtp_drop_dot", o.smtp_drop_dot);
  visit("smtp_multiline", o.smtp_multiline);
  visit("smtp_no_pipelining", o.smtp_no_pipelining);
  visit("smtp_no_chunking", o.smtp_no_chunking);
  visit("smtp_connections", o.smtp_connections);
  visit("smtp_malformed", o.smtp_malformed);
  visit("smtp_silent", o.smtp_silent);
  visit("smtp_cut", o.smtp_cut);
  visit("smtp_drop_content", o.smtp_drop_content);
  visit("smtp_no_ehlo", o.smtp_no_ehlo);
  visit("smtp_no_bdat", o.smtp_no_bdat);
  visit("smtp_no_ahead", o.smtp_no_ahead);
  visit("smtp_354_always", o.smtp_354_always);
  visit("smtp_messages", o.smtp_messages);
  visit("dotted_values", o.dotted_values);
  visit("messages", o.messages);
  visit("message_recipients_max", o.message_recipients_max);
  visit("erasures", o.erasures);
  visit("smtp_recipients", o.smtp_recipients);
}

namespace {

// A fault is off in half of the runs, or the frequent ones would hide the others.
int64_t maybe(Random& random, int64_t max) {
  return random.chance(1, 2) ? 0 : random.between(1, max);
}

void draw_work(Options& o, Random& random) {
  o.workers = random.between(1, 4);
  o.workers_later = random.chance(1, 2) ? o.workers : random.between(1, 4);
  o.campaigns = random.between(1, 3);
  o.recipients = random.between(20, 400);
  o.batch = random.between(10, 200);
  o.domains = random.between(1, 20);
  o.retry_s = random.between(20, 300);
  o.connections = random.between(1, 12);
  if (random.chance(1, 3)) o.messages_per_second = random.between(2, 50);
  o.burst = random.between(1, 30);
  o.latency_us_max = random.between(300, 60'000);
  o.faults_for_s = random.between(60, 1'800);
  o.smtp_no_pipelining = maybe(random, 500);
  o.smtp_no_chunking = maybe(random, 1'000);
  o.smtp_unknown = maybe(random, 100);
  o.smtp_multiline = maybe(random, 500);
}

void draw_faults(Options& o, Random& random) {
  o.pauses = random.chance(1, 3) ? random.between(1, 3) : 0;
  o.cancels = random.chance(1, 6) ? 1 : 0;
  if (random.chance(1, 6)) o.max_age_s = random.between(60, 3'600);
  o.stops = random.chance(1, 3) ? random.between(1, 3) : 0;
  o.turn_us_max = random.between(5, 500);
  o.stall = maybe(random, 100);
  o.early_submit = maybe(random, 100);
  o.io_us_max = random.between(20, 5'000);
  o.sync_us_max = random.between(200, 100'000);
  o.short_io = maybe(random, 300);
  o.sync_failures = random.chance(1, 5) ? random.between(1, 3) : 0;
  o.disk_full = random.chance(1, 5) ? random.between(1, 3) : 0;
  o.short_send = maybe(random, 300);
  o.pieces = maybe(random, 100);
  o.refuse = maybe(random, 200);
  o.unreachable = maybe(random, 100);
  o.client_loss = maybe(random, 200);
  o.dns_failure = maybe(random, 200);
  o.dns_null = maybe(random, 100);
  o.dns_missing = maybe(random, 100);
  o.smtp_us_max = random.between(100, 300'000);
  o.smtp_tarpit = maybe(random, 20);
  o.smtp_greylist = maybe(random, 500);
  o.smtp_defer = maybe(random, 200);
  o.smtp_421 = maybe(random, 50);
  o.smtp_refuse_content = maybe(random, 100);
  o.smtp_drop_early = maybe(random, 200);
  o.smtp_drop = maybe(random, 50);
  o.smtp_drop_dot = maybe(random, 100);
  o.smtp_connections = random.chance(1, 3) ? random.between(1, 5) : 0;
}

void draw_second_faults(Options& o, Random& random) {
  if (random.chance(1, 2)) o.tail_window_bytes = random.between(0, 200'000);
  if (random.chance(1, 4)) o.completions_max = random.between(1, 50);
  if (random.chance(1, 3)) {
    static constexpr int64_t kJumps_s[] = {3, 60, 600, 3'600, 3'600, 86'400};
    o.clock_jumps = random.between(1, 4);
    o.clock_jump_s_max = kJumps_s[random.below(6)];
  }
  o.read_errors = maybe(random, 300);
  if (random.chance(1, 12)) o.bit_flips = random.between(1, 3);
  o.dns_alias = maybe(random, 300);
  o.dns_loop = maybe(random, 50);
  o.dns_malformed = maybe(random, 100);
  o.smtp_malformed = maybe(random, 20);
  o.smtp_cut = maybe(random, 20);
  o.smtp_drop_content = maybe(random, 50);
  o.smtp_no_ehlo = maybe(random, 300);
  o.smtp_no_bdat = maybe(random, 500);
  o.smtp_no_ahead = maybe(random, 500);
  o.smtp_354_always = maybe(random, 500);
  // Days go by: little mail, long waits.
  if (!random.chance(1, 25)) return;
  o.faults_for_s = random.between(86'400, 2 * 86'400);
  o.retry_s = random.between(1'800, 7'200);
  o.max_age_s = random.between(3'600, 3 * 86'400);
  o.pause_s_max = 20'000;
  o.campaigns = 1;
}

void draw_third_faults(Options& o, Random& random) {
  if (random.chance(1, 4)) o.smtp_messages = random.between(1, 20);
}

void draw_fourth(Options& o, Random& random) { o.dotted_values = maybe(random, 500); }

// Those of crashes, for lite runs too.
void draw_fifth_crashes(Options& o, Random& random) {
  if (o.crashes == 0 && random.chance(1, 2)) return;
  o.busy_crashes = random.between(1, 8);
  o.crash_in_start = maybe(random, 700);
  if (random.chance(1, 2)) o.restart_ms_max = random.between(20, 2'000);
}

void draw_fifth(Options& o, Random& random) {
  o.smtp_silent = maybe(random, 20);
  o.flips_anywhere = random.chance(1, 2) ? 1 : 0;
}

void draw_messages(Options& o, Random& random) {
  o.messages = maybe(random, 60);
  o.message_recipients_max = random.between(1, 40);
  o.erasures = maybe(random, 300);
  if (random.chance(1, 3)) o.smtp_recipients = random.between(1, 20);
}

}  // namespace

Options draw_options(uint64_t seed, Mode mode, int64_t dials) {
  Options options;
  if (mode == Mode::quiet) return options;
  Random random(seed ^ 0x6f7074696f6e73u);
  draw_work(options, random);
  options.crashes = random.chance(4, 5) ? random.between(1, 6) : 0;
  options.crash_power = random.between(0, 1'000);
  options.crash_in_file = random.between(0, 500);
  Random fifth(seed ^ 0x6669667468u);
  if (dials >= 5) draw_fifth_crashes(options, fifth);
  if (mode != Mode::swarm) return options;
  draw_faults(options, random);
  Random second(seed ^ 0x7365636f6e64u);
  if (dials >= 2) draw_second_faults(options, second);
  Random third(seed ^ 0x7468697264u);
  if (dials >= 3) draw_third_faults(options, third);
  Random fourth(seed ^ 0x666f75727468u);
  if (dials >= 4) draw_fourth(options, fourth);
  if (dials >= 5) draw_fifth(options, fifth);
  Random messages(seed ^ 0x6d65737361676573u);
  if (dials >= 6) draw_messages(options, messages);
  return options;
}

std::string text_of(const Options& options) {
  Options copy = options;
  std::string text;
  for_each_option(copy, [&text](std::string_view name, int64_t& value) {
    text += std::string(name) + " " + std::to_string(value) + "\n";
  });
  return text;
}

bool set_option(Options& options, std::string_view line) {
  size_t space = line.find(' ');
  if (space == std::string_view::npos) return false;
  int64_t number = 0;
  auto [end, error] = std::from_chars(line.data() + space + 1, line.data() + line.size(), number);
  if (error != std::errc{} || end != line.data() + line.size()) return false;
  bool found = false;
  for_each_option(options, [&](std::string_view name, int64_t& value) {
    if (name != line.substr(0, space)) return;
    value = number;
    found = true;
  });
  return found;
}

}  // namespace postring::sim
