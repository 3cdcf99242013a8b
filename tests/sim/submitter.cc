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

constexpr Duration kHeardWithin = Duration::minutes(1);

}  // namespace

Submitter::Submitter(Schedule& schedule, ApiClient& api, Ledger& ledger, Plan plan, uint64_t seed)
    : schedule_(schedule), api_(api), ledger_(ledger), plan_(std::move(plan)), random_(seed) {
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
         (complete_ ? " complete" : "") + " " + last_counts_;
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
              for (size_t i = from; i < end; ++i) {
                ledger_.acknowledged(plan_.addresses[i]);
                ++acknowledged_;
              }
              submit(end);
            });
}

void Submitter::command(const std::string& name,
                        std::function<void(const ApiClient::Reply&)> done) {
  api_.call({"POST", "/v1/campaigns/" + id_ + "/" + name}, std::move(done));
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
    look();
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

void Submitter::look() {
  api_.call({"GET", "/v1/campaigns/" + id_}, [this](const ApiClient::Reply& reply) {
    if (reply.status != 200) return ledger_.broke("api: a campaign is not there: " + reply.body);
    check_counts(reply.body);
    if (!complete_) schedule_.after(soon(30'000), [this] { look(); });
  });
}

void Submitter::check_counts(std::string_view json) {
  std::string counts;
  auto count_of = [&](const std::string& name) {
    uint64_t count = json_number(json, "/counts/" + name).value_or(UINT64_MAX);
    counts += name + " " + std::to_string(count) + " ";
    return count;
  };
  uint64_t sum = 0;
  for (const char* end : {"delivered", "bounced", "expired", "cancelled"}) sum += count_of(end);
  uint64_t left = count_of("waiting") + count_of("in_flight");
  sum += left;
  uint64_t accepted = count_of("accepted");
  last_counts_ = counts;
  if (sum != accepted) ledger_.broke("counts: they do not add up: " + counts);
  // The answer to a batch may have been lost before it was cancelled.
  bool known = acknowledged_ == accepted ||
               (plan_.cancel && acknowledged_ < accepted && accepted <= plan_.addresses.size());
  if (!known) {
    ledger_.broke("counts: " + std::to_string(acknowledged_) + " were acknowledged: " +
                  counts);
  }
  std::optional<std::string> state = json_text(json, "/state");
  complete_ = state == "complete" || (state == "cancelled" && left == 0);
}

}  // namespace postring::sim
