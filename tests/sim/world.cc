#include "sim/world.h"

#include <algorithm>

#include "base/check.h"
#include "base/time_text.h"
#include "sim/json.h"

namespace postring::sim {
namespace {

const std::string kTenant = "acme";
const std::string kOtherTenant = "other";
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
      say_(std::move(say)),
      crash_random_(seed ^ 0x6372617368u),
      busy_crashes_left_(options.busy_crashes) {
  set_machine(&machine_);
  ledger_.on_note = [this](const std::string& line) { this->say(line); };
  ledger_.takes_no_mail = [this](const std::string& who) { return dns_.takes_no_mail(who); };
  machine_.sync_failures_left = options.sync_failures;
  machine_.on_connect = [this](const IpAddress& ip) { check_connections(ip); };
  ledger_.grace = Duration::milliseconds(100) +
                  Duration::microseconds(2 * options.longest_stall_us() + 10 * options.turn_us_max);
  make_hosts();
  make_clients();
  plan_faults();
  Random second(seed ^ 0x66617573u);
  plan_second_faults(second);
  Random other(seed ^ 0x6f74686572u);
  if (options.messages > 0) make_messenger(other);
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
  reader_ = std::make_unique<EventReader>(schedule_, *api_, ledger_, kTenant);
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

void World::make_messenger(Random& random) {
  const Options& o = faults_.options;
  other_api_ = std::make_unique<ApiClient>(schedule_, faults_, net_, kApi, random.next());
  other_api_->on_note = [this](const std::string& line) { say(line); };
  other_reader_ = std::make_unique<EventReader>(schedule_, *other_api_, ledger_, kOtherTenant);
  Messenger::Plan plan;
  plan.tenant = kOtherTenant;
  plan.messages = o.messages;
  plan.recipients_max = o.message_recipients_max;
  plan.domains = o.domains;
  plan.erasures = o.erasures;
  plan.sent_within = Duration::seconds(o.faults_for_s);
  plan.max_age = Duration::seconds(o.max_age_s);
  messenger_ = std::make_unique<Messenger>(schedule_, *other_api_, *api_, ledger_, std::move(plan),
                                           random.next());
}

bool World::take_key(ApiClient& api, const std::string& json) {
  auto key = json_text(json, "/key");
  if (key) {
    api.use_key(*key);
  } else {
    ledger_.broke("api: no key: " + json);
  }
  return key.has_value();
}

void World::make_keys() {
  operator_->call({"POST", "/operator/keys", R"({"tenant":"acme","scopes":["submit","read"]})",
                   "application/json"},
                  [this](const ApiClient::Reply& reply) {
                    if (!take_key(*api_, reply.body)) return;
                    for (const auto& submitter : submitters_) submitter->begin();
                    reader_->begin();
                  });
  if (messenger_ == nullptr) return;
  operator_->call({"POST", "/operator/keys",
                   R"({"tenant":"other","scopes":["submit","read","admin"]})", "application/json"},
                  [this](const ApiClient::Reply& reply) {
                    if (!take_key(*other_api_, reply.body)) return;
                    messenger_->begin();
                    other_reader_->begin();
                  });
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

// ---- the run -----------------------------------------------------------------------------------

bool World::run_until(const std::function<bool()>& condition, Duration limit) {
  Instant end = schedule_.now() + limit;
  uint64_t steps = 0;
  while (ledger_.broken().empty()) {
    if (++steps % 64 == 0 && condition()) return true;
    if (schedule_.now() > end || !schedule_.step()) return condition();
    if (machine_.frozen != nullptr || machine_.ends) kill_node(machine_.end_with_power);
  }
  return false;
}

bool World::drained() const {
  bool runs = node_->runs() && !stopping_;
  if (messenger_ != nullptr && !messenger_->done()) return false;
  return healed_ && runs && std::all_of(submitters_.begin(), submitters_.end(),
                                        [](const auto& one) { return one->done(); }) &&
         ledger_.all_ended();
}

std::string World::what_waits() const {
  std::string text = "it does not drain:";
  for (const auto& submitter : submitters_) text += " [" + submitter->where() + "]";
  if (messenger_ != nullptr) text += " [" + messenger_->where() + "]";
  for (const auto& [address, person] : ledger_.people()) {
    if (!person.acknowledged || person.end == "delivered" || person.end == "bounced") continue;
    text += " " + address + " " + (person.end.empty() ? "untold" : person.end);
    if (text.size() > 1'000) break;
  }
  return text;
}

// A bucket filled at each start of the process. A MAIL that rides with the end of another message
// has its permit when it is lined up and leaves when the peer asks for that message: it may be late
// by any time, one on each connection that the host has had at a time.
void World::check_rates() {
  const Options& o = faults_.options;
  if (o.messages_per_second == 0) return;
  for (size_t i = 0; i < hosts_.size(); ++i) {
    int64_t room = (o.burst + hosts_[i]->late_mails_max()) * 1'000'000;
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
  come_back(verdict);
  if (damage_named_ || verdict.kind != Verdict::Kind::good) return;
  ledger_.check_ends();
  check_rates();
}

std::string World::ask_for_all(Verdict& verdict) {
  account_->ask();
  if (!run_until([this] { return account_->ready(); }, kStopsWithin) && ledger_.broken().empty()) {
    verdict.kind = Verdict::Kind::liveness;
    verdict.what = "it does not say what it has";
  }
  return account_->text();
}

bool World::stop_for_good(Verdict& verdict) {
  stop_node();
  if (run_until([this] { return node_->ended(); }, kStopsWithin)) return true;
  if (!ledger_.broken().empty()) return false;
  verdict.kind = Verdict::Kind::liveness;
  verdict.what = "it does not stop";
  return false;
}

// False: it was ready before anything had come of it.
bool World::killed_in_start() {
  machine_.end_in_operations = crash_random_.below(start_operations_ + 1) + 1;
  machine_.end_with_power = crash_random_.chance(1, 2);
  start_node();
  machine_.end_in_operations = 0;
  return !node_->runs();
}

void World::come_back(Verdict& verdict) {
  // Of those that a full disk took no record of, the counts of the time before know.
  bool deferrals = faults_.counts[Fault::no_space] == 0;
  account_ = std::make_unique<Account>(*api_, ledger_, deferrals);
  std::string before = ask_for_all(verdict);
  for (int time = 0; time < 3; ++time) {
    if (verdict.kind != Verdict::Kind::good || !stop_for_good(verdict)) return;
    say("world: it is started again, to say the same");
    if (time != 1 || killed_in_start()) start_node();
    if (damage_named_ || !node_->runs()) return;
    std::string after = ask_for_all(verdict);
    if (ledger_.broken().empty() && verdict.kind == Verdict::Kind::good && after != before) {
      ledger_.broke("comes back: after start " + std::to_string(time) + " " +
                    difference(before, after));
    }
  }
  reader_->stop();
  if (other_reader_ != nullptr) other_reader_->stop();
  stop_for_good(verdict);
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
  make_keys();
  Verdict verdict;
  judge(verdict);
  settle(verdict);
  return verdict;
}

}  // namespace postring::sim
