#include "engine/backend.h"
#include "engine/batch_intake.h"
#include "engine/control.h"

namespace postring::engine {

using submission::Answer;
using submission::Caller;
using submission::Refusal;

namespace {

// What the API holds; the intake itself lives on until its commit has ended.
class IntakeWriter final : public submission::BatchWriter {
 public:
  explicit IntakeWriter(std::shared_ptr<BatchIntake> intake) : intake_(std::move(intake)) {}
  ~IntakeWriter() override { intake_->abandon(); }

  const mail::Content& content() const override { return intake_->content(); }
  bool knows_source(std::string_view name) const override { return intake_->knows_source(name); }
  void append(const submission::NewRecipient& recipient) override { intake_->append(recipient); }
  bool wants_more() const override { return intake_->wants_more(); }
  void when_ready(std::function<void()> ready) override { intake_->when_ready(std::move(ready)); }
  void commit(const Sha256& digest, uint64_t rejected, std::string rejections,
              Answer<submission::BatchAnswer> answer) override {
    intake_->commit(digest, rejected, std::move(rejections), std::move(answer));
  }

 private:
  std::shared_ptr<BatchIntake> intake_;
};

// A begun batch that comes to nothing must be told to the registry.
void give_up(Worker& worker, const queue::CampaignInfo& campaign, const std::string& key) {
  tell_batch_end(worker, {campaign.tenant, campaign.id, key}, 0, {}, [] {});
}

// Right after a start, and while the disk is behind, a segment is being prepared: the request waits
// for it instead of being sent away, at most this often.
constexpr int kRoomWaitsMax = 8;

void open_intake(Worker& worker, std::shared_ptr<BatchIntake> intake,
                 const queue::CampaignInfo& campaign, const std::string& key, int waits,
                 Answer<submission::BatchBegun> answer) {
  auto opened = intake->open();
  if (opened) {
    submission::BatchBegun begun;
    begun.writer = std::make_unique<IntakeWriter>(std::move(intake));
    return answer(std::move(begun));
  }
  if (worker.stopping()) {
    give_up(worker, campaign, key);
    return answer(std::unexpected(refused(Refusal::stopping, "stopping")));
  }
  if (opened.error() != queue::SubmitError::busy || waits == kRoomWaitsMax) {
    give_up(worker, campaign, key);
    return answer(std::unexpected(refused(opened.error())));
  }
  // std::function wants a copyable callable.
  auto held = std::make_shared<Answer<submission::BatchBegun>>(std::move(answer));
  worker.intake().when_room([&worker, intake, campaign, key, waits, held] {
    open_intake(worker, intake, campaign, key, waits + 1, std::move(*held));
  });
}

void give_earlier(const Sha256& digest, std::string_view bytes,
                  Answer<submission::BatchBegun>& answer) {
  submission::BatchBegun begun;
  begun.earlier = decode_batch_answer(bytes);
  begun.earlier_digest = digest;
  answer(std::move(begun));
}

// What the key was answered before. The registry holds short answers; a long one is with the
// commit of its batch, at the home.
void answer_again(Worker& worker, BatchBegun begun, Answer<submission::BatchBegun> answer) {
  if (!begun.is_long) return give_earlier(begun.digest, begun.answer, answer);
  const auto& owners = worker.shared().worker_of_slice;
  SliceNumber slice = slice_of(begun.batch);
  if (slice >= owners.size() || owners[slice] == kNoWorker) {
    return answer(std::unexpected(refused(RegistryError::failed, "batch")));
  }
  worker.ask(
      owners[slice],
      [batch = begun.batch](Worker& there, auto reply) mutable {
        queue::Home* home = there.home_of(slice_of(batch));
        if (home == nullptr) return reply(std::optional<std::string>{});
        home->answer(batch, std::move(reply));
      },
      [digest = begun.digest,
       answer = std::move(answer)](std::optional<std::string> bytes) mutable {
        if (!bytes) return answer(std::unexpected(refused(RegistryError::failed, "batch")));
        give_earlier(digest, *bytes, answer);
      });
}

}  // namespace

void EngineBackend::begin_batch(const Caller& caller, CampaignId campaign, const std::string& key,
                                Answer<submission::BatchBegun> answer) {
  if (worker_.stopping()) return answer(std::unexpected(refused(Refusal::stopping, "stopping")));
  const queue::CampaignInfo* found = worker_.campaigns().find(campaign);
  TenantId tenant = tenant_filter(caller);
  if (found == nullptr || (tenant != 0 && found->tenant != tenant)) {
    return answer(std::unexpected(refused(RegistryError::not_found, "campaign")));
  }
  queue::CampaignInfo info = *found;
  worker_.ask(
      kControlWorker,
      [tenant = info.tenant, campaign, key](Worker& there, auto reply) mutable {
        there.shared().control->registry().begin_batch(tenant, campaign, key, std::move(reply));
      },
      [this, info, key,
       answer = std::move(answer)](Result<BatchBegun, RegistryError> begun) mutable {
        if (!begun) return answer(std::unexpected(refused(begun.error(), "campaign")));
        if (begun->answered) return answer_again(worker_, std::move(*begun), std::move(answer));
        worker_.contents().fetch(
            info.content, [this, info, key = std::move(key), answer = std::move(answer)](
                              Result<delivery::ContentRef> content) mutable {
              if (!content) {
                give_up(worker_, info, key);
                return answer(std::unexpected(refused(Refusal::failed, content.error().message)));
              }
              auto intake = std::make_shared<BatchIntake>(worker_, info, key, std::move(*content));
              open_intake(worker_, std::move(intake), info, key, 0, std::move(answer));
            });
      });
}

}  // namespace postring::engine
