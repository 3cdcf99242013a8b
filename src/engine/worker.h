// Worker: one thread with its loop, homes, delivery, resolver and HTTP server.
//
// Made on its own thread, joined to the mesh, recovered (which blocks), and started when all have
// been recovered. From then on it is spoken to through the mesh only:
//
//   worker.ask(to, [](Worker& there, auto reply) { reply(there.something()); },
//              [](Something here) { ... });
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "delivery/contents.h"
#include "delivery/dispatch.h"
#include "delivery/homes.h"
#include "delivery/peers.h"
#include "dns/resolver.h"
#include "engine/content_store.h"
#include "engine/content_use.h"
#include "engine/exporter.h"
#include "engine/renewable_wire.h"
#include "engine/shared.h"
#include "engine/space_watch.h"
#include "http/router.h"
#include "http/server.h"
#include "io/loop.h"
#include "queue/home.h"
#include "queue/retry_policy.h"
#include "submission/api.h"
#include "submission/backend.h"

namespace postring::engine {

class EngineBackend;

// What homes told while they were recovered, on its way to the registry.
struct Recovered {
  Recovered() = default;
  // A deque's own may throw.
  Recovered(Recovered&&) noexcept = default;
  Recovered& operator=(Recovered&&) noexcept = default;

  struct Answer {
    queue::KeptAnswer facts;  // its views point to the two below
    std::string key, answer;
  };
  std::deque<std::pair<CampaignId, queue::Fingerprint>> seen;
  std::vector<std::unique_ptr<Answer>> answers;
};

class Worker final : public delivery::Peers, public delivery::Homes {
 public:
  static Result<std::unique_ptr<Worker>> create(Shared& shared, uint32_t index);
  ~Worker() override;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  Loop& loop() { return *loop_; }
  Shared& shared() { return shared_; }
  uint32_t index() const { return index_; }
  queue::CampaignStates& campaigns() { return campaigns_; }
  const std::vector<std::unique_ptr<queue::Home>>& homes() const { return homes_; }
  // The home that takes new mail.
  queue::Home& intake() { return *homes_[intake_]; }
  queue::Home* home_of(SliceNumber slice);
  delivery::Dispatch& dispatch() { return *dispatch_; }
  delivery::Contents& contents() { return *contents_; }
  dns::Resolver& resolver() { return *resolver_; }
  const ContentStore& content_store() const { return content_store_; }
  ContentUse& content_use() { return content_use_; }
  submission::Backend& backend();
  Exporter& exporter() { return *exporter_; }
  const Config& config() const { return config_; }
  const traffic::SourceList& sources() const { return *sources_; }
  // Less is free than [spool] free_min: nothing new is accepted.
  bool short_of_space() const { return space_ && space_->is_short(); }

  // `campaigns` are the registry's; `exported` says for each slice up to where its events are kept.
  Result<void> recover(const std::vector<queue::CampaignInfo>& campaigns,
                       const std::map<SliceNumber, spool::Position>& exported);
  // Tells what recovery found; empty afterwards.
  Recovered take_recovered() { return std::move(recovered_); }

  // Offers from now on, and answers as soon as the keys are known; `listeners` become the worker's.
  void start(std::vector<int> listeners);
  // All keys and tenants of before were put: nobody who has one is turned away.
  void keys_are_known();
  void run_until_finished();

  // API keys and tenants, as the registry has them.
  void put_key(const Sha256& hash, std::optional<submission::Caller> caller);
  void put_tenant(std::string name, TenantId id) { tenants_[std::move(name)] = id; }
  std::optional<TenantId> find_tenant(std::string_view name) const;
  const submission::Caller* find_key(const Sha256& hash) const;

  // All of it takes effect; an error: the name servers of before are asked on.
  Result<void> reconfigure(const Config& config);
  // What waits at this worker's homes for a later attempt to the domain becomes ready now.
  void retry_now(const std::string& domain, std::move_only_function<void(uint64_t)> done);

  // Stopping, in this order; each calls back once.
  bool stopping() const { return stopping_; }
  void stop_delivery(Duration patience, Job done);
  void close_homes(std::move_only_function<void(bool ok)> done);
  // When every event of this worker is kept; slices that took no more mail and hold nothing are
  // then removed.
  void when_exported(Job done);
  void stop_serving(Job done);
  http::ServerCounters http_counters() const { return server_->counters(); }
  void finish() { finished_ = true; }

  // Runs `work` on the other worker (or this one) in a later turn; its reply comes to `done` here.
  template <typename Work, typename Done>
  void ask(size_t to, Work work, Done done) {
    shared_.mesh.post(
        index_, to, [this, to, work = std::move(work), done = std::move(done)]() mutable {
          Worker& there = *shared_.workers[to];
          work(there, [this, &there, done = std::move(done)](auto value) mutable {
            shared_.mesh.post(there.index_, index_,
                              [done = std::move(done), value = std::move(value)]() mutable {
                                done(std::move(value));
                              });
          });
        });
  }

  // Asks every worker; `done` gets all replies, in the order of the workers.
  template <typename T, typename Work, typename Done>
  void ask_all(Work work, Done done) {
    struct Gathered {
      std::vector<std::optional<T>> values;
      size_t left;
      Done done;
    };
    size_t count = shared_.workers.size();
    auto gathered = std::make_shared<Gathered>(
        Gathered{std::vector<std::optional<T>>(count), count, std::move(done)});
    for (size_t to = 0; to < count; ++to) {
      ask(to, work, [gathered, to](T value) {
        gathered->values[to].emplace(std::move(value));
        if (--gathered->left > 0) return;
        std::vector<T> values;
        for (auto& v : gathered->values) values.push_back(std::move(*v));
        gathered->done(std::move(values));
      });
    }
  }

  // delivery::Peers
  uint32_t workers() const override { return static_cast<uint32_t>(shared_.workers.size()); }
  uint32_t self() const override { return index_; }
  uint32_t worker_of(SliceNumber slice) const override { return shared_.worker_of_slice[slice]; }
  void post(uint32_t worker, Job job) override {
    shared_.mesh.post(index_, worker, std::move(job));
  }
  delivery::Dispatch& dispatch_of(uint32_t worker) override {
    return *shared_.workers[worker]->dispatch_;
  }

  // delivery::Homes
  void pull(const queue::DestinationId& destination, uint32_t messages, uint64_t bytes,
            std::move_only_function<void(queue::Pulled)> callback) override;
  void settle(RecipientId recipient, queue::Report report) override;
  void give_back(RecipientId recipient) override;

 private:
  Worker(Shared& shared, uint32_t index);
  Result<void> open_loop();
  Result<void> open_delivery();
  Result<void> open_homes(const std::map<SliceNumber, spool::Position>& exported);
  queue::RecoverySink recovery_sink();
  delivery::DispatchConfig dispatch_config() const;
  void apply_policies();
  void listen();
  http::Limits http_limits() const;
  submission::BatchLimits batch_limits() const;
  void check_stopped();
  void remove_empty_slices();

  Shared& shared_;
  uint32_t index_;
  Config config_;
  std::shared_ptr<const traffic::SourceList> sources_;
  std::shared_ptr<const traffic::Rules> rules_;
  std::unique_ptr<Loop> loop_;
  queue::CampaignStates campaigns_;
  queue::RetryPolicies policies_;
  ContentStore content_store_;
  ContentUse content_use_;
  std::unique_ptr<RenewableWire> wire_;
  std::unique_ptr<dns::Resolver> resolver_;
  std::unique_ptr<delivery::Contents> contents_;
  std::unique_ptr<Exporter> exporter_;
  std::vector<std::unique_ptr<queue::Home>> homes_;
  size_t intake_ = 0;
  std::unique_ptr<delivery::Dispatch> dispatch_;
  std::unique_ptr<EngineBackend> backend_;
  std::unique_ptr<submission::Api> api_;
  http::Router router_;
  std::unique_ptr<http::Server> server_;
  std::vector<int> listeners_;  // that wait for the keys
  bool keys_known_ = false;
  std::map<Sha256, submission::Caller> keys_;
  std::map<std::string, TenantId, std::less<>> tenants_;
  Recovered recovered_;

  std::unique_ptr<SpaceWatch> space_;

  bool stopping_ = false;
  bool homes_closed_ = false;
  std::vector<SliceNumber> empty_slices_;
  bool finished_ = false;
  Job delivery_stopped_;
  Job exported_;
  Timer patience_;
};

}  // namespace postring::engine
