// World: one or more workers' delivery on real rings and sockets, with homes that are lists.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "delivery/dispatch.h"
#include "smtp_host.h"

namespace postring::delivery {

struct WorldOptions {
  uint32_t workers = 1;
  traffic::Override settings;
  std::vector<traffic::Source> sources = {{"default", {}, "out.example"}};
  uint32_t connections_max = 100;
  std::string content;  // compiled; empty: World::content()
  smtp::Timeouts timeouts;
  // Where each domain's mail goes; what is not here is asked of DNS, which does not answer.
  std::vector<std::pair<std::string, std::vector<SocketAddress>>> routes;
};

struct Settled {
  RecipientId id = 0;
  std::string address;
  queue::Report report;
};

class World;

// A home whose recipients lie in lists, one for each destination.
class ListHomes final : public Homes {
 public:
  ListHomes(World& world, uint32_t worker) : world_(world), worker_(worker) {}

  void add(const std::string& address, MailClass mail_class = MailClass::bulk,
           CampaignId campaign = 0, WallTime expires_at = {},
           std::vector<std::string> sources = {});
  // One message for all of them.
  void add_message(const std::vector<std::string>& addresses);
  void pull(const queue::DestinationId& destination, uint32_t messages, uint64_t bytes,
            std::move_only_function<void(queue::Pulled)> callback) override;
  void settle(RecipientId recipient, queue::Report report) override;
  void give_back(RecipientId recipient) override;

  size_t waiting() const;
  queue::DestinationId destination_of(const std::string& domain) const;

  std::vector<Settled> settled;
  std::vector<RecipientId> given_back;
  // What was given back waits: it is not offered again.
  bool keeps_given_back = false;
  // Pulls wait while this is so; let_pull() ends it.
  bool pulls_wait = false;
  void let_pull();
  std::map<RecipientId, queue::Lease> leased;

 private:
  struct Destination {
    queue::DestinationId id;
    std::string domain;
    std::vector<std::string> sources;
    std::deque<queue::Lease> by_class[3];
    bool offered = false;

    bool empty() const { return by_class[0].empty() && by_class[1].empty() && by_class[2].empty(); }
  };

  Destination& destination_at(const std::string& domain);
  queue::Lease lease_for(const std::string& address);
  void put(queue::Lease lease, Destination& destination);

  World& world_;
  uint32_t worker_;
  std::deque<Job> waiting_pulls_;
  std::map<std::string, Destination> destinations_;
  std::map<RecipientId, std::string> domains_;
  uint64_t next_id_ = 1;
  BatchId next_message_ = 1;
};

class World {
 public:
  explicit World(WorldOptions options = {});
  ~World();

  // Turns every worker until the condition holds; false after ten seconds.
  bool run_until(const std::function<bool()>& condition);
  void run_for(Duration duration);
  // Until nothing waits, is leased or is on its way at any home.
  bool run_dry();

  struct Worker;
  Worker& worker(uint32_t number = 0) { return *workers_[number]; }
  ListHomes& homes(uint32_t number = 0);
  Dispatch& dispatch(uint32_t number = 0);
  queue::CampaignStates& campaigns() { return campaigns_; }
  // Of all workers.
  std::vector<Settled> settled();
  size_t settled_count();
  size_t count(Outcome outcome);
  Counters counters();
  static const std::string& content();
  DispatchConfig config() const;
  // DNS has other answers from now on, and everything is looked up again.
  void change_routes(std::vector<std::pair<std::string, std::vector<SocketAddress>>> routes);

  WorldOptions options;

 private:
  void turn();

  queue::CampaignStates campaigns_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

traffic::Override quick_settings();

}  // namespace postring::delivery
