// BatchIntake: one batch on its way from the API into a home of this worker.
//
// begin: the registry looks at the idempotency key, the campaign's content is loaded, the home
// opens a batch. append: into the home; when the home is busy the recipient waits here and the API
// pauses. commit: the registry finds duplicates, the home makes the rest durable, the registry is
// told. What goes away in between is discarded, and the registry is told that, too.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "delivery/contents.h"
#include "engine/registry.h"
#include "engine/worker.h"
#include "submission/backend.h"

namespace postring::engine {

// Everything of a batch; shared by the writer and the steps of its commit.
class BatchIntake : public std::enable_shared_from_this<BatchIntake> {
 public:
  BatchIntake(Worker& worker, queue::CampaignInfo campaign, std::string key,
              delivery::ContentRef content);
  ~BatchIntake();

  // Opens the batch at the home.
  Result<void, queue::SubmitError> open();

  const mail::Content& content() const { return *content_; }
  bool knows_source(std::string_view name) const;

  void append(const submission::NewRecipient& recipient);
  bool wants_more() const { return waiting_.empty(); }
  void when_ready(std::function<void()> ready) { ready_ = std::move(ready); }
  void commit(const Sha256& digest, uint64_t rejected, std::string rejections,
              submission::Answer<submission::BatchAnswer> answer);
  // The writer went: without a commit the batch is given up.
  void abandon();

 private:
  struct Kept;

  void try_append(const submission::NewRecipient& recipient);
  void retry_waiting();
  void start_admission();
  void on_admitted(Result<Admitted, RegistryError> admitted);
  void on_committed(Result<queue::Committed, queue::SubmitError> committed);
  // Gives up or keeps, then tells the registry; `told` runs when it knows.
  void finish(BatchEnd end, Job told);
  submission::Refused refusal_of(queue::SubmitError error) const;
  void refuse(submission::Refused why);

  Worker& worker_;
  queue::CampaignInfo campaign_;
  std::string key_;
  delivery::ContentRef content_;
  queue::BatchHandle handle_ = 0;
  std::optional<queue::SubmitError> failure_;
  std::vector<std::unique_ptr<Kept>> waiting_;  // at most one: the API pauses
  std::function<void()> ready_;
  bool committing_ = false;
  bool finished_ = false;

  Admission admission_ = 0;
  Sha256 digest_{};
  Instant commit_began_;
  submission::BatchAnswer result_;
  submission::Answer<submission::BatchAnswer> answer_;
};

// What the registry knows a begun batch by.
struct BatchName {
  TenantId tenant = 0;
  CampaignId campaign = 0;  // 0: a message
  std::string key;
};

// Tells the registry how a batch that it began has ended, `admission` 0 where it came to none.
// `told` runs on this worker when the registry knows.
void tell_batch_end(Worker& worker, BatchName batch, Admission admission, BatchEnd end, Job told);

// The answer as it is kept under an idempotency key.
std::string encode_batch_answer(const submission::BatchAnswer& answer);
submission::BatchAnswer decode_batch_answer(std::string_view bytes);

}  // namespace postring::engine
