#include "sim/world.h"

#include <algorithm>

#include "base/check.h"
#include "base/time_text.h"
#include "sim/json.h"

namespace postring::sim {
namespace {

const std::string kApi = "127.0.0.1:8025";
const std::string kControl = "/run/postring/control.sock";
// Beyond what waits for a retry, a rate or a pause.
constexpr Duration kDrainsWithin = Duration::hours(2);
constexpr Duration kStopsWithin = Duration::minutes(10);

}  // namespace

World::World(uint64_t seed, const Options& options, Say say)
    : schedule_(seed ^ 0x7363686564u),
      faults_{options, true},
      random_(seed ^ 0x776f726c64u),
      net_(schedule_, faults_, random_.next()),
      ledger_(schedule_, wall_),
      machine_(schedule_, wall_, faults_, net_, dns_, random_.next()),
      say_(std::move(say)) {
  set_machine(&machine_);
  ledger_.on_note = [this](const std::string& line) { this->say(line); };
  ledger_.takes_no_mail = [this](const std::string& who) { return dns_.takes_no_mail(who); };
  machine_.sync_failures_left = options.sync_failures;
  machine_.on_connect = [this](const IpAddress& ip) { check_connections(ip); };
  ledger_.grace = Duration::milliseconds(100) +
                  Duration::microseconds(2 * options.stall_us_max + 10 * options.turn_us_max);
  make_hosts();
  make_clients();
  plan_faults();
  Random second(seed ^ 0x66617573u);
  plan_second_faults(second);
}

World::~World() {
  // What is left refers to the world only from what is scheduled, which is never run again.
  if (node_ != nullptr && node_->runs()) node_->kill(false);
  node_.reset();
  former_.clear();
  set_machine(nullptr);
}

void World::say(const std::string& line) {
  if (say_) say_(rfc3339(wall_.at(schedule_.now())) + " " + line);
}

// ---- what there is -----------------------------------------------------------------------------

void World::make_hosts() {
  const Options& o = faults_.options;
  for (int64_t i = 0; i < o.domains; ++i) {
    Domain domain;
    domain.name = "d" + std::to_string(i) + ".example";
    domain.host = IpAddress::v4(20, 1, static_cast<uint8_t>(i / 250),
                                static_cast<uint8_t>(i % 250 + 1));
    // The first one is plain: others share its host.
    if (i > 0) {
      if (random_.chance(static_cast<uint64_t>(o.dns_null), 1'000)) {
        domain.kind = DomainKind::null_mx;
      } else if (random_.chance(static_cast<uint64_t>(o.dns_missing), 1'000)) {
        domain.kind = DomainKind::missing;
      } else {
        domain.kind = static_cast<DomainKind>(random_.below(4));
      }
      if (domain.kind == DomainKind::plain) {
        if (faults_.met(random_, o.dns_alias)) domain.kind = DomainKind::alias;
        if (faults_.met(random_, o.dns_loop)) domain.kind = DomainKind::loop;
      }
    }
    count_domain(domain.kind);
    hosts_.push_back(std::make_unique<SmtpHost>(schedule_, faults_, ledger_, "mx." + domain.name,
                                                random_.next()));
    net_.add_host(domain.host, [host = hosts_.back().get()] { return host->accept(); });
    dns_.add(std::move(domain));
  }
}

void World::count_domain(DomainKind kind) {
  if (kind == DomainKind::null_mx) faults_.count(Fault::domain_null_mx);
  if (kind == DomainKind::missing) faults_.count(Fault::domain_missing);
  if (kind == DomainKind::alias) faults_.count(Fault::domain_alias);
  if (kind == DomainKind::loop) faults_.count(Fault::domain_loop);
  if (kind == DomainKind::dead_first) faults_.count(Fault::domain_dead_first);
}

void World::make_clients() {
  const Options& o = faults_.options;
  operator_ = std::make_unique<ApiClient>(schedule_, faults_, net_, kControl, random_.next());
  api_ = std::make_unique<ApiClient>(schedule_, faults_, net_, kApi, random_.next());
  api_->on_note = operator_->on_note = [this](const std::string& line) { say(line); };
  reader_ = std::make_unique<EventReader>(schedule_, *api_, ledger_);
  for (int64_t c = 0; c < o.campaigns; ++c) {
    Submitter::Plan plan;
    plan.name = "c" + std::to_string(c);
    for (int64_t i = 0; i < o.recipients; ++i) {
      plan.addresses.push_back("u" + std::to_string(i) + "." + plan.name + "@d" +
                               std::to_string(random_.below(static_cast<uint64_t>(o.domains))) +
                               ".example");
    }
    plan.dotted_values = o.dotted_values;
    plan.batch = static_cast<size_t>(o.batch);
    plan.pauses = o.pauses;
    plan.pause_ms_max = o.pause_s_max * 1'000;
    plan.max_age = Duration::seconds(o.max_age_s);
    plan.cancel = o.cancels > 0 && c + 1 == o.campaigns;
    submitters_.push_back(std::make_unique<Submitter>(schedule_, *api_, ledger_,
                                                      std::move(plan), random_.next()));
  }
}

void World::begin_clients(const std::string& key_json) {
  auto key = json_text(key_json, "/key");
  if (!key) return ledger_.broke("api: no key: " + key_json);
  api_->use_key(*key);
  for (const auto& submitter : submitters_) submitter->begin();
  reader_->begin();
}

engine::Config World::config() const {
  const Options& o = faults_.options;
  engine::Config config;
  config.hostname = "mail.sender.example";
  config.spool.dir = "/spool";
  config.spool.segment_size = static_cast<uint64_t>(o.segment_bytes);
  config.spool.free_min = 4u << 20;
  config.spool.tail_window = static_cast<uint64_t>(o.tail_window_bytes);
  config.control.socket = kControl;
  config.delivery.retry = {Duration::seconds(o.retry_s)};
  config.delivery.max_age = Duration::seconds(o.max_age_s);
  config.delivery.limits.connections = static_cast<uint32_t>(o.connections);
  config.delivery.limits.rate =
      throttle::Rate::per_second(static_cast<uint32_t>(o.messages_per_second));
  config.delivery.limits.burst = static_cast<uint32_t>(o.burst);
  return config;
}

// ---- what happens to it ------------------------------------------------------------------------

void World::plan_faults() {
  const Options& o = faults_.options;
  auto some_time = [this, &o] {
    return Duration::microseconds(random_.between(1, o.faults_for_s * 1'000'000));
  };
  for (int64_t i = 0; i < o.crashes; ++i) {
    bool power_cut = random_.chance(static_cast<uint64_t>(o.crash_power), 1'000);
    bool in_file = random_.chance(static_cast<uint64_t>(o.crash_in_file), 1'000);
    schedule_.after(some_time(), [this, power_cut, in_file, steps = random_.between(1, 60)] {
      if (!in_file) return kill_node(power_cut);
      machine_.end_in_operations = static_cast<uint64_t>(steps);
      machine_.end_with_power = power_cut;
    });
  }
  for (int64_t i = 0; i < o.stops; ++i) schedule_.after(some_time(), [this] { stop_node(); });
  for (int64_t i = 0; i < o.disk_full; ++i) {
    schedule_.after(some_time(), [this, lasts = some_time()] {
      if (healed_) return;
      say("world: the disk fills");
      faults_.count(Fault::disk_filled);
      machine_.disk->set_capacity(0);
      ledger_.disk_full(true);
      schedule_.after(lasts, [this] {
        machine_.disk->set_capacity(static_cast<uint64_t>(faults_.options.disk_bytes));
        ledger_.disk_full(false);
      });
    });
  }
  schedule_.after(Duration::seconds(o.faults_for_s), [this] { heal(); });
}

void World::plan_second_faults(Random& random) {
  const Options& o = faults_.options;
  auto some_time = [&random, &o] {
    return Duration::microseconds(random.between(1, o.faults_for_s * 1'000'000));
  };
  for (int64_t i = 0; i < o.clock_jumps; ++i) {
    schedule_.after(some_time(), [this, seed = random.next()] {
      Random drawn(seed);
      jump_clock(drawn);
    });
  }
  for (int64_t i = 0; i < o.bit_flips; ++i) {
    schedule_.after(some_time(), [this, seed = random.next()] {
      Random drawn(seed);
      flip_bit(drawn);
    });
  }
}

void World::jump_clock(Random& random) {
  int64_t max_ms = std::max<int64_t>(faults_.options.clock_jump_s_max, 1) * 1'000;
  Duration by = Duration::milliseconds(random.between(-max_ms, max_ms));
  if (by == Duration{}) return;
  faults_.count(by > Duration{} ? Fault::clock_forward : Fault::clock_back);
  say("world: the wall clock jumps by " + std::to_string(by.whole_ms()) + " ms");
  wall_.jump(schedule_.now(), by);
}

// Of a segment that nothing is appended to any more: what is behind it is durable, and says so. In
// the last one a bad tail is taken for torn, for nobody can tell.
void World::flip_bit(Random& random) {
  std::vector<std::pair<std::string, InodePtr>> sealed;
  std::string followed;  // the folder of a later one that has records
  const auto& files = machine_.disk->files();
  for (auto at = files.rbegin(); at != files.rend(); ++at) {
    const auto& [path, inode] = *at;
    if (!path.starts_with("/spool/slice-") || !path.ends_with(".seg")) continue;
    std::string folder = path.substr(0, path.rfind('/'));
    if (followed == folder && inode->dirty_pages() == 0) sealed.emplace_back(path, inode);
    if (inode->content_bytes() > kPageBytes && inode->is_clean(0)) followed = folder;
  }
  if (sealed.empty()) return;
  const auto& [path, inode] = sealed[random.below(sealed.size())];
  uint64_t at = random.below(inode->content_bytes());
  inode->flip(at, static_cast<uint8_t>(1u << random.below(8)));
  faults_.count(Fault::bit_flipped);
  ledger_.bit_flipped();
  flipped_.push_back(path);
  say("world: a bit of " + path + ", byte " + std::to_string(at) + ", is flipped");
}

// A start that names the file that was harmed is all that can be asked for.
bool World::names_damage(const std::string& problem) const {
  return std::any_of(flipped_.begin(), flipped_.end(), [&problem](const std::string& path) {
    return problem.find(path) != std::string::npos;
  });
}

void World::heal() {
  say("world: heals");
  healed_ = true;
  faults_.on = false;
  machine_.end_in_operations = 0;
  machine_.disk->set_capacity(static_cast<uint64_t>(faults_.options.disk_bytes));
  ledger_.disk_full(false);
}

void World::start_node() {
  if (node_ != nullptr) former_.push_back(std::move(node_));
  stopping_ = false;
  const Options& o = faults_.options;
  auto workers = static_cast<size_t>(starts_.size() % 2 == 0 ? o.workers : o.workers_later);
  if (!starts_.empty() && o.workers != o.workers_later) faults_.count(Fault::other_workers);
  node_ = std::make_unique<Node>(machine_, config(), workers, [this](std::string_view line) {
    if (say_) say_(std::string(line.substr(0, line.size() - 1)));
  });
  node_->on_ended = [this] { on_node_ended(); };
  starts_.push_back(schedule_.now());
  ledger_.process_started();
  bool started = node_->start();
  if (machine_.frozen != nullptr) {
    faults_.count(Fault::in_recovery);
    if (started) return kill_node(machine_.end_with_power);
    faults_.count(machine_.end_with_power ? Fault::power_cut : Fault::killed);
    machine_.end_process(machine_.end_with_power);
    return restart_after(Duration::seconds(1));
  }
  if (started) return;
  say("world: it does not start: " + node_->problem());
  if (names_damage(node_->problem())) {
    damage_named_ = true;
    return machine_.end_process(false);
  }
  bool no_space = node_->problem().find("No space") != std::string::npos;
  if (!no_space) ledger_.broke("start: " + node_->problem());
  machine_.end_process(false);
  restart_after(Duration::seconds(10));
}

void World::restart_after(Duration wait) {
  if (rests_) return;
  schedule_.after(wait, [this] {
    if (node_ == nullptr || !node_->runs()) start_node();
  });
}

void World::kill_node(bool power_cut) {
  if (node_ == nullptr || !node_->runs()) return;
  say(power_cut ? "world: the power goes" : "world: the process is killed");
  faults_.count(power_cut ? Fault::power_cut : Fault::killed);
  const Options& o = faults_.options;
  // What was not written, or not synced, at this moment (README.md of this folder).
  Duration window = Duration::milliseconds(50) + Duration::microseconds(2 * o.stall_us_max);
  if (power_cut) window = window + Duration::microseconds(3 * o.sync_us_max + 2 * o.io_us_max);
  Instant since = schedule_.now() - window;
  // Nothing is written any more since then.
  if (machine_.sync_failed_at != Instant::never()) {
    since = std::min(since, machine_.sync_failed_at - window);
  }
  ledger_.process_ended(since);
  node_->kill(power_cut);
  restart_after(Duration::milliseconds(random_.between(10, 30'000)));
}

void World::stop_node() {
  if (node_ == nullptr || !node_->runs() || stopping_) return;
  say("world: SIGTERM");
  if (!rests_) faults_.count(Fault::stopped);
  stopping_ = true;
  node_->ask_to_stop();
}

void World::on_node_ended() {
  say("world: it has ended");
  if (node_->spool_failed()) {
    ledger_.process_ended(machine_.sync_failed_at - Duration::seconds(1));
  } else if (machine_.open_count() > 0 || !machine_.rings.empty()) {
    ledger_.broke("left over: " + std::to_string(machine_.open_count()) + " descriptors");
  }
  machine_.end_process(false);
  restart_after(Duration::milliseconds(random_.between(10, 30'000)));
}

// ---- the run -----------------------------------------------------------------------------------

bool World::run_until(const std::function<bool()>& condition, Duration limit) {
  Instant end = schedule_.now() + limit;
  uint64_t steps = 0;
  while (ledger_.broken().empty()) {
    if (++steps % 64 == 0 && condition()) return true;
    if (schedule_.now() > end || !schedule_.step()) return condition();
    if (machine_.frozen != nullptr) kill_node(machine_.end_with_power);
  }
  return false;
}

bool World::drained() const {
  bool runs = node_->runs() && !stopping_;
  return healed_ && runs && std::all_of(submitters_.begin(), submitters_.end(),
                                        [](const auto& one) { return one->done(); }) &&
         ledger_.all_ended();
}

std::string World::what_waits() const {
  std::string text = "it does not drain:";
  for (const auto& submitter : submitters_) text += " [" + submitter->where() + "]";
  for (const auto& [address, person] : ledger_.people()) {
    if (!person.acknowledged || person.end == "delivered" || person.end == "bounced") continue;
    text += " " + address + " " + (person.end.empty() ? "untold" : person.end);
    if (text.size() > 1'000) break;
  }
  return text;
}

// A bucket filled at each start of the process; what rides behind another's reply may be late by
// one message of each connection.
void World::check_rates() {
  const Options& o = faults_.options;
  if (o.messages_per_second == 0) return;
  int64_t room = (o.burst + o.connections + 1) * 1'000'000;
  for (size_t i = 0; i < hosts_.size(); ++i) {
    int64_t level = room;
    Instant last{};
    size_t start = 0;
    // A session reads later than it was sent to, and not all equally late.
    std::vector<Instant> mails = hosts_[i]->mails();
    std::sort(mails.begin(), mails.end());
    for (Instant mail : mails) {
      level = std::min(room, level + (mail - last).us * o.messages_per_second);
      while (start < starts_.size() && starts_[start] <= mail) {
        level = room;
        ++start;
      }
      last = mail;
      level -= 1'000'000;
      if (level < 0) return ledger_.broke("rate: too many messages for host " + std::to_string(i));
    }
  }
}

// From the moment a connection is asked for until its descriptor is closed. Every host belongs to
// one site, and nobody answers at the dead hosts of several.
void World::check_connections(const IpAddress& ip) {
  auto limit = static_cast<uint32_t>(faults_.options.connections);
  bool is_host = std::any_of(dns_.domains().begin(), dns_.domains().end(),
                             [&ip](const Domain& domain) { return domain.host == ip; });
  uint32_t count = machine_.connections_to(ip);
  if (!is_host || count <= limit) return;
  ledger_.broke("connections: " + std::to_string(count) + " to " + ip.text() + ", the limit is " +
                std::to_string(limit));
}

void World::judge(Verdict& verdict) {
  const Options& o = faults_.options;
  run_until([this] { return damage_named_ || healed_; }, Duration::seconds(o.faults_for_s + 1));
  Duration limit = Duration::seconds(3 * o.retry_s) + kDrainsWithin;
  if (o.messages_per_second > 0) {
    limit = limit + Duration::seconds(o.recipients * o.campaigns / o.messages_per_second);
  }
  bool drains = run_until([this] { return damage_named_ || drained(); }, limit);
  if (damage_named_) return;
  if (!drains) {
    if (!ledger_.broken().empty()) return;
    verdict.kind = Verdict::Kind::liveness;
    verdict.what = what_waits();
    return;
  }
  rests_ = true;
  reader_->stop();
  stop_node();
  if (!run_until([this] { return node_->ended(); }, kStopsWithin) && ledger_.broken().empty()) {
    verdict.kind = Verdict::Kind::liveness;
    verdict.what = "it does not stop";
    return;
  }
  ledger_.check_ends();
  check_rates();
}

void World::settle(Verdict& verdict) {
  if (!ledger_.broken().empty()) {
    verdict.kind = Verdict::Kind::correctness;
    verdict.what = ledger_.broken();
  }
  verdict.unseed = schedule_.draw() ^ random_.next() ^ machine_.random.next();
  verdict.hash = schedule_.hash();
  verdict.simulated = schedule_.now() - Instant{};
  verdict.steps = schedule_.steps();
  verdict.recipients = ledger_.people().size();
  verdict.deliveries = ledger_.deliveries();
  verdict.duplicates = ledger_.duplicates();
  verdict.events = ledger_.events();
  verdict.retries = operator_->retries() + api_->retries();
  verdict.connections = net_.connections();
  verdict.faults = faults_.counts;
}

Verdict World::run() {
  start_node();
  operator_->call({"POST", "/operator/keys", R"({"tenant":"acme","scopes":["submit","read"]})",
                   "application/json"},
                  [this](const ApiClient::Reply& reply) { begin_clients(reply.body); });
  Verdict verdict;
  judge(verdict);
  settle(verdict);
  return verdict;
}

}  // namespace postring::sim
