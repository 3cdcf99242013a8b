// The commands about campaigns, events and recipients: /v1, with a key or over the socket.
#include <fmt/format.h>

#include <utility>

#include "cli/operator_commands.h"
#include "cli/shown.h"
#include "cli/table.h"

namespace postring::cli {

namespace {

constexpr int kPageRecipients = 1'000;
constexpr int kPageEvents = 5'000;
constexpr const char* kFollowWait = "30s";

std::string campaign_path(const std::string& id) {
  return "/v1/campaigns/" + percent_encoded(id);
}

std::string csv_cell(std::string text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

void show_counts(JsonView counts) {
  auto n = [&](std::string_view name) { return grouped(counts.number(name)); };
  fmt::print("  accepted    {}  (duplicate {}, rejected {})\n", n("accepted"), n("duplicate"),
             n("rejected"));
  fmt::print("  delivered   {}\n  bounced     {}\n  expired     {}\n  cancelled   {}\n",
             n("delivered"), n("bounced"), n("expired"), n("cancelled"));
  fmt::print("  waiting     {}\n  in flight   {}\n  deferrals   {}\n", n("waiting"), n("in_flight"),
             n("deferrals"));
}

std::string event_row(JsonView event) {
  return fmt::format("{}  {:<9}  {:<34} {}{}", short_time(event.text("logged")),
                     event.text("type"),
                     event.has("address") ? event.text("address") : event.text("campaign"),
                     reply_text(event.text("code"), event.text("enhanced"), event.text("reply")),
                     event.boolean("possible_duplicate") ? "  (possible duplicate)" : "");
}

void print_recipient_csv(JsonView one) {
  static constexpr const char* kColumns[] = {"id",
                                             "address",
                                             "ref",
                                             "state",
                                             "attempts",
                                             "accepted_at",
                                             "finished_at",
                                             "last_attempt.code",
                                             "last_attempt.enhanced_code",
                                             "last_attempt.text"};
  std::string line;
  for (const char* column : kColumns)
    line += (line.empty() ? "" : ",") + csv_cell(one.text(column));
  fmt::print("{}\n", line);
}

void print_recipient(JsonView one) {
  fmt::print("{}  {}\n", one.text("address"), one.text("state"));
  auto line = [](const char* name, const std::string& value) {
    if (!value.empty()) fmt::print("  {:<13} {}\n", name, value);
  };
  line("held by", one.text("hold"));
  if (one.has("last_attempt")) {
    JsonView last = one.at("last_attempt");
    line("last reply",
         fmt::format("{} (at {}{}{})",
                     reply_text(last.text("code"), last.text("enhanced_code"), last.text("text")),
                     last.text("stage"), last.text("source").empty() ? "" : ", source ",
                     last.text("source")));
  }
  line("next attempt", short_time(one.text("next_attempt_at")));
  line("attempts", one.text("attempts"));
  line("accepted", short_time(one.text("accepted_at")));
  line("expires", short_time(one.text("expires_at")));
  line("finished", short_time(one.text("finished_at")));
  line("campaign", one.text("campaign"));
  line("ref", one.text("ref"));
  line("recipient", one.text("id"));
}

}  // namespace

int list_campaigns(const ServerOptions& options, const std::string& state) {
  auto server = Server::choose(options);
  if (!server) return complain(server.error());
  Table table({"ID", "TENANT", "NAME", "STATE", "#ACCEPTED", "#DELIVERED", "#BOUNCED", "#WAITING",
               "CREATED"});
  std::string after;
  do {
    auto page = server->get("/v1/campaigns" + query_of({{"after", after}}));
    if (!page) return complain(page.error());
    for (JsonView campaign : page->root().list("campaigns")) {
      if (!state.empty() && campaign.text("state") != state) continue;
      if (options.json) {
        fmt::print("{}\n", campaign.raw());
        continue;
      }
      JsonView counts = campaign.at("counts");
      table.row({campaign.text("id"), campaign.text("tenant"), campaign.text("name"),
                 campaign.text("state"), grouped(counts.number("accepted")),
                 grouped(counts.number("delivered")), grouped(counts.number("bounced")),
                 grouped(counts.number("waiting") + counts.number("in_flight")),
                 short_time(campaign.text("created_at"))});
    }
    after = page->root().text("next");
  } while (!after.empty());
  if (!options.json) fmt::print("{}", table.text());
  return 0;
}

int show_campaign(const ServerOptions& options, const std::string& id) {
  auto server = Server::choose(options);
  if (!server) return complain(server.error());
  auto answer = server->get(campaign_path(id));
  if (!answer) return complain(answer.error());
  if (options.json) return print_json(*answer);
  JsonView campaign = answer->root();
  fmt::print("{}  {}  {}{}\n", campaign.text("id"), campaign.text("name"), campaign.text("state"),
             campaign.boolean("closed") ? ", closed" : ", takes recipients");
  for (const char* name : {"created_at", "start_at", "started_at", "closed_at", "completed_at"})
    if (campaign.has(name)) fmt::print("  {:<13} {}\n", name, short_time(campaign.text(name)));
  show_counts(campaign.at("counts"));
  return 0;
}

int command_campaign(const ServerOptions& options, const std::string& command,
                     const std::string& id) {
  auto server = Server::choose(options);
  if (!server) return complain(server.error());
  auto answer = server->post(campaign_path(id) + "/" + command);
  if (!answer) return complain(answer.error());
  if (options.json) return print_json(*answer);
  JsonView root = answer->root();
  fmt::print("{} is {}{}\n", id, root.text("state"), root.boolean("closed") ? ", closed" : "");
  if (root.has("stopped")) {
    fmt::print("  sent {}, in flight {}, stopped {}\n", grouped(root.number("sent")),
               grouped(root.number("in_flight")), grouped(root.number("stopped")));
  }
  return 0;
}

int export_campaign(const ServerOptions& options, const std::string& id, const std::string& state) {
  auto server = Server::choose(options);
  if (!server) return complain(server.error());
  bool headed = options.json;
  std::string after;
  do {
    auto page = server->get(
        campaign_path(id) + "/recipients" +
        query_of({{"state", state}, {"after", after}, {"limit", std::to_string(kPageRecipients)}}));
    if (!page) return complain(page.error());
    if (!std::exchange(headed, true)) {
      fmt::print(
          "id,address,ref,state,attempts,accepted_at,finished_at,code,enhanced_code,reply\n");
    }
    for (JsonView one : page->root().list("recipients")) {
      if (options.json) {
        fmt::print("{}\n", one.raw());
      } else {
        print_recipient_csv(one);
      }
    }
    after = page->root().text("next");
  } while (!after.empty());
  return 0;
}

int show_events(const ServerOptions& options, const EventsOptions& what) {
  auto server = Server::choose(options);
  if (!server) return complain(server.error());
  std::string cursor = what.after;
  uint64_t shown = 0;
  while (true) {
    uint64_t left = what.limit == 0 ? kPageEvents : what.limit - shown;
    std::string query = query_of({{"after", cursor},
                                  {"campaign", what.campaign},
                                  {"type", what.type},
                                  {"limit", std::to_string(std::min<uint64_t>(left, kPageEvents))},
                                  {"wait", what.follow ? kFollowWait : ""}});
    auto answer = server->call({.path = "/v1/events" + query, .timeout = Duration::minutes(2)});
    if (!answer) return complain(answer.error());
    auto page = JsonDocument::parse(answer->body);
    if (!page) return complain(page.error());
    if (answer->status == 410 && !page->root().text("oldest_cursor").empty()) {
      fmt::print(stderr, "postring: {} events are not kept any more; going on from the oldest\n",
                 page->root().number("missed"));
      cursor = page->root().text("oldest_cursor");
      continue;
    }
    if (!answer->good()) return complain({problem_text(*answer)});
    auto events = page->root().list("events");
    for (JsonView event : events) fmt::print("{}\n", options.json ? event.raw() : event_row(event));
    std::fflush(stdout);
    shown += events.size();
    cursor = page->root().text("next");
    if (what.limit != 0 && shown >= what.limit) return 0;
    if (events.empty() && !what.follow) return 0;
  }
}

int erase_address(const ServerOptions& options, const std::string& address) {
  auto server = Server::choose(options);
  if (!server) return complain(server.error());
  auto answer =
      server->ask({.method = "DELETE", .path = "/v1/recipients/" + percent_encoded(address)});
  if (!answer) return complain(answer.error());
  if (options.json) return print_json(*answer);
  JsonView erased = answer->root();
  fmt::print("{} is erased: {} cancelled, {} in flight end with their attempt\n", address,
             grouped(erased.number("cancelled")), grouped(erased.number("in_flight")));
  return 0;
}

int explain(const ServerOptions& options, const std::string& address) {
  auto server = Server::choose(options);
  if (!server) return complain(server.error());
  auto answer = server->get("/v1/recipients/" + percent_encoded(address));
  if (!answer) return complain(answer.error());
  if (options.json) return print_json(*answer);
  auto recipients = answer->root().list("recipients");
  if (recipients.empty()) fmt::print("nothing is known about {}\n", address);
  for (size_t i = 0; i < recipients.size(); ++i) {
    if (i > 0) fmt::print("\n");
    print_recipient(recipients[i]);
  }
  return 0;
}

}  // namespace postring::cli
