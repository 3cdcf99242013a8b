#include "engine/batch_intake.h"

#include "base/bytes.h"
#include "base/check.h"
#include "engine/backend.h"
#include "engine/control.h"

namespace postring::engine {

using submission::Answer;
using submission::Refusal;

// A recipient that the home could not take at once, with its bytes.
struct BatchIntake::Kept {
  explicit Kept(const submission::NewRecipient& from) : recipient(from) {
    std::string_view* const views[] = {&recipient.address, &recipient.values, &recipient.ref,
                                       &recipient.meta,    &recipient.source, &recipient.time_zone};
    size_t size = 0;
    for (const std::string_view* view : views) size += view->size();
    bytes.reserve(size);
    for (std::string_view* view : views) {
      size_t at = bytes.size();
      bytes += *view;
      *view = std::string_view(bytes.data() + at, view->size());
    }
  }
  submission::NewRecipient recipient;
  std::string bytes;
};

BatchIntake::BatchIntake(Worker& worker, queue::CampaignInfo campaign, std::string key,
                         delivery::ContentRef content)
    : worker_(worker),
      campaign_(std::move(campaign)),
      key_(std::move(key)),
      content_(std::move(content)) {}

BatchIntake::~BatchIntake() = default;

Result<void, queue::SubmitError> BatchIntake::open() {
  if (worker_.short_of_space()) return std::unexpected(queue::SubmitError::disk_full);
  queue::NewBatch batch;
  batch.campaign = campaign_.id;
  batch.tenant = campaign_.tenant;
  batch.tenant_name = campaign_.tenant_name;
  batch.idempotency_key = key_;
  batch.mail_class = campaign_.mail_class;
  auto handle = worker_.intake().begin(batch);
  if (!handle) return std::unexpected(handle.error());
  handle_ = *handle;
  return {};
}

bool BatchIntake::knows_source(std::string_view name) const {
  return worker_.sources().find(name).has_value();
}

void BatchIntake::append(const submission::NewRecipient& recipient) {
  CHECK(!committing_);
  // A batch that has failed takes the rest of its lines to answer once, at its commit.
  if (failure_) return;
  if (worker_.short_of_space()) {
    failure_ = queue::SubmitError::disk_full;
    return;
  }
  try_append(recipient);
}

void BatchIntake::try_append(const submission::NewRecipient& recipient) {
  queue::NewRecipient asked;
  asked.address = recipient.address;
  asked.values = recipient.values;
  asked.ref = recipient.ref;
  asked.meta = recipient.meta;
  asked.not_before = recipient.not_before;
  asked.expires_at = recipient.expires_at;
  asked.mail_class = recipient.mail_class;
  asked.source = recipient.source;
  asked.time_zone = recipient.time_zone;
  auto taken = worker_.intake().append(handle_, asked);
  if (taken) return;
  if (taken.error() != queue::SubmitError::busy) {
    failure_ = taken.error();
    return;
  }
  waiting_.push_back(std::make_unique<Kept>(recipient));
  worker_.intake().when_room([weak = weak_from_this()] {
    if (auto self = weak.lock()) self->retry_waiting();
  });
}

void BatchIntake::retry_waiting() {
  if (finished_ || waiting_.empty()) return;
  std::unique_ptr<Kept> kept = std::move(waiting_.front());
  waiting_.clear();
  try_append(kept->recipient);
  if (!waiting_.empty()) return;
  if (auto ready = std::exchange(ready_, nullptr)) ready();
  if (committing_) start_admission();
}

void BatchIntake::commit(const Sha256& digest, uint64_t rejected, std::string rejections,
                         Answer<submission::BatchAnswer> answer) {
  CHECK(!committing_);
  committing_ = true;
  digest_ = digest;
  result_.rejected = rejected;
  result_.rejections = std::move(rejections);
  answer_ = std::move(answer);
  if (waiting_.empty()) start_admission();
}

void BatchIntake::start_admission() {
  if (failure_) return refuse(refusal_of(*failure_));
  std::vector<queue::Fingerprint> fingerprints = worker_.intake().fingerprints(handle_);
  worker_.ask(
      kControlWorker,
      [campaign = campaign_.id, fingerprints = std::move(fingerprints)](Worker& there,
                                                                        auto reply) mutable {
        there.shared().control->registry().admit(campaign, std::move(fingerprints),
                                                 std::move(reply));
      },
      [self = shared_from_this()](Result<Admitted, RegistryError> admitted) {
        self->on_admitted(std::move(admitted));
      });
}

void BatchIntake::on_admitted(Result<Admitted, RegistryError> admitted) {
  if (!admitted) return refuse(refused(admitted.error(), "campaign"));
  admission_ = admitted->admission;
  queue::Home::CommitInput input;
  input.dropped = std::move(admitted->duplicates);
  input.duplicates = input.dropped.size();
  input.rejected = result_.rejected;
  input.digest = digest_;
  result_.batch = worker_.intake().batch_id(handle_);
  result_.duplicate = input.duplicates;
  result_.accepted = worker_.intake().appended(handle_) - input.duplicates;
  input.answer = encode_batch_answer(result_);
  commit_began_ = worker_.loop().now();
  worker_.intake().commit(
      handle_, std::move(input),
      [self = shared_from_this()](Result<queue::Committed, queue::SubmitError> committed) {
        self->on_committed(std::move(committed));
      });
  handle_ = 0;
}

void BatchIntake::on_committed(Result<queue::Committed, queue::SubmitError> committed) {
  if (!committed) return refuse(refusal_of(committed.error()));
  using reporting::Counter;
  reporting::Metrics& metrics = worker_.exporter().metrics();
  metrics.observe(reporting::Histogram::commit, worker_.loop().now() - commit_began_);
  metrics.add(Counter::recipients_accepted, result_.accepted);
  metrics.add(Counter::recipients_duplicate, result_.duplicate);
  metrics.add(Counter::recipients_rejected, result_.rejected);
  // The answer waits for the registry: a repeat that follows it finds the key answered.
  finish({true, digest_, encode_batch_answer(result_), committed->batch},
         [self = shared_from_this()] { self->answer_(std::move(self->result_)); });
}

// What fails because the homes are being closed is to be tried again, on the next daemon.
submission::Refused BatchIntake::refusal_of(queue::SubmitError error) const {
  return worker_.stopping() ? refused(Refusal::stopping, "stopping") : refused(error);
}

void BatchIntake::abandon() {
  if (!committing_ && !finished_) finish({}, [] {});
}

void BatchIntake::refuse(submission::Refused why) {
  finish({}, [self = shared_from_this(), why = std::move(why)]() mutable {
    self->answer_(std::unexpected(std::move(why)));
  });
}

void BatchIntake::finish(BatchEnd end, Job told) {
  CHECK(!finished_);
  finished_ = true;
  if (handle_ != 0) worker_.intake().discard(std::exchange(handle_, 0));
  tell_batch_end(worker_, {campaign_.tenant, campaign_.id, key_}, admission_, std::move(end),
                 std::move(told));
}

void tell_batch_end(Worker& worker, BatchName batch, Admission admission, BatchEnd end, Job told) {
  worker.ask(
      kControlWorker,
      [batch = std::move(batch), admission, end = std::move(end)](Worker& there,
                                                                  auto reply) mutable {
        there.shared().control->registry().finish_batch(batch.tenant, batch.campaign, batch.key,
                                                        admission, std::move(end));
        reply(true);
      },
      [told = std::move(told)](bool) mutable { told(); });
}

std::string encode_batch_answer(const submission::BatchAnswer& answer) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.varint(answer.batch);
  writer.varint(answer.accepted);
  writer.varint(answer.duplicate);
  writer.varint(answer.rejected);
  writer.text(answer.rejections);
  return bytes;
}

submission::BatchAnswer decode_batch_answer(std::string_view bytes) {
  ByteReader reader(bytes);
  submission::BatchAnswer answer;
  answer.batch = reader.varint();
  answer.accepted = reader.varint();
  answer.duplicate = reader.varint();
  answer.rejected = reader.varint();
  answer.rejections = reader.text();
  return answer;
}

}  // namespace postring::engine
