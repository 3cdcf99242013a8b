#include "base/bytes.h"
#include "engine/backend.h"
#include "engine/batch_intake.h"
#include "engine/campaign_rules.h"
#include "engine/control.h"

// A single message: a batch of its own of 1 to kMessageRecipientsMax recipients, answered when it
// is durable. Its content lies inline in its record where it is small, and is stored as a
// campaign's where it is not.
namespace postring::engine {

using submission::Answer;
using submission::Caller;
using submission::Refusal;

namespace {

std::string encode_accepted(const submission::MessageAccepted& accepted) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.varint(accepted.batch);
  writer.signed_varint(accepted.accepted_at.us);
  writer.varint(accepted.recipients.size());
  for (RecipientId id : accepted.recipients) writer.varint(id);
  return bytes;
}

submission::MessageAccepted decode_accepted(std::string_view bytes) {
  ByteReader reader(bytes);
  submission::MessageAccepted accepted;
  accepted.batch = reader.varint();
  accepted.accepted_at.us = reader.signed_varint();
  uint64_t count = reader.varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i)
    accepted.recipients.push_back(reader.varint());
  return accepted;
}

// A content belongs to the tenants that have a campaign of it.
bool has_content(Worker& worker, TenantId tenant, const queue::ContentId& id) {
  for (const auto& [campaign, info] : worker.campaigns().all()) {
    if (info->content == id && (tenant == 0 || info->tenant == tenant)) return true;
  }
  return false;
}

// One submission on its way; keeps itself by the callbacks that hold it.
class MessageIntake : public std::enable_shared_from_this<MessageIntake> {
 public:
  MessageIntake(Worker& worker, const Caller& caller, submission::IdempotencyKey key,
                submission::NewMessage message, Answer<submission::MessageAccepted> answer)
      : worker_(worker),
        caller_(caller),
        key_(std::move(key)),
        message_(std::move(message)),
        answer_(std::move(answer)) {}

  void begin() {
    if (key_.key.empty() && message_.campaign == 0) return store_content();
    worker_.ask(
        kControlWorker,
        [tenant = caller_.tenant, campaign = message_.campaign, key = key_.key](
            Worker& there, auto reply) mutable {
          there.shared().control->registry().begin_batch(tenant, campaign, key, std::move(reply));
        },
        [self = shared_from_this()](Result<BatchBegun, RegistryError> begun) {
          self->on_begun(std::move(begun));
        });
  }

 private:
  void on_begun(Result<BatchBegun, RegistryError> begun) {
    if (!begun) return answer_(std::unexpected(refused(begun.error(), "campaign")));
    if (begun->answered) {
      if (begun->digest != key_.digest) {
        return answer_(std::unexpected(refused(RegistryError::key_reused, "message")));
      }
      return answer_(decode_accepted(begun->answer));
    }
    begun_ = true;
    store_content();
  }

  void store_content() {
    content_ = sha256(message_.content);
    if (!message_.content_name.empty()) {
      auto id = parse_content_name(message_.content_name);
      if (!id || !has_content(worker_, caller_.tenant, *id)) {
        return refuse(refused(Refusal::invalid, "there is no such content"));
      }
      content_ = *id;
      return hold_content() ? submit() : refuse(content_going());
    }
    if (message_.content.size() <= queue::kInlineContentMax) return submit();
    if (!hold_content()) return refuse(content_going());
    worker_.loop().offload().run(
        [store = worker_.content_store(), id = content_, bytes = message_.content] {
          return store.store(id, bytes);
        },
        [self = shared_from_this()](Result<void> stored) {
          if (!stored) return self->refuse(refused(Refusal::failed, stored.error().message));
          self->submit();
        });
  }

  bool hold_content() {
    held_ = worker_.content_use().hold(content_);
    return held_ != nullptr;
  }

  void submit() {
    if (worker_.short_of_space()) return refuse(refused(queue::SubmitError::disk_full));
    if (message_.campaign != 0) {
      // Again: a campaign that was closed meanwhile may be found complete before this one counts.
      const queue::CampaignInfo* campaign = worker_.campaigns().find(message_.campaign);
      if (campaign == nullptr || !takes_recipients(*campaign)) {
        return refuse(refused(RegistryError::wrong_state, "campaign"));
      }
    }
    queue::NewBatch batch;
    batch.campaign = message_.campaign;
    batch.tenant = caller_.tenant;
    batch.tenant_name = caller_.tenant_name;
    batch.idempotency_key = key_.key;
    batch.mail_class = message_.mail_class;
    batch.content = content_;
    if (message_.content_name.empty() && message_.content.size() <= queue::kInlineContentMax) {
      batch.inline_content = message_.content;
    }
    batch.sources = message_.sources;
    batch.retry = {message_.retry, message_.max_age};
    auto handle = worker_.intake().begin(batch);
    if (!handle) return wait_or_refuse(handle.error());
    if (auto taken = append_all(*handle); !taken) {
      worker_.intake().discard(*handle);
      return wait_or_refuse(taken.error());
    }
    accepted_.batch = worker_.intake().batch_id(*handle);
    accepted_.accepted_at = worker_.loop().wall_now();
    queue::Home::CommitInput input;
    input.digest = key_.digest;
    input.answer = encode_accepted(accepted_);
    commit_began_ = worker_.loop().now();
    worker_.intake().commit(
        *handle, std::move(input),
        [self = shared_from_this()](Result<queue::Committed, queue::SubmitError> committed) {
          self->on_committed(std::move(committed));
        });
  }

  Result<void, queue::SubmitError> append_all(queue::BatchHandle handle) {
    accepted_.recipients.clear();
    for (const submission::NewMessage::To& to : message_.to) {
      queue::NewRecipient recipient;
      recipient.address = to.address;
      recipient.values = to.values;
      recipient.ref = to.ref;
      recipient.meta = to.meta;
      recipient.not_before = message_.not_before;
      recipient.expires_at = message_.expires_at;
      recipient.mail_class = message_.mail_class;
      auto id = worker_.intake().append(handle, recipient);
      if (!id) return std::unexpected(id.error());
      accepted_.recipients.push_back(*id);
    }
    return {};
  }

  // One message is little: it waits for room where a batch would be asked to come again.
  void wait_or_refuse(queue::SubmitError error) {
    if (worker_.stopping()) return refuse(refused(Refusal::stopping, "stopping"));
    if (error != queue::SubmitError::busy || waits_ == kWaitsMax) return refuse(refused(error));
    ++waits_;
    worker_.intake().when_room([self = shared_from_this()] { self->submit(); });
  }

  void on_committed(Result<queue::Committed, queue::SubmitError> committed) {
    if (!committed && worker_.stopping()) return refuse(refused(Refusal::stopping, "stopping"));
    if (!committed) return refuse(refused(committed.error()));
    reporting::Metrics& metrics = worker_.exporter().metrics();
    metrics.observe(reporting::Histogram::commit, worker_.loop().now() - commit_began_);
    metrics.add(reporting::Counter::recipients_accepted, accepted_.recipients.size());
    tell_registry({true, key_.digest, encode_accepted(accepted_), accepted_.batch},
                  [self = shared_from_this()] { self->answer_(std::move(self->accepted_)); });
  }

  void refuse(submission::Refused why) {
    tell_registry({}, [self = shared_from_this(), why = std::move(why)]() mutable {
      self->answer_(std::unexpected(std::move(why)));
    });
  }

  void tell_registry(BatchEnd end, Job told) {
    if (!begun_) return told();
    tell_batch_end(worker_, {caller_.tenant, message_.campaign, key_.key}, 0, std::move(end),
                   std::move(told));
  }

  static constexpr int kWaitsMax = 64;

  Worker& worker_;
  Caller caller_;
  submission::IdempotencyKey key_;
  submission::NewMessage message_;
  Answer<submission::MessageAccepted> answer_;
  queue::ContentId content_{};
  ContentUse::Hold held_;  // until it is durable at its home
  submission::MessageAccepted accepted_;
  Instant commit_began_;
  bool begun_ = false;
  int waits_ = 0;
};

}  // namespace

void EngineBackend::find_content(const Caller& caller, const std::string& name,
                                 Answer<std::shared_ptr<const mail::Content>> answer) {
  auto id = parse_content_name(name);
  if (!id || !has_content(worker_, tenant_filter(caller), *id)) {
    return answer(std::unexpected(refused(RegistryError::not_found, "content")));
  }
  worker_.contents().fetch(
      *id, [answer = std::move(answer)](Result<delivery::ContentRef> content) mutable {
        if (!content) return answer(std::unexpected(refused(RegistryError::not_found, "content")));
        auto held = std::make_shared<delivery::ContentRef>(std::move(*content));
        answer(std::shared_ptr<const mail::Content>(held, &**held));
      });
}

void EngineBackend::submit_message(const Caller& caller, const submission::IdempotencyKey& key,
                                   submission::NewMessage message,
                                   Answer<submission::MessageAccepted> answer) {
  if (worker_.stopping()) return answer(std::unexpected(refused(Refusal::stopping, "stopping")));
  if (!knows_sources(message.sources)) {
    return answer(std::unexpected(refused(Refusal::invalid, "a source is not configured")));
  }
  std::make_shared<MessageIntake>(worker_, caller, key, std::move(message), std::move(answer))
      ->begin();
}

}  // namespace postring::engine
