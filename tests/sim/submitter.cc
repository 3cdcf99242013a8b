#include "sim/submitter.h"

#include <algorithm>

#include "sim/json.h"

namespace postring::sim {
namespace {

constexpr std::string_view kContent = R"({"name":"NAME","content":{"subject":"Hello {{name}}",)"
    R"("from":"Shop <news@sender.example>",)"
    R"("text":"Dear {{name}},\n\n.a line that begins with a dot\nmark:{{ref}}:end\n",)"
    R"("html":"<p>Dear {{name}},</p>\n<p><a href=\"https://shop.example/{{ref}}\">s</a></p>\n"},)"
    R"("unsubscribe":"https://shop.example/u/{{recipient_id}}",)"
    R"("return_path":"bounce+{{verp}}@sender.example"})";

// At first; who waits for days is not looked at as often.
constexpr int64_t kLookMs = 5'000, kLookLaterMs = 30'000;
constexpr uint64_t kOftenLooks = 60;
constexpr Duration kHeardWithin = Duration::minutes(1);

}  // namespace

Submitter::Submitter(Schedule& schedule, ApiClient& api, Ledger& ledger, Plan plan, uint64_t seed)
    : schedule_(schedule),
      api_(api),
      ledger_(ledger),
      plan_(std::move(plan)),
      random_(seed),
      looks_(seed ^ 0x6c6f6f6bu) {
  for (size_t i = 0; i < plan_.addresses.size(); ++i) {
    ledger_.add(plan_.addresses[i], plan_.name).name = name_of(i);
  }
  start_at_ = random_.below(plan_.addresses.size() + 1);
}

std::string Submitter::name_of(size_t recipient) const {
  bool dotted = static_cast<int64_t>(recipient * 37 % 1'000) < plan_.dotted_values;
  return (dotted ? ".Name " : "Name ") + std::to_string(recipient);
}

std::string Submitter::where() const {
  return plan_.name + " " + id_ + (started_ ? " started" : "") + (closed_ ? " closed" : "") +
         (complete_ ? " complete" : "") + (checked_ ? " checked " : " ") + last_.text();
}

void Submitter::begin() { create(); }

void Submitter::create() {
  std::string json(kContent);
  json.replace(json.find("NAME"), 4, plan_.name);
  api_.call({"POST", "/v1/campaigns", json, "application/json", plan_.name},
            [this](const ApiClient::Reply& reply) {
              auto id = json_text(reply.body, "/id");
              if (reply.status >= 300 || !id) {
                return ledger_.broke("api: a campaign was refused: " + reply.body);
              }
              id_ = *id;
              submit(0);
              for (int64_t i = 0; i < plan_.pauses; ++i) {
                schedule_.after(soon(120'000), [this] { pause(); });
              }
              if (plan_.cancel) schedule_.after(soon(60'000), [this] { cancel(); });
            });
}

void Submitter::submit(size_t from) {
  if (from >= start_at_ && !started_) start();
  if (from >= plan_.addresses.size()) return close();
  size_t end = std::min(from + plan_.batch, plan_.addresses.size());
  std::string body;
  for (size_t i = from; i < end; ++i) {
    const std::string& address = plan_.addresses[i];
    body += R"({"address":")" + address + R"(","ref":")" + address + R"(","data":{"name":")" +
            name_of(i) + R"(","ref":")" + address + "\"}}\n";
  }
  for (size_t i = from; i < end; ++i) ledger_.submitted(plan_.addresses[i], plan_.max_age);
  asked_ = end;
  std::string key = plan_.name + "-batch-" + std::to_string(from);
  api_.call({"POST", "/v1/campaigns/" + id_ + "/recipients", body, "application/x-ndjson", key},
            [this, from, end](const ApiClient::Reply& reply) {
              if (plan_.cancel && reply.status == 409) return close();
              if (reply.status >= 300) {
                return ledger_.broke("api: a batch was refused: " + reply.body);
              }
              if (json_number(reply.body, "/accepted") != end - from) {
                ledger_.broke("idempotent: a batch of " + std::to_string(end - from) +
                              " was answered " + reply.body);
              }
              auto batch = json_text(reply.body, "/batch");
              if (!batch) return ledger_.broke("api: a batch without an id: " + reply.body);
              on_accepted(from, end, *batch);
              submit(end);
            });
}

void Submitter::on_accepted(size_t from, size_t end, const std::string& batch) {
  for (size_t i = from; i < end; ++i) ledger_.acknowledged(plan_.addresses[i]);
  acknowledged_ += end - from;
  batches_.push_back({batch, end - from});
  if (batches_.size() == 1) look_later();
}

void Submitter::command(const std::string& name,
                        std::function<void(const ApiClient::Reply&)> done) {
  api_.call({"POST", "/v1/campaigns/" + id_ + "/" + name},
            [this, done = std::move(done)](const ApiClient::Reply& reply) {
              if (reply.status < 300) counts_of(reply.body);
              done(reply);
            });
}

void Submitter::start() {
  started_ = true;
  command("start", [this](const ApiClient::Reply& reply) {
    // What is paused is not started before it was resumed.
    if (plan_.pauses > 0 && reply.status == 409 && !complete_) {
      return schedule_.after(soon(30'000), [this] { start(); });
    }
    bool ok = reply.status < 300 || (plan_.cancel && reply.status == 409);
    if (!ok) ledger_.broke("api: start was refused: " + reply.body);
  });
}

void Submitter::close() {
  command("close", [this](const ApiClient::Reply& reply) {
    bool ok = reply.status < 300 || plan_.cancel;
    if (!ok) ledger_.broke("api: close was refused: " + reply.body);
    closed_ = true;
    if (batches_.empty()) look_later();
  });
}

void Submitter::pause() {
  if (complete_) return;
  command("pause", [this](const ApiClient::Reply& reply) {
    if (reply.status < 300 && resumes_ == 0) ledger_.stopped(plan_.name);
    schedule_.after(soon(plan_.pause_ms_max), [this] { resume(); });
  });
}

// An attempt whose answer was lost may still be heard after the one that was answered.
void Submitter::resume() {
  ++resumes_;
  ledger_.goes_on(plan_.name);
  command("resume", [this](const ApiClient::Reply&) {
    schedule_.after(kHeardWithin, [this] { --resumes_; });
  });
}

void Submitter::cancel() {
  if (complete_) return;
  ledger_.cancel_asked(plan_.name);
  command("cancel", [this](const ApiClient::Reply& reply) {
    if (reply.status < 300) ledger_.stopped(plan_.name);
  });
}

// ---- counts ------------------------------------------------------------------------------------

std::optional<Counts> Submitter::counts_of(std::string_view json) {
  std::optional<Counts> counts = Counts::of(json);
  if (!counts) {
    ledger_.broke("counts: some are missing: " + std::string(json));
  } else if (!counts->add_up()) {
    ledger_.broke("counts: they do not add up: " + counts->text());
  }
  return counts;
}

void Submitter::look_later() {
  int64_t within_ms = ++looked_ <= kOftenLooks ? kLookMs : kLookLaterMs;
  schedule_.after(Duration::milliseconds(looks_.between(1, within_ms)), [this] { look(); });
}

void Submitter::look() {
  if (!batches_.empty() && looks_.chance(1, 2)) look_at_batch(looks_.below(batches_.size()));
  api_.call({"GET", "/v1/campaigns/" + id_},
            [this, known = acknowledged_](const ApiClient::Reply& reply) {
              if (reply.status != 200) {
                return ledger_.broke("api: a campaign is not there: " + reply.body);
              }
              on_campaign(reply.body, known);
            });
}

// `known`: acknowledged before it was asked for. What is under way may count or not, also where its
// answer was lost before it was cancelled.
void Submitter::on_campaign(std::string_view json, uint64_t known) {
  std::optional<Counts> counts = counts_of(json);
  if (!counts) return;
  last_ = *counts;
  if (counts->accepted < known || counts->accepted > asked_) {
    ledger_.broke("counts: " + std::to_string(known) + " were acknowledged: " + counts->text());
  }
  std::optional<std::string> state = json_text(json, "/state");
  complete_ = closed_ && (state == "complete" || (state == "cancelled" && counts->left() == 0));
  if (!complete_) return look_later();
  check_batches(0);
}

std::optional<Counts> Submitter::counts_of_batch(size_t number, const ApiClient::Reply& reply) {
  const Batch& batch = batches_[number];
  if (reply.status != 200) {
    ledger_.broke("api: batch " + batch.id + " is not there: " + reply.body);
    return std::nullopt;
  }
  std::optional<Counts> counts = counts_of(reply.body);
  if (counts && counts->accepted != batch.size) {
    ledger_.broke("counts: of " + std::to_string(batch.size) + " in batch " + batch.id + ": " +
                  counts->text());
  }
  return counts;
}

void Submitter::look_at_batch(size_t number) {
  api_.call(
      {"GET", "/v1/batches/" + batches_[number].id},
      [this, number](const ApiClient::Reply& reply) { counts_of_batch(number, reply); });
}

// One after the other: nothing moves any more. A batch whose answer was lost is not known here.
void Submitter::check_batches(size_t from) {
  if (from < batches_.size()) {
    return api_.call({"GET", "/v1/batches/" + batches_[from].id},
                     [this, from](const ApiClient::Reply& reply) {
                       std::optional<Counts> counts = counts_of_batch(from, reply);
                       if (counts) in_batches_ += *counts;
                       check_batches(from + 1);
                     });
  }
  checked_ = true;
  if (last_.accepted != acknowledged_) return;
  if (!batches_.empty() && in_batches_ != last_) {
    ledger_.broke("counts: the batches of " + plan_.name + " come to " + in_batches_.text() +
                  ", all of it to " + last_.text());
  }
  ledger_.counted(plan_.name, last_.ends);
}

}  // namespace postring::sim
