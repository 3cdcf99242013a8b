#include "engine/backend.h"
#include "engine/control.h"

namespace postring::engine {

using submission::Answer;
using submission::Caller;
using submission::Refusal;

namespace {

submission::CampaignInfo to_api(const queue::CampaignInfo& info, const queue::Counts& counts) {
  submission::CampaignInfo result;
  result.id = info.id;
  result.tenant = info.tenant;
  result.tenant_name = info.tenant_name;
  result.name = info.name;
  result.content = hex(info.content);
  result.state = static_cast<submission::CampaignState>(info.state);
  result.closed = info.closed;
  result.mail_class = info.mail_class;
  result.sources = info.sources;
  result.created_at = info.created_at;
  result.start_at = info.start_at;
  result.started_at = info.started_at;
  result.closed_at = info.closed_at;
  result.completed_at = info.ended_at;
  result.counts = engine::to_api(counts);
  return result;
}

// The sums of the campaigns at all homes of one worker, in the order of `ids`.
std::vector<queue::Counts> counts_at(Worker& worker, const std::vector<CampaignId>& ids) {
  std::vector<queue::Counts> counts(ids.size());
  for (const auto& home : worker.homes()) {
    for (size_t i = 0; i < ids.size(); ++i) counts[i] += home->campaign_counts(ids[i]);
  }
  return counts;
}

using CampaignResult = Result<queue::CampaignInfo, RegistryError>;

}  // namespace

void EngineBackend::with_counts(
    std::vector<queue::CampaignInfo> infos,
    std::move_only_function<void(std::vector<submission::CampaignInfo>)> done) {
  std::vector<CampaignId> ids;
  for (const queue::CampaignInfo& info : infos) ids.push_back(info.id);
  worker_.ask_all<std::vector<queue::Counts>>(
      [ids](Worker& there, auto reply) { reply(counts_at(there, ids)); },
      [infos = std::move(infos),
       done = std::move(done)](std::vector<std::vector<queue::Counts>> all) mutable {
        std::vector<submission::CampaignInfo> result;
        for (size_t i = 0; i < infos.size(); ++i) {
          queue::Counts sum;
          for (const auto& counts : all) sum += counts[i];
          result.push_back(to_api(infos[i], sum));
        }
        done(std::move(result));
      });
}

void EngineBackend::create_campaign(const Caller& caller, const submission::IdempotencyKey& key,
                                    submission::NewCampaign campaign,
                                    Answer<submission::CampaignCreated> answer) {
  if (worker_.stopping()) return answer(std::unexpected(refused(Refusal::stopping, "stopping")));
  if (!knows_sources(campaign.sources)) {
    return answer(std::unexpected(refused(Refusal::invalid, "a source is not configured")));
  }
  NewCampaign asked;
  asked.tenant = caller.tenant;
  asked.name = campaign.name;
  asked.mail_class = campaign.mail_class;
  asked.content = sha256(campaign.content);
  asked.sources = campaign.sources;
  asked.retry = {campaign.retry, campaign.max_age};
  asked.start_at = campaign.start_at;
  asked.idempotency_key = key.key;
  asked.digest = key.digest;
  ContentUse::Hold held = worker_.content_use().hold(asked.content);
  if (held == nullptr) return answer(std::unexpected(content_going()));
  // Nothing may refer to a content that is not durable.
  worker_.loop().offload().run(
      [store = worker_.content_store(), id = asked.content, bytes = std::move(campaign.content)] {
        return store.store(id, bytes);
      },
      [this, held = std::move(held), asked = std::move(asked),
       answer = std::move(answer)](Result<void> stored) mutable {
        if (!stored) {
          return answer(std::unexpected(refused(Refusal::failed, stored.error().message)));
        }
        worker_.ask(
            kControlWorker,
            [asked = std::move(asked)](Worker& there, auto reply) mutable {
              there.shared().control->registry().create(std::move(asked), std::move(reply));
            },
            [held = std::move(held), answer = std::move(answer)](CampaignResult created) mutable {
              if (!created) {
                return answer(std::unexpected(refused(created.error(), "campaign")));
              }
              answer(submission::CampaignCreated{
                  created->id, created->created_at,
                  static_cast<submission::CampaignState>(created->state)});
            });
      });
}

void EngineBackend::command_campaign(const Caller& caller, CampaignId id,
                                     submission::CampaignCommand command,
                                     Answer<submission::CommandResult> answer) {
  worker_.ask(
      kControlWorker,
      [tenant = tenant_filter(caller), id, command](Worker& there, auto reply) mutable {
        there.shared().control->registry().command(
            tenant, id, static_cast<CampaignCommand>(command), std::move(reply));
      },
      [this, answer = std::move(answer)](CampaignResult result) mutable {
        if (!result) return answer(std::unexpected(refused(result.error(), "campaign")));
        with_counts({std::move(*result)}, [answer = std::move(answer)](auto infos) mutable {
          answer(submission::CommandResult{infos[0].state, infos[0].closed, infos[0].counts});
        });
      });
}

void EngineBackend::get_campaign(const Caller& caller, CampaignId id,
                                 Answer<submission::CampaignInfo> answer) {
  const queue::CampaignInfo* info = worker_.campaigns().find(id);
  TenantId tenant = tenant_filter(caller);
  if (info == nullptr || (tenant != 0 && info->tenant != tenant)) {
    return answer(std::unexpected(refused(RegistryError::not_found, "campaign")));
  }
  with_counts({*info},
              [answer = std::move(answer)](auto infos) mutable { answer(std::move(infos[0])); });
}

void EngineBackend::list_campaigns(const Caller& caller, CampaignId after, uint32_t limit,
                                   Answer<submission::CampaignPage> answer) {
  std::vector<queue::CampaignInfo> infos;
  TenantId tenant = tenant_filter(caller);
  const auto& all = worker_.campaigns().all();
  CampaignId next = 0;
  for (auto at = all.upper_bound(after); at != all.end(); ++at) {
    if (tenant != 0 && at->second->tenant != tenant) continue;
    if (infos.size() == limit) {
      next = infos.back().id;
      break;
    }
    infos.push_back(*at->second);
  }
  with_counts(std::move(infos), [next, answer = std::move(answer)](auto counted) mutable {
    answer(submission::CampaignPage{std::move(counted), next});
  });
}

}  // namespace postring::engine
