#include "cli/send.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <thread>

#include "base/hash.h"
#include "base/json_writer.h"
#include "cli/campaign_file.h"
#include "cli/progress.h"
#include "cli/recipient_list.h"
#include "cli/table.h"
#include "io/clock.h"

namespace postring::cli {

namespace {

constexpr Duration kPauseFirst = Duration::milliseconds(100);
constexpr Duration kPauseMax = Duration::seconds(2);
constexpr Duration kPollPause = Duration::milliseconds(300);
constexpr size_t kBarColumns = 24;

void pause(Duration duration) {
  std::this_thread::sleep_for(std::chrono::microseconds(duration.us));
}

bool worth_another_try(const ApiAnswer& answer) {
  if (answer.retry_after.us > 0) return true;
  return answer.status >= 500 && answer.status != 501 && answer.status != 505;
}

class Sender {
 public:
  Sender(const SendOptions& options, Server server, RecipientList list)
      : options_(options),
        server_(std::move(server)),
        list_(std::move(list)),
        progress_(options.quiet || options.server.json) {}

  Result<void> run(const std::string& campaign);

 private:
  // Repeats until the server has answered for good.
  Result<JsonDocument> insist(const ApiRequest& request);
  Result<void> create(const std::string& campaign);
  Result<void> submit(const RecipientBatch& batch);
  // A command that may have been obeyed already, without us hearing of it.
  Result<void> command(const std::string& name);
  Result<void> follow();
  void show_submitted(uint64_t offset);
  void finish_text();
  std::string path(const std::string& rest) const { return "/v1/campaigns/" + id_ + rest; }

  const SendOptions& options_;
  Server server_;
  RecipientList list_;
  Progress progress_;
  std::string key_;
  std::string id_;
  bool scheduled_ = false;
  uint64_t accepted_ = 0, duplicate_ = 0, rejected_ = 0;
  JsonWriter rejections_;
  RateMeter rate_;
  std::string last_state_;
};

Result<JsonDocument> Sender::insist(const ApiRequest& request) {
  Instant give_up = clock_now() + options_.patience;
  Duration wait = kPauseFirst;
  bool said = false;
  while (true) {
    auto answer = server_.call(request);
    if (answer && answer->good()) return JsonDocument::parse(answer->body);
    std::string why = answer ? problem_text(*answer) : answer.error().message;
    if (answer && !worth_another_try(*answer)) return fail(why);
    if (clock_now() > give_up) {
      return fail(
          fmt::format("{}\nGave up after {}. Run the same command again to go on: nobody "
                      "is sent a second message.",
                      why, seconds_text(options_.patience.whole_seconds())));
    }
    if (!said && !options_.quiet) progress_.say(fmt::format("waiting for the server: {}", why));
    said = true;
    pause(answer ? std::max(wait, std::min(answer->retry_after, kPauseMax)) : wait);
    wait = std::min(wait * 2, kPauseMax);
  }
}

Result<void> Sender::create(const std::string& campaign) {
  std::string identity = options_.run + '\n' + campaign + '\n' + hex(list_.digest());
  key_ = hex(sha256(identity)).substr(0, 32);
  auto made = insist({.method = "POST",
                      .path = "/v1/campaigns",
                      .body = campaign,
                      .headers = {{"Idempotency-Key", key_ + "-campaign"}}});
  if (!made) return std::unexpected(made.error());
  id_ = made->root().text("id");
  scheduled_ = made->root().text("state") == "scheduled";
  if (id_.empty()) return fail("the server's answer names no campaign");
  return {};
}

Result<void> Sender::submit(const RecipientBatch& batch) {
  std::string digest = hex(sha256(batch.body)).substr(0, 16);
  auto done = insist(
      {.method = "POST",
       .path = path("/recipients"),
       .body = batch.body,
       .content_type = list_.content_type(),
       .headers = {{"Idempotency-Key", fmt::format("{}-{}-{}", key_, batch.first_line, digest)}}});
  if (!done) return std::unexpected(done.error());
  JsonView root = done->root();
  accepted_ += static_cast<uint64_t>(root.number("accepted"));
  duplicate_ += static_cast<uint64_t>(root.number("duplicate"));
  auto rejected = static_cast<uint64_t>(root.number("rejected"));
  rejected_ += rejected;
  auto lines = root.list("rejections");
  for (JsonView one : lines) {
    uint64_t line = batch.line_in_file(static_cast<uint64_t>(one.number("line")));
    std::string field = one.text("field"), reason = one.text("reason");
    if (options_.server.json) {
      rejections_.object().field("line", line).field("field", field).field("reason", reason).end();
    } else {
      progress_.say(fmt::format("{}:{}: rejected: {}{}{}", options_.recipients_file, line, field,
                                field.empty() ? "" : ": ", reason));
    }
  }
  if (rejected > lines.size() && !options_.server.json)
    progress_.say(fmt::format("... and {} more in this batch", rejected - lines.size()));
  return {};
}

Result<void> Sender::command(const std::string& name) {
  auto answer = insist({.method = "POST", .path = path("/" + name)});
  if (answer) return {};
  auto now = server_.get(path(""));
  if (!now) return std::unexpected(answer.error());
  std::string state = now->root().text("state");
  bool there = name == "close" ? now->root().boolean("closed")
                               : state == "running" || state == "complete" || state == "scheduled";
  if (there) return {};
  if (state == "cancelled") {
    return fail(fmt::format("campaign {} is cancelled; with --run NAME the same list is sent again",
                            id_));
  }
  return std::unexpected(answer.error());
}

void Sender::show_submitted(uint64_t offset) {
  rate_.add(clock_now(), accepted_);
  progress_.show(fmt::format(
      "submitting {}  {} accepted  {}/s", bar_text(offset, list_.size(), kBarColumns),
      grouped(static_cast<int64_t>(accepted_)), grouped(static_cast<int64_t>(rate_.per_second()))));
}

Result<void> Sender::follow() {
  RateMeter rate;
  while (true) {
    auto campaign = insist({.method = "GET", .path = path("")});
    if (!campaign) return std::unexpected(campaign.error());
    JsonView root = campaign->root();
    last_state_ = root.text("state");
    auto count = [&](std::string_view name) {
      return static_cast<uint64_t>(root.number("counts." + std::string(name)));
    };
    uint64_t left = count("waiting") + count("in_flight");
    uint64_t total = count("accepted");
    rate.add(clock_now(), total - std::min(left, total));
    uint64_t per_second = rate.per_second();
    progress_.show(fmt::format(
        "sending    {}  {} sent  {} bounced  {} deferrals  {}/s  {}",
        bar_text(total - std::min(left, total), total, kBarColumns), count("delivered"),
        count("bounced"), count("deferrals"), per_second,
        per_second == 0 ? "" : seconds_text(static_cast<int64_t>(left / per_second)) + " left"));
    if (last_state_ == "complete" || last_state_ == "cancelled") {
      progress_.finish();
      if (!options_.server.json && !options_.quiet) {
        fmt::print("{} {}: {} delivered, {} bounced, {} expired, {} cancelled\n", id_, last_state_,
                   count("delivered"), count("bounced"), count("expired"), count("cancelled"));
      }
      return {};
    }
    pause(kPollPause);
  }
}

void Sender::finish_text() {
  progress_.finish();
  if (options_.server.json) {
    JsonWriter json;
    json.object().field("campaign", id_).field("accepted", accepted_);
    json.field("duplicate", duplicate_).field("rejected", rejected_);
    json.field_unless_empty("state", last_state_);
    json.key("rejections").raw(rejections_.end().take()).end();
    fmt::print("{}\n", json.take());
    return;
  }
  fmt::print("{} accepted, {} duplicate, {} rejected\n", accepted_, duplicate_, rejected_);
  if (!options_.wait) fmt::print("campaign {}; see `postring campaign show {}`\n", id_, id_);
}

Result<void> Sender::run(const std::string& campaign) {
  rejections_.array();
  if (auto made = create(campaign); !made) return made;
  // Begun before all is submitted: the first messages leave while the rest is on its way.
  if (!options_.no_start && !scheduled_)
    if (auto started = command("start"); !started) return started;
  while (auto batch = list_.next(options_.batch_recipients, options_.batch_bytes)) {
    if (auto done = submit(*batch); !done) return done;
    show_submitted(batch->end);
  }
  if (!options_.no_close)
    if (auto closed = command("close"); !closed) return closed;
  progress_.finish();
  if (options_.wait)
    if (auto followed = follow(); !followed) return followed;
  finish_text();
  return {};
}

}  // namespace

int send(const SendOptions& options) {
  auto complain = [](const Error& error) {
    fmt::print(stderr, "postring send: {}\n", error.message);
    return 1;
  };
  auto campaign = read_campaign_file(options.campaign_file);
  if (!campaign) return complain(campaign.error());
  auto list = RecipientList::open(options.recipients_file);
  if (!list) return complain(list.error());
  auto server = Server::over_url(options.server);
  if (!server) return complain(server.error());
  auto sent = Sender(options, std::move(*server), std::move(*list)).run(*campaign);
  return sent ? 0 : complain(sent.error());
}

}  // namespace postring::cli
