// Registry::State: what the registry consists of, for the registry*.cc files only. What it does:
// engine/registry.h.
//
// The control log holds, by name: "campaign/ID", "tenant/ID", "key/ID" (ids as 16 hexadecimal
// digits), "created/TENANT/KEY" (what a creation's idempotency key stands for), "event/ID" (a
// complete campaign whose event is not exported yet) and "next" (the next ids).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/answers.h"
#include "engine/campaign_rules.h"
#include "engine/duplicates.h"
#include "engine/keyed_log.h"
#include "engine/registry.h"
#include "io/timers.h"
#include "mail/id_text.h"

namespace postring::engine {

constexpr Duration kRegistryLook = Duration::seconds(60);  // for what is old

inline std::string campaign_log_name(CampaignId id) { return "campaign/" + mail::id_text(id); }

// One batch between admit() and finish_batch().
struct AdmissionWork {
  Admission number = 0;
  CampaignId campaign = 0;
  std::vector<queue::Fingerprint> fingerprints;
  size_t looked_at = 0;
  Admitted admitted;
  RegistryAnswer<Admitted> answer;
  // Gone from the batch already: put in by it, taken out again where it comes to nothing.
  std::vector<queue::Fingerprint> tentative;
};

struct CampaignWork {
  std::unique_ptr<Duplicates> duplicates;
  std::deque<std::unique_ptr<AdmissionWork>> admissions;  // the first is at work
  bool looking = false;  // the first one's fingerprints are being looked up
  // Commands one after the other.
  bool commanding = false;
  std::deque<Job> commands;
  bool asking = false;  // whether it is idle everywhere
  bool ask_again = false;
};

class Registry::State {
 public:
  explicit State(Loop& loop, RegistryOptions options);

  // ---- registry.cc ----
  Result<void> open(std::string folder);
  bool load(std::string_view key, std::string_view value);
  void start();
  void create(NewCampaign in, RegistryAnswer<queue::CampaignInfo> answer);
  void command(TenantId tenant, CampaignId id, CampaignCommand command,
               RegistryAnswer<queue::CampaignInfo> answer);
  void run_command(CampaignId id, CampaignCommand command,
                   RegistryAnswer<queue::CampaignInfo> answer);
  void end_command(CampaignId id);
  // Writes the campaign, then publishes it, then calls back.
  void change(queue::CampaignInfo info, std::move_only_function<void(bool ok)> done);

  // ---- registry_time.cc ----
  void consider_complete(CampaignId id);
  void asked(CampaignId id, bool idle);
  void complete(CampaignId id);
  void send_event(const queue::CampaignInfo& info);
  void on_timer();
  void arm_schedule();
  void start_scheduled();
  void forget_old();
  void forget(CampaignId id);
  bool put_next();
  CampaignWork& work_of(CampaignId id) { return work_[id]; }
  void later(Job job) {
    loop_.defer([weak = std::weak_ptr<State*>(self_), job = std::move(job)]() mutable {
      if (weak.lock()) job();
    });
  }
  template <typename T>
  void refuse(RegistryAnswer<T> answer, RegistryError error) {
    later([answer = std::move(answer), error]() mutable { answer(std::unexpected(error)); });
  }

  // ---- registry_batches.cc ----
  void begin_batch(TenantId tenant, CampaignId campaign, const std::string& key,
                   RegistryAnswer<BatchBegun> answer);
  void admit(CampaignId campaign, std::vector<queue::Fingerprint> fingerprints,
             RegistryAnswer<Admitted> answer);
  void begin_admission(CampaignId campaign);
  void look_up(CampaignId campaign);
  void finish_batch(TenantId tenant, CampaignId campaign, const std::string& key,
                    Admission admission, BatchEnd end);
  queue::RecoverySink recovery_sink();
  void learn();
  void keep_learning();

  // ---- registry_keys.cc ----
  void ensure_tenant(std::string name, RegistryAnswer<TenantId> answer);
  std::optional<TenantId> find_tenant(std::string_view name) const;
  void create_key(TenantId tenant, uint8_t scopes, Sha256 hash, std::string hint,
                  RegistryAnswer<KeyInfo> answer);
  void revoke_key(uint64_t id, RegistryAnswer<KeyInfo> answer);
  void tell_key(KeyInfo key, RegistryAnswer<KeyInfo> answer);

  Loop& loop_;
  RegistryOptions options_;
  std::shared_ptr<State*> self_;
  std::unique_ptr<KeyedLog> log_;

  Publish publish_;
  std::function<void(CampaignId)> remove_sink_;
  std::function<void(const KeyInfo&, Job)> key_sink_;
  AskIdle ask_idle_;
  std::function<void(queue::EventFacts, Job)> event_sink_;

  std::map<CampaignId, queue::CampaignInfo> campaigns_;
  std::map<CampaignId, CampaignWork> work_;
  std::map<TenantId, std::string> tenants_;
  std::map<std::string, TenantId, std::less<>> tenant_ids_;
  std::map<uint64_t, KeyInfo> keys_;
  std::map<CampaignId, std::vector<std::string>> created_names_;  // log names to erase with it
  std::vector<CampaignId> unsent_events_;
  std::set<CampaignId> complete_again_;  // could not be written: looked at again in a while
  Answers answers_;
  // What the homes told of earlier lives and is not in the duplicates yet.
  std::deque<std::pair<CampaignId, queue::Fingerprint>> unlearned_;
  CampaignId next_campaign_ = 1;
  TenantId next_tenant_ = 1;
  uint64_t next_key_ = 1;
  Admission next_admission_ = 1;
  size_t admissions_waiting_ = 0;
  bool started_ = false;
  bool closing_ = false;

  Timer timer_;
  Timer schedule_timer_;
};

}  // namespace postring::engine
