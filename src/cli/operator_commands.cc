#include "cli/operator_commands.h"

#include <fmt/format.h>

#include "base/json_writer.h"
#include "cli/shown.h"
#include "cli/table.h"

namespace postring::cli {

namespace {

// Asks over the operator's socket and shows the answer: as JSON, or by `show`.
template <typename Show>
int ask_and_show(const ServerOptions& options, const ApiRequest& request, Show show) {
  auto server = Server::over_socket(options);
  if (!server) return complain(server.error());
  auto answer = server->ask(request);
  if (!answer) return complain(answer.error());
  if (options.json) return print_json(*answer);
  show(answer->root());
  return 0;
}

void say_divert(JsonView status) {
  if (status.at("divert").is_null()) return;
  fmt::print("DIVERT: all mail goes to {}; nothing leaves\n", status.text("divert"));
}

void write_scopes(JsonWriter& json, std::string_view scopes) {
  json.key("scopes").array();
  while (!scopes.empty()) {
    size_t comma = std::min(scopes.find(','), scopes.size());
    if (comma > 0) json.value(scopes.substr(0, comma));
    scopes.remove_prefix(std::min(comma + 1, scopes.size()));
  }
  json.end();
}

}  // namespace

int show_status(const ServerOptions& options) {
  return ask_and_show(options, {.path = "/operator/status"}, [](JsonView status) {
    fmt::print("postring {} on {}, up {}\n", status.text("version"), status.text("hostname"),
               seconds_text(status.number("uptime_s")));
    say_divert(status);
    JsonView totals = status.at("totals");
    auto total = [&](std::string_view name) { return grouped(totals.number(name)); };
    fmt::print("accepted {}: waiting {}, in flight {}, delivered {}, bounced {}, expired {}, "
               "cancelled {}\n",
               total("accepted"), total("waiting"), total("in_flight"), total("delivered"),
               total("bounced"), total("expired"), total("cancelled"));
    fmt::print("attempts that were deferred: {}\n", total("deferred"));
    JsonView spool = status.at("spool");
    if (spool.has("dir")) {
      std::string state = spool.text("state");
      fmt::print("spool {}: {}{}{} used, {} free\n", spool.text("dir"), state,
                 state.empty() ? "" : ", ",
                 bytes_text(static_cast<uint64_t>(spool.number("bytes"))),
                 bytes_text(static_cast<uint64_t>(spool.number("free_bytes"))));
    }
    Table workers({"#WORKER", "SLICES", "#CONNECTIONS", "#LANES", "#QUEUED", "#IN FLIGHT"});
    for (JsonView worker : status.list("workers")) {
      workers.row({worker.text("worker"), worker.text("slices"), worker.text("connections"),
                   worker.text("lanes"), grouped(worker.number("queued")),
                   grouped(worker.number("in_flight"))});
    }
    fmt::print("\n{}", workers.text());
    Table sources({"SOURCE", "ADDRESS", "EHLO", "STATE", "REASON"});
    for (JsonView source : status.list("sources")) {
      sources.row({source.text("name"), source.text("address"), source.text("ehlo"),
                   source.text("state"), source.text("reason")});
    }
    if (!sources.empty()) fmt::print("\n{}", sources.text());
  });
}

int show_lanes(const ServerOptions& options) {
  return ask_and_show(options, {.path = "/operator/lanes"}, [](JsonView answer) {
    Table table({"SOURCE", "SITE", "#READY", "#OPEN", "#LIMIT", "#DELIVERED", "HELD BY", "REASON"});
    for (JsonView lane : answer.list("lanes")) {
      table.row({lane.text("source"), lane.text("site"), lane.text("ready"),
                 lane.text("connections"), lane.text("connections_max"), lane.text("delivered"),
                 lane.text("hold"), lane.text("reason")});
    }
    fmt::print("{}", table.text());
  });
}

int reload(const ServerOptions& options) {
  return ask_and_show(options, {.method = "POST", .path = "/operator/reload"}, [](JsonView answer) {
    auto changes = answer.list("changes");
    if (changes.empty()) fmt::print("nothing changed\n");
    bool restart = false;
    for (JsonView change : changes) {
      bool needs = change.boolean("needs_restart");
      restart = restart || needs;
      auto shown = [&](const char* name) {
        std::string value = change.text(name);
        return value.empty() ? std::string("-") : value;
      };
      fmt::print("{}: {} -> {}{}\n", change.text("key"), shown("before"), shown("after"),
                 needs ? "   (needs a restart)" : "");
    }
    if (restart) fmt::print("restart postring for what is marked; the rest applies now\n");
  });
}

int stop(const ServerOptions& options) {
  return ask_and_show(options, {.method = "POST", .path = "/operator/stop"},
                      [](JsonView) { fmt::print("stopping\n"); });
}

int create_key(const ServerOptions& options, const std::string& scopes) {
  JsonWriter json;
  json.object().field("tenant", options.tenant);
  write_scopes(json, scopes);
  json.end();
  return ask_and_show(options, {.method = "POST", .path = "/operator/keys", .body = json.take()},
                      [](JsonView key) {
                        fmt::print("{}\n", key.text("key"));
                        fmt::print(stderr, "key {} of {} for {}; the secret is shown this once\n",
                                   key.text("id"), key.text("tenant"), key.text("scopes"));
                      });
}

int list_keys(const ServerOptions& options) {
  std::string query = query_of({{"tenant", options.tenant}});
  return ask_and_show(options, {.path = "/operator/keys" + query}, [](JsonView answer) {
    Table table({"ID", "TENANT", "SCOPES", "BEGINS", "CREATED"});
    for (JsonView key : answer.list("keys")) {
      table.row({key.text("id"), key.text("tenant"), key.text("scopes"), key.text("hint"),
                 short_time(key.text("created"))});
    }
    fmt::print("{}", table.text());
  });
}

int revoke_key(const ServerOptions& options, const std::string& id) {
  return ask_and_show(options,
                      {.method = "DELETE", .path = "/operator/keys/" + percent_encoded(id)},
                      [&](JsonView) { fmt::print("key {} is revoked\n", id); });
}

int retry_domain(const ServerOptions& options, const std::string& domain) {
  std::string body = JsonWriter().object().field("domain", domain).end().take();
  return ask_and_show(options,
                      {.method = "POST", .path = "/operator/retry", .body = std::move(body)},
                      [](JsonView answer) {
                        int64_t count = answer.number("recipients");
                        fmt::print("{}: {} {} due now\n", answer.text("domain"), grouped(count),
                                   count == 1 ? "recipient is" : "recipients are");
                      });
}

int flush_dns(const ServerOptions& options, const std::string& name) {
  std::string body = JsonWriter().object().field("name", name).end().take();
  return ask_and_show(
      options, {.method = "POST", .path = "/operator/dns/flush", .body = std::move(body)},
      [](JsonView answer) {
        fmt::print("{}: {}\n", answer.text("name"),
                   answer.number("flushed") == 0 ? "nothing was remembered" : "forgotten");
      });
}

int decode_verp(const ServerOptions& options, const std::string& token) {
  // People paste the whole address; the token stands behind the last '+' of its local part.
  std::string_view local = std::string_view(token).substr(0, token.rfind('@'));
  size_t plus = local.rfind('+');
  if (plus != std::string_view::npos) local.remove_prefix(plus + 1);
  return ask_and_show(
      options, {.path = "/operator/verp/" + percent_encoded(local)}, [](JsonView answer) {
        fmt::print("tenant     {}\ncampaign   {}\nrecipient  {}\n", answer.text("tenant"),
                   answer.text("campaign"), answer.text("recipient"));
        if (answer.has("address")) fmt::print("address    {}\n", answer.text("address"));
      });
}

int try_address(const ServerOptions& options, const TryOptions& what) {
  JsonWriter json;
  json.object().field("address", what.address).field_unless_empty("from", what.from);
  json.field_unless_empty("source", what.source).field_unless_empty("subject", what.subject);
  json.field_unless_empty("text", what.text).end();
  bool delivered = false;
  int status =
      ask_and_show(options,
                   {.method = "POST",
                    .path = "/operator/try",
                    .body = json.take(),
                    .timeout = Duration::minutes(15)},
                   [&](JsonView answer) {
                     for (JsonView line : answer.list("transcript")) {
                       std::string from = line.text("from");
                       const char* mark = from == "us" ? ">" : from == "them" ? "<" : "*";
                       std::string text = line.text("text");
                       text.erase(text.find_last_not_of("\r\n") + 1);
                       fmt::print("{} {}\n", mark, text);
                     }
                     fmt::print("{} at {}: {}\n", answer.text("outcome"), answer.text("stage"),
                                reply_text(answer.text("code"), answer.text("enhanced"),
                                           answer.text("reply")));
                     if (!answer.text("remote_host").empty()) {
                       fmt::print("host {} [{}], source {}\n", answer.text("remote_host"),
                                  answer.text("remote_address"), answer.text("source"));
                     }
                     delivered = answer.text("outcome") == "delivered";
                   });
  if (status != 0 || options.json) return status;
  return delivered ? 0 : 1;
}

}  // namespace postring::cli
