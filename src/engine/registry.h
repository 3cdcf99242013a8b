// Registry: what the control worker knows for the whole process, durable in a log of its own.
//
//   auto registry = Registry::open(loop, folder, options);        // recovers
//   for (auto& info : (*registry)->campaigns()) every worker: states.put(*info);
//   homes are opened with (*registry)->recovery_sink();           // before anything is admitted
//   (*registry)->set_publish(...);  (*registry)->start();
//
// Used on the control worker only; the engine brings questions and answers across workers. It owns
// the campaigns and their states, tenants, API keys (hashed), the answers kept under idempotency
// keys, and the fingerprints of open campaigns' recipients, which it has from the homes.
//
// Every Answer is called exactly once, in this or a later turn, and a success only after what it
// says is durable and, for a campaign's state, published to every worker.
//
// A batch's way: begin_batch() looks at its idempotency key; when the home has all of it, admit()
// says which of its recipients are duplicates, one batch of a campaign at a time; the home commits;
// finish_batch() says how that ended and lets the next one in. A begun batch that will not be
// admitted, and an admitted one in any case, must come to finish_batch().
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/units.h"
#include "io/loop.h"
#include "mail/ids.h"
#include "queue/campaign.h"
#include "queue/event_facts.h"
#include "queue/fingerprint.h"
#include "queue/home.h"

namespace postring::engine {

enum class RegistryError : uint8_t {
  not_found,
  wrong_state,  // the campaign's state does not allow it
  key_busy,     // the first request with this idempotency key is still at work
  key_reused,   // this idempotency key came with another digest before
  busy,         // a table is full
  failed,       // the control log cannot be written
};
const char* name_of(RegistryError error);

template <typename T>
using RegistryAnswer = std::move_only_function<void(Result<T, RegistryError>)>;

struct RegistryOptions {
  uint64_t spool_id = 0;
  uint64_t segment_bytes = 0;               // 0: the log's default
  Duration kept = Duration::days(7);        // what ended, and answers under keys
};

struct NewCampaign {
  TenantId tenant = 0;
  std::string name;
  MailClass mail_class = MailClass::bulk;
  queue::ContentId content{};
  std::vector<std::string> sources;
  queue::RetryOverride retry;
  WallTime start_at;            // set: scheduled until then
  std::string idempotency_key;  // empty: none
  Sha256 digest{};
};

enum class CampaignCommand : uint8_t { start, close, pause, resume, cancel };

constexpr uint8_t kScopeSubmit = 1;
constexpr uint8_t kScopeRead = 2;
constexpr uint8_t kScopeAdmin = 4;

struct KeyInfo {
  uint64_t id = 0;
  Sha256 hash{};  // of the key's text
  TenantId tenant = 0;
  std::string tenant_name;
  uint8_t scopes = 0;
  std::string hint;  // the key's first characters, to tell keys apart
  WallTime created_at;
};

struct TenantInfo {
  TenantId id = 0;
  std::string name;
};

// Under an idempotency key: what was answered before, or nothing (and the key is now at work).
struct BatchBegun {
  bool answered = false;
  Sha256 digest{};
  std::string answer;
  bool is_long = false;  // `answer` is empty: Home::answer() of the batch's home has it
  BatchId batch = 0;
};

// How a batch ended.
struct BatchEnd {
  bool committed = false;
  Sha256 digest{};
  std::string answer;
  BatchId batch = 0;
};

using Admission = uint64_t;

struct Admitted {
  Admission admission = 0;
  // The places (ascending) of those that are duplicates, within the batch or of earlier ones.
  std::vector<uint32_t> duplicates;
};

constexpr size_t kCampaignsMax = 1'000'000;
constexpr size_t kKeysMax = 100'000;
constexpr size_t kTenantsMax = 100'000;
constexpr size_t kAnswersMax = 20'000'000;
constexpr size_t kAdmissionsWaitingMax = 4'096;
constexpr uint32_t kAdmittedPerTurn = 4'096;  // fingerprints looked up


class Registry {
 public:
  // Blocks while it reads. The error names the file and what is wrong.
  static Result<std::unique_ptr<Registry>> open(Loop& loop, std::string folder,
                                                RegistryOptions options);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // Gives a campaign's new state to every worker, and calls `done` when all of them have it: from
  // then on none of them sends what the state forbids.
  using Publish = std::function<void(const queue::CampaignInfo&, Job done)>;
  void set_publish(Publish publish);
  // A campaign is forgotten; a key is made (or, revoked, has no scopes any more).
  void set_remove_sink(std::function<void(CampaignId)> sink);
  void set_key_sink(std::function<void(const KeyInfo&, Job done)> sink);
  // Asks every home whether nothing of the campaign waits or is in flight.
  using AskIdle = std::function<void(CampaignId, std::move_only_function<void(bool)>)>;
  void set_ask_idle(AskIdle ask);
  // The event that a campaign is complete; given again after a restart until `done` was called.
  void set_event_sink(std::function<void(queue::EventFacts, Job done)> sink);

  // What the homes tell while they are recovered. What they saw is learned from start() on, a
  // bounded piece each turn: mail goes out meanwhile, and batches are admitted when all is known.
  queue::RecoverySink recovery_sink();
  // As so many calls of recovery_sink().seen.
  void learn(std::deque<std::pair<CampaignId, queue::Fingerprint>> seen);
  // Begins to start what is scheduled, to complete and to forget.
  void start();

  // ---- campaigns ----
  void create(NewCampaign campaign, RegistryAnswer<queue::CampaignInfo> answer);
  // tenant 0: whichever.
  void command(TenantId tenant, CampaignId id, CampaignCommand command,
               RegistryAnswer<queue::CampaignInfo> answer);
  const queue::CampaignInfo* find(CampaignId id) const;
  std::vector<const queue::CampaignInfo*> campaigns() const;
  // By id, those above `after`, at most `limit`; tenant 0: every one's.
  std::vector<queue::CampaignInfo> list(TenantId tenant, CampaignId after, uint32_t limit) const;
  // A home has nothing of the campaign any more.
  void note_idle(CampaignId id);

  // ---- batches and messages ----
  // `key` empty: always new. `campaign` 0: a message.
  void begin_batch(TenantId tenant, CampaignId campaign, const std::string& key,
                   RegistryAnswer<BatchBegun> answer);
  void admit(CampaignId campaign, std::vector<queue::Fingerprint> fingerprints,
             RegistryAnswer<Admitted> answer);
  // `admission` 0: it never came to one.
  void finish_batch(TenantId tenant, CampaignId campaign, const std::string& key,
                    Admission admission, BatchEnd end);

  // ---- tenants and keys ----
  void ensure_tenant(std::string name, RegistryAnswer<TenantId> answer);
  std::optional<TenantId> find_tenant(std::string_view name) const;
  std::string tenant_name(TenantId id) const;
  std::vector<TenantInfo> tenants() const;
  void create_key(TenantId tenant, uint8_t scopes, Sha256 hash, std::string hint,
                  RegistryAnswer<KeyInfo> answer);
  void revoke_key(uint64_t id, RegistryAnswer<KeyInfo> answer);
  std::vector<KeyInfo> keys() const;

  // Fingerprints held, and their bytes.
  uint64_t fingerprint_count() const;
  uint64_t fingerprint_bytes() const;

  void close(std::move_only_function<void(bool ok)> callback);
  // Called once, when its log cannot be written any more: every command is refused from then on.
  void when_failed(Job call);

 private:
  class State;
  explicit Registry(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace postring::engine
