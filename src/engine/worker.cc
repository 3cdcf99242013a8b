#include "engine/worker.h"

#include "base/check.h"
#include "engine/backend.h"
#include "engine/control.h"
#include "engine/spool_layout.h"
#include "io/entropy.h"
#include "io/file.h"
#include "io/interfaces.h"

namespace postring::engine {
namespace {

// Answers of the API that clients have not read yet, of the whole process.
constexpr uint64_t kUnreadBytesMax = 256u << 20;
// Looks at the ring for the ends of what was cancelled last.
constexpr int kDrainTries = 100;

}  // namespace

Worker::Worker(Shared& shared, uint32_t index)
    : shared_(shared),
      index_(index),
      config_(shared.config),
      content_store_(shared.spool_dir + "/contents") {
  patience_.bind<&Worker::check_stopped>(this);
}

// As members would go, but the ring last: polls of DNS sockets outlive the wire until their
// cancelled ends come.
Worker::~Worker() {
  space_.reset();
  server_.reset();
  api_.reset();
  backend_.reset();
  dispatch_.reset();
  homes_.clear();
  exporter_.reset();
  contents_.reset();
  resolver_.reset();
  wire_.reset();
  if (loop_ == nullptr) return;
  Ring& ring = loop_->ring();
  for (int tries = 0; tries < kDrainTries && ring.in_flight() > 0; ++tries) {
    ring.wait(loop_->now());
    ring.run();
  }
}

Result<std::unique_ptr<Worker>> Worker::create(Shared& shared, uint32_t index) {
  std::unique_ptr<Worker> worker(new Worker(shared, index));
  if (auto opened = worker->open_loop(); !opened) return std::unexpected(opened.error());
  if (auto opened = worker->open_delivery(); !opened) return std::unexpected(opened.error());
  shared.workers[index] = worker.get();
  return worker;
}

Result<void> Worker::recover(const std::vector<queue::CampaignInfo>& campaigns,
                             const std::map<SliceNumber, spool::Position>& exported) {
  for (const queue::CampaignInfo& info : campaigns) campaigns_.put(info);
  return open_homes(exported);
}

Result<void> Worker::open_loop() {
  auto ring = Ring::create();
  if (!ring) return std::unexpected(ring.error());
  loop_ = std::make_unique<Loop>(std::move(*ring), entropy_word());
  shared_.mesh.join(index_, *loop_);
  apply_policies();
  return {};
}

void Worker::apply_policies() {
  policies_.retry = config_.delivery.retry;
  policies_.max_age = config_.delivery.max_age;
  policies_.domains.clear();
  for (const traffic::NamedOverride& domain : config_.domains) {
    queue::RetryOverride retry;
    if (domain.override.retry) retry.retry = *domain.override.retry;
    if (domain.override.max_age) retry.max_age = *domain.override.max_age;
    if (!retry.retry.empty() || retry.max_age.us > 0) policies_.domains[domain.pattern] = retry;
  }
}

namespace {

std::vector<traffic::Source> sources_of(const Config& config, const std::string& hostname) {
  if (!config.sources.empty()) return config.sources;
  return {traffic::Source{"default", IpAddress{}, hostname}};
}

dns::ResolverOptions resolver_options(const Config& config) {
  dns::ResolverOptions options;
  options.names_in_flight_max = config.dns.names_in_flight;
  options.cache_records_max = config.dns.cache_names;
  options.negative_ttl_max = config.dns.negative_ttl_max;
  options.mx_port = config.delivery.port;
  return options;
}

DnsWireOptions wire_options(const Config& config) {
  DnsWireOptions options;
  options.servers = config.dns.servers;
  options.timeout = config.dns.timeout;
  options.tries = static_cast<int>(config.dns.tries);
  return options;
}

// Where the system names the servers, it may name others by now.
bool asks_otherwise(const Config& before, const Config& after) {
  return after.dns.servers.empty() || before.dns.servers != after.dns.servers ||
         before.dns.timeout != after.dns.timeout || before.dns.tries != after.dns.tries;
}

dns::AddressFilter filter_of(const Config& config) {
  return dns::AddressFilter(config.dns.allow_networks, own_addresses());
}

// parse_config() has judged the routes.
dns::Routes routes_of(const Config& config) {
  auto routes = dns::Routes::create(config.routes, config.divert);
  CHECK(routes.has_value(), routes.has_value() ? "" : routes.error().message);
  return std::move(*routes);
}

}  // namespace

delivery::DispatchConfig Worker::dispatch_config() const {
  delivery::DispatchConfig config;
  config.sources = sources_;
  config.rules = rules_;
  config.allowed_networks = config_.dns.allow_networks;
  config.message_id_domain = shared_.hostname;
  auto workers = static_cast<uint32_t>(shared_.workers.size());
  config.connections_max = std::max<uint32_t>(1, config_.delivery.connections_max / workers);
  return config;
}

Result<void> Worker::open_delivery() {
  sources_ = std::make_shared<const traffic::SourceList>(sources_of(config_, shared_.hostname));
  rules_ = std::make_shared<const traffic::Rules>(config_.delivery.limits, config_.mx_suffixes,
                                                  config_.domains);
  auto wire = RenewableWire::create(*loop_, wire_options(config_));
  if (!wire) return std::unexpected(wire.error());
  wire_ = std::move(*wire);
  resolver_ = std::make_unique<dns::Resolver>(*wire_, resolver_options(config_), routes_of(config_),
                                              filter_of(config_));
  contents_ = std::make_unique<delivery::Contents>(
      *loop_, [store = content_store_](const queue::ContentId& id) { return store.load(id); });
  delivery::DispatchParts parts{*loop_,           *this, *this, campaigns_, *resolver_, *contents_,
                                &shared_.verp_key};
  dispatch_ = std::make_unique<delivery::Dispatch>(parts, dispatch_config());
  return {};
}

queue::RecoverySink Worker::recovery_sink() {
  queue::RecoverySink sink;
  sink.seen = [this](CampaignId campaign, const queue::Fingerprint& fingerprint) {
    recovered_.seen.emplace_back(campaign, fingerprint);
  };
  sink.answer = [this](const queue::KeptAnswer& facts) {
    auto answer = std::make_unique<Recovered::Answer>();
    answer->facts = facts;
    answer->key = facts.key;
    answer->answer = facts.answer;
    answer->facts.key = answer->key;
    answer->facts.answer = answer->answer;
    recovered_.answers.push_back(std::move(answer));
  };
  return sink;
}

Result<void> Worker::open_homes(const std::map<SliceNumber, spool::Position>& exported) {
  for (const SliceDeal& deal : shared_.slices) {
    if (deal.worker != index_) continue;
    queue::HomeOptions options;
    options.slice = deal.slice;
    options.spool_id = shared_.spool_id;
    options.segment_bytes = config_.spool.segment_size;
    options.reserve_segments = config_.spool.reserve_segments;
    options.tail_window_bytes = config_.spool.tail_window;
    options.takes_mail = deal.takes_mail;
    options.outcome_sync = config_.spool.outcome_sync;
    options.kept = config_.spool.campaign_age;
    options.record_age_max = config_.spool.campaign_age;
    options.fingerprint_key = shared_.fingerprint_key;
    if (auto found = exported.find(deal.slice); found != exported.end()) {
      options.exported = found->second;
    }
    auto home = queue::Home::open(*loop_, slice_folder(shared_.spool_dir, deal.slice), options,
                                  campaigns_, policies_, recovery_sink());
    if (!home) return std::unexpected(home.error());
    if (deal.takes_mail) intake_ = homes_.size();
    homes_.push_back(std::move(*home));
  }
  CHECK(!homes_.empty(), "every worker has a slice");
  return {};
}

queue::Home* Worker::home_of(SliceNumber slice) {
  for (auto& home : homes_) {
    if (home->slice() == slice) return home.get();
  }
  return nullptr;
}

submission::Backend& Worker::backend() {
  return *backend_;
}

void Worker::start(std::vector<int> listeners) {
  exporter_ = std::make_unique<Exporter>(
      *loop_,
      [this](EventBatch batch, Exporter::Kept kept) {
        shared_.mesh.post(index_, kControlWorker,
                          [&shared = shared_, from = index_, batch = std::move(batch),
                           kept = std::move(kept)]() mutable {
                            shared.control->keep(from, std::move(batch), std::move(kept));
                          });
      },
      [this](SliceNumber slice, spool::Position end) {
        if (!homes_closed_) home_of(slice)->exported(end);
      });
  backend_ = std::make_unique<EngineBackend>(*this);
  api_ = std::make_unique<submission::Api>(*loop_, *backend_,
                                           submission::ApiOptions{.batch = batch_limits()});
  api_->add_routes(router_);
  server_ = std::make_unique<http::Server>(*loop_, router_, http_limits());
  space_ = std::make_unique<SpaceWatch>(*loop_, shared_.spool_dir, config_.spool.free_min);
  listeners_ = std::move(listeners);
  if (keys_known_) listen();
  for (auto& home : homes_) {
    SliceNumber slice = home->slice();
    home->set_offer_sink([this](const queue::DestinationOffer& offer) {
      if (!stopping_) dispatch_->offer(offer);
    });
    home->set_event_sink([this, slice](queue::EventFacts& facts, spool::Position end) {
      exporter_->add(facts, slice, end);
    });
    home->set_event_room([this] { return exporter_->has_room(); });
    home->set_idle_sink([this](CampaignId campaign) {
      shared_.mesh.post(index_, kControlWorker, [&shared = shared_, campaign] {
        shared.control->registry().note_idle(campaign);
      });
    });
    home->set_hold_sink(
        [this, slice](queue::SpoolHold hold) { dispatch_->hold(slice, hold); });
    home->set_failure_sink([this] {
      shared_.mesh.post(index_, kControlWorker,
                        [&shared = shared_] { shared.control->spool_failed(); });
    });
    home->start();
  }
}

void Worker::keys_are_known() {
  keys_known_ = true;
  if (server_ != nullptr) listen();
}

void Worker::listen() {
  for (int listener : std::exchange(listeners_, {})) server_->listen(listener);
}

http::Limits Worker::http_limits() const {
  http::Limits limits;
  limits.connections = config_.http.connections;
  limits.body_bytes = config_.http.body_bytes;
  limits.body_time = config_.http.timeout;
  limits.send_time = config_.http.timeout;
  limits.header_time = config_.http.header_timeout;
  limits.idle_time = config_.http.idle_timeout;
  limits.unread_bytes = kUnreadBytesMax / shared_.workers.size();
  return limits;
}

submission::BatchLimits Worker::batch_limits() const {
  return {config_.http.batch_lines, std::min(config_.http.body_bytes, submission::kBatchBytesMax)};
}

void Worker::run_until_finished() {
  while (!finished_) loop_->turn(Instant::never());
  // What the last callbacks posted goes out.
  loop_->turn(Instant{});
}

void Worker::put_key(const Sha256& hash, std::optional<submission::Caller> caller) {
  if (caller) {
    keys_[hash] = std::move(*caller);
  } else {
    keys_.erase(hash);
  }
}

const submission::Caller* Worker::find_key(const Sha256& hash) const {
  auto found = keys_.find(hash);
  return found == keys_.end() ? nullptr : &found->second;
}

std::optional<TenantId> Worker::find_tenant(std::string_view name) const {
  auto found = tenants_.find(name);
  if (found == tenants_.end()) return std::nullopt;
  return found->second;
}

Result<void> Worker::reconfigure(const Config& config) {
  Result<void> done;
  if (asks_otherwise(config_, config)) done = wire_->change(wire_options(config));
  config_ = config;
  apply_policies();
  sources_ = std::make_shared<const traffic::SourceList>(sources_of(config_, shared_.hostname));
  rules_ = std::make_shared<const traffic::Rules>(config_.delivery.limits, config_.mx_suffixes,
                                                  config_.domains);
  resolver_->reconfigure(resolver_options(config_), routes_of(config_), filter_of(config_));
  dispatch_->reconfigure(dispatch_config());
  if (server_ == nullptr) return done;
  server_->set_limits(http_limits());
  api_->set_batch_limits(batch_limits());
  return done;
}

void Worker::retry_now(const std::string& domain, std::move_only_function<void(uint64_t)> done) {
  struct Counting {
    size_t left;
    uint64_t sum = 0;
    std::move_only_function<void(uint64_t)> done;
  };
  auto counting = std::make_shared<Counting>(Counting{homes_.size(), 0, std::move(done)});
  for (auto& home : homes_) {
    home->retry_now(domain, [counting](uint64_t count) {
      counting->sum += count;
      if (--counting->left == 0) counting->done(counting->sum);
    });
  }
}

void Worker::stop_delivery(Duration patience, Job done) {
  CHECK(!stopping_);
  stopping_ = true;
  api_->stop_submission();
  delivery_stopped_ = std::move(done);
  for (auto& home : homes_) home->end_pulls();
  dispatch_->stop();
  loop_->timers().arm(patience_, loop_->now() + patience);
  loop_->add_step([this] {
    if (delivery_stopped_ && dispatch_->stopped()) {
      loop_->timers().disarm(patience_);
      std::exchange(delivery_stopped_, nullptr)();
    }
    return false;
  });
}

void Worker::check_stopped() {
  dispatch_->abandon();
}

void Worker::close_homes(std::move_only_function<void(bool ok)> done) {
  struct Closing {
    size_t left;
    bool ok = true;
    std::move_only_function<void(bool)> done;
  };
  auto closing = std::make_shared<Closing>(Closing{homes_.size(), true, std::move(done)});
  for (auto& home : homes_) {
    if (!home->takes_mail() && home->is_empty()) empty_slices_.push_back(home->slice());
    home->close([closing](bool ok) {
      closing->ok = closing->ok && ok;
      if (--closing->left == 0) closing->done(closing->ok);
    });
  }
  homes_closed_ = true;
}

void Worker::when_exported(Job done) {
  exported_ = std::move(done);
  loop_->add_step([this] {
    if (!exported_ || !exporter_->idle()) return false;
    remove_empty_slices();
    std::exchange(exported_, nullptr)();
    return false;
  });
}

void Worker::remove_empty_slices() {
  for (SliceNumber slice : std::exchange(empty_slices_, {})) {
    std::string folder = slice_folder(shared_.spool_dir, slice);
    // What cannot be removed is recovered as an empty slice by the next start.
    for (const std::string& name : list_folder(folder).value_or(std::vector<std::string>{})) {
      (void)remove_file(folder + "/" + name);
    }
    (void)remove_file(folder);
  }
}

void Worker::stop_serving(Job done) {
  // std::function wants a copyable callable.
  auto shared_done = std::make_shared<Job>(std::move(done));
  server_->stop(Duration::seconds(2), [shared_done] { (*shared_done)(); });
}

void Worker::pull(const queue::DestinationId& destination, uint32_t messages, uint64_t bytes,
                  std::move_only_function<void(queue::Pulled)> callback) {
  home_of(destination.slice)->pull(destination, messages, bytes, std::move(callback));
}

void Worker::settle(RecipientId recipient, queue::Report report) {
  home_of(slice_of(recipient))->settle(recipient, std::move(report));
}

void Worker::give_back(RecipientId recipient) {
  home_of(slice_of(recipient))->give_back(recipient);
}

}  // namespace postring::engine
