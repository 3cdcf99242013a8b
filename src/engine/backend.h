// EngineBackend: what the API asks, answered by this worker, the control worker and all homes.
//
// One per worker, in parts: campaigns (backend_campaigns.cc), batches (backend_batches.cc),
// messages (backend_messages.cc), questions about recipients and events (backend_questions.cc).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/list_cursor.h"
#include "engine/registry.h"
#include "engine/worker.h"
#include "submission/backend.h"

namespace postring::engine {

class EngineBackend final : public submission::Backend {
 public:
  explicit EngineBackend(Worker& worker) : worker_(worker) {}

  std::optional<submission::Caller> authenticate(const Sha256& key_hash) const override;
  std::optional<TenantId> find_tenant(std::string_view name) const override;
  submission::Health health() const override;
  void metrics(submission::Answer<std::string> answer) override;

  void create_campaign(const submission::Caller& caller, const submission::IdempotencyKey& key,
                       submission::NewCampaign campaign,
                       submission::Answer<submission::CampaignCreated> answer) override;
  void command_campaign(const submission::Caller& caller, CampaignId id,
                        submission::CampaignCommand command,
                        submission::Answer<submission::CommandResult> answer) override;
  void get_campaign(const submission::Caller& caller, CampaignId id,
                    submission::Answer<submission::CampaignInfo> answer) override;
  void list_campaigns(const submission::Caller& caller, CampaignId after, uint32_t limit,
                      submission::Answer<submission::CampaignPage> answer) override;

  void begin_batch(const submission::Caller& caller, CampaignId campaign, const std::string& key,
                   submission::Answer<submission::BatchBegun> answer) override;
  void get_batch(const submission::Caller& caller, BatchId id,
                 submission::Answer<submission::BatchInfo> answer) override;

  void find_content(const submission::Caller& caller, const std::string& name,
                    submission::Answer<std::shared_ptr<const mail::Content>> answer) override;
  void submit_message(const submission::Caller& caller, const submission::IdempotencyKey& key,
                      submission::NewMessage message,
                      submission::Answer<submission::MessageAccepted> answer) override;

  void list_recipients(const submission::Caller& caller, const submission::RecipientQuery& query,
                       submission::Answer<submission::RecipientPage> answer) override;
  void find_recipients(const submission::Caller& caller, const std::string& address,
                       submission::Answer<std::vector<submission::RecipientInfo>> answer) override;

  void erase_recipients(const submission::Caller& caller, const std::string& address,
                        submission::Answer<submission::EraseResult> answer) override;

  void read_events(const submission::Caller& caller, submission::EventQuery query,
                   submission::Answer<submission::EventPage> answer) override;

 private:
  void with_counts(std::vector<queue::CampaignInfo> infos,
                   std::move_only_function<void(std::vector<submission::CampaignInfo>)> done);
  void end_live(const submission::RecipientQuery& query,
                submission::Answer<submission::RecipientPage> answer);
  void list_live(submission::RecipientQuery query, ListCursor cursor,
                 submission::Answer<submission::RecipientPage> answer);
  bool knows_sources(const std::vector<std::string>& names) const;

  Worker& worker_;
  size_t waiting_readers_ = 0;
};

// Readers of events that wait for new ones, on one worker: beyond, 503.
constexpr size_t kWaitingReadersMax = 1'000;

// ---- what the parts share -----------------------------------------------------------------------

// The tenant whose things a caller sees; 0: every one's.
TenantId tenant_filter(const submission::Caller& caller);

submission::Refused refused(submission::Refusal why, std::string detail);
submission::Refused refused(RegistryError error, std::string_view what);
submission::Refused refused(queue::SubmitError error);

// The content is just being removed, as nothing referred to it.
submission::Refused content_going();

submission::Counts to_api(const queue::Counts& counts);

}  // namespace postring::engine
