#include "engine/operator_routes.h"

#include <simdjson.h>

#include "base/json_writer.h"
#include "base/time_text.h"
#include "http/problem.h"
#include "io/file.h"
#include "mail/address.h"
#include "mail/content_source.h"
#include "mail/id_text.h"
#include "mail/status.h"
#include "submission/keys.h"

namespace postring::engine {
namespace {

constexpr uint64_t kBodyMax = 1u << 20;
constexpr size_t kLanesShown = 100;
constexpr size_t kTenantNameMax = 64;

void respond_json(const http::ExchangePtr& exchange, std::string json) {
  http::Response response;
  response.body = std::move(json);
  exchange->respond(std::move(response));
}

void respond_problem(const http::ExchangePtr& exchange, uint16_t status, std::string detail,
                     std::string extra = {}) {
  http::Problem problem;
  problem.status = status;
  problem.detail = std::move(detail);
  problem.extra = std::move(extra);
  exchange->respond(http::problem(problem));
}

// The text of a member of a JSON object; empty where there is none.
std::string text_of(const std::string& body, std::string_view name) {
  simdjson::dom::parser parser;
  std::string_view text;
  if (parser.parse(body)[name].get(text) != simdjson::SUCCESS) return {};
  return std::string(text);
}

uint8_t scopes_of(const std::string& body) {
  simdjson::dom::parser parser;
  simdjson::dom::array names;
  if (parser.parse(body)["scopes"].get(names) != simdjson::SUCCESS) return 0;
  uint8_t scopes = 0;
  for (simdjson::dom::element element : names) {
    std::string_view name;
    if (element.get(name) != simdjson::SUCCESS) return 0;
    uint8_t scope = name == "submit"  ? kScopeSubmit
                    : name == "read"  ? kScopeRead
                    : name == "admin" ? kScopeAdmin
                                      : 0;
    if (scope == 0) return 0;
    scopes |= scope;
  }
  return scopes;
}

bool is_tenant_name(std::string_view name) {
  if (name.empty() || name.size() > kTenantNameMax) return false;
  for (char c : name) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '-' && c != '.') return false;
  }
  return true;
}

void write_key(JsonWriter& json, const KeyInfo& key) {
  json.field("id", mail::id_text(key.id)).field("tenant", key.tenant_name);
  json.key("scopes").array();
  if (key.scopes & kScopeSubmit) json.value("submit");
  if (key.scopes & kScopeRead) json.value("read");
  if (key.scopes & kScopeAdmin) json.value("admin");
  json.end().field("hint", key.hint).field("created", rfc3339(key.created_at));
}

void write_lane(JsonWriter& json, const delivery::LaneStatus& lane) {
  json.object().field("source", lane.source).field("site", lane.site);
  json.field("hold", delivery::name_of(lane.hold)).field_unless_empty("reason", lane.reason);
  if (lane.until.is_set()) json.field("until", rfc3339(lane.until));
  json.field("connections", lane.connections).field("connections_max", lane.connections_max);
  json.field("destinations", lane.destinations).field("ready", lane.ready);
  json.field("delivered", lane.delivered).end();
}

// What one worker adds to the status.
struct WorkerStatus {
  uint32_t index = 0;
  std::vector<SliceNumber> slices;
  delivery::Counters delivery;
  std::vector<delivery::SourceStatus> sources;
  queue::HomeStats homes;
  queue::Counts counts;
  bool short_of_space = false;
};

WorkerStatus status_of(Worker& worker) {
  WorkerStatus status;
  status.index = worker.index();
  status.delivery = worker.dispatch().counters();
  status.sources = worker.dispatch().sources();
  status.short_of_space = worker.short_of_space();
  for (const auto& home : worker.homes()) {
    status.slices.push_back(home->slice());
    queue::HomeStats stats = home->stats();
    status.homes.recipients += stats.recipients;
    status.homes.leased += stats.leased;
    status.homes.bytes_on_disk += stats.bytes_on_disk;
    status.homes.disk_full = status.homes.disk_full || stats.disk_full;
    status.homes.failed = status.homes.failed || stats.failed;
    status.counts += home->all_counts();
  }
  return status;
}

void write_worker(JsonWriter& json, const WorkerStatus& worker) {
  json.object().field("worker", worker.index).key("slices").array();
  for (SliceNumber slice : worker.slices) json.value(slice);
  json.end().field("connections", worker.delivery.connections);
  json.field("lanes", worker.delivery.lanes);
  json.field("queued", worker.homes.recipients - worker.homes.leased);
  json.field("in_flight", worker.homes.leased).end();
}

// Of what the spool remembers: it adds up.
void write_totals(JsonWriter& json, const queue::Counts& counts) {
  json.object().field("accepted", counts.accepted);
  json.field("waiting", counts.waiting).field("in_flight", counts.in_flight);
  json.field("delivered", counts.delivered).field("deferred", counts.deferrals);
  json.field("bounced", counts.bounced).field("expired", counts.expired);
  json.field("cancelled", counts.cancelled).end();
}

// A source stands still where any worker found that it must.
void write_sources(JsonWriter& json, const std::vector<WorkerStatus>& workers) {
  json.array();
  for (size_t i = 0; i < workers[0].sources.size(); ++i) {
    const delivery::SourceStatus* shown = &workers[0].sources[i];
    for (const WorkerStatus& worker : workers) {
      if (i < worker.sources.size() && worker.sources[i].stopped) shown = &worker.sources[i];
    }
    json.object().field("name", shown->name).field_unless_empty("address", shown->address);
    json.field("ehlo", shown->ehlo_name).field("state", shown->stopped ? "stopped" : "ok");
    json.field_unless_empty("reason", shown->reason);
    if (shown->until.is_set()) json.field("until", rfc3339(shown->until));
    json.end();
  }
  json.end();
}

std::string_view spool_state(const queue::HomeStats& homes, bool short_of_space) {
  if (homes.failed) return "failed";
  return homes.disk_full || short_of_space ? "full" : "ok";
}

}  // namespace

OperatorRoutes::OperatorRoutes(Worker& worker, Control& control, reporting::Log& log,
                               std::function<void()> stop)
    : worker_(worker),
      control_(control),
      log_(log),
      stop_(std::move(stop)),
      api_(worker.loop(), worker.backend(), {}),
      server_(worker.loop(), router_, http::Limits{}) {
  api_.add_operator_routes(router_);
  add_routes();
}

void OperatorRoutes::add_routes() {
  using http::ExchangePtr;
  using http::Method;
  auto with_body = [](void (OperatorRoutes::*handler)(ExchangePtr, const std::string&),
                      OperatorRoutes* self) {
    return [handler, self](ExchangePtr exchange) {
      exchange->collect_body(kBodyMax, [handler, self, exchange](std::string body) {
        (self->*handler)(exchange, body);
      });
    };
  };
  router_.add(Method::get, "/operator/status", [this](ExchangePtr e) { status(std::move(e)); });
  router_.add(Method::get, "/operator/lanes", [this](ExchangePtr e) { lanes(std::move(e)); });
  router_.add(Method::get, "/operator/keys", [this](ExchangePtr e) { list_keys(std::move(e)); });
  router_.add(Method::post, "/operator/keys", with_body(&OperatorRoutes::create_key, this));
  router_.add(Method::remove, "/operator/keys/{id}",
              [this](ExchangePtr e) { revoke_key(std::move(e)); });
  router_.add(Method::post, "/operator/retry", with_body(&OperatorRoutes::retry, this));
  router_.add(Method::post, "/operator/dns/flush", with_body(&OperatorRoutes::flush_dns, this));
  router_.add(Method::post, "/operator/try", with_body(&OperatorRoutes::attempt, this));
  router_.add(Method::get, "/operator/verp/{token}", [this](ExchangePtr e) { verp(std::move(e)); });
  router_.add(Method::post, "/operator/reload", [this](ExchangePtr exchange) {
    reload([exchange](Reloaded reloaded) {
      if (reloaded.applied) return respond_json(exchange, std::move(reloaded.json));
      respond_problem(exchange, 422, "the configuration was not changed: it has mistakes",
                      std::move(reloaded.json));
    });
  });
  router_.add(Method::post, "/operator/stop", [this](ExchangePtr exchange) {
    http::Response response;
    response.status = 202;
    response.body = JsonWriter().object().field("stopping", true).end().take();
    exchange->respond(std::move(response));
    stop_();
  });
}

void OperatorRoutes::status(http::ExchangePtr exchange) {
  worker_.ask_all<WorkerStatus>(
      [](Worker& there, auto reply) { reply(status_of(there)); },
      [this, exchange](std::vector<WorkerStatus> all) {
        const Shared& shared = worker_.shared();
        JsonWriter json;
        json.object().field("version", POSTRING_VERSION).field("hostname", shared.hostname);
        json.field("started", rfc3339(shared.started_at));
        json.field("uptime_s", (worker_.loop().wall_now() - shared.started_at).whole_seconds());
        json.key("divert");
        if (const auto& divert = worker_.config().divert) {
          json.value(divert->host + ":" + std::to_string(divert->port));
        } else {
          json.null();
        }
        queue::Counts counts;
        queue::HomeStats homes;
        bool short_of_space = false;
        json.key("workers").array();
        for (const WorkerStatus& one : all) {
          counts += one.counts;
          homes.bytes_on_disk += one.homes.bytes_on_disk;
          homes.disk_full = homes.disk_full || one.homes.disk_full;
          homes.failed = homes.failed || one.homes.failed;
          short_of_space = short_of_space || one.short_of_space;
          write_worker(json, one);
        }
        json.end().key("totals");
        write_totals(json, counts);
        json.key("sources");
        write_sources(json, all);
        json.key("spool").object().field("dir", shared.spool_dir);
        json.field("state", spool_state(homes, short_of_space));
        json.field("bytes", homes.bytes_on_disk);
        json.field("free_bytes", free_space(shared.spool_dir).value_or(0)).end();
        json.end();
        respond_json(exchange, json.take());
      });
}

void OperatorRoutes::lanes(http::ExchangePtr exchange) {
  worker_.ask_all<std::vector<delivery::LaneStatus>>(
      [](Worker& there, auto reply) { reply(there.dispatch().lanes(kLanesShown)); },
      [exchange](std::vector<std::vector<delivery::LaneStatus>> all) {
        JsonWriter json;
        json.object().key("lanes").array();
        for (const auto& of_worker : all) {
          for (const delivery::LaneStatus& lane : of_worker) write_lane(json, lane);
        }
        json.end().end();
        respond_json(exchange, json.take());
      });
}

void OperatorRoutes::create_key(http::ExchangePtr exchange, const std::string& body) {
  std::string tenant = text_of(body, "tenant");
  uint8_t scopes = scopes_of(body);
  if (!is_tenant_name(tenant)) {
    return respond_problem(exchange, 422,
                           "\"tenant\" must be 1 to 64 letters, digits, '.', '_' and '-'");
  }
  if (scopes == 0) {
    return respond_problem(exchange, 422, "\"scopes\" must name some of submit, read and admin");
  }
  control_.registry().ensure_tenant(
      tenant, [this, exchange, scopes](Result<TenantId, RegistryError> id) {
        if (!id) return respond_problem(exchange, 500, name_of(id.error()));
        std::string secret = submission::make_key();
        control_.registry().create_key(
            *id, scopes, *submission::hash_key(secret), secret.substr(0, submission::kKeyHintBytes),
            [exchange, secret](Result<KeyInfo, RegistryError> key) {
              if (!key) return respond_problem(exchange, 500, name_of(key.error()));
              JsonWriter json;
              json.object();
              write_key(json, *key);
              json.field("key", secret).end();
              respond_json(exchange, json.take());
            });
      });
}

void OperatorRoutes::list_keys(http::ExchangePtr exchange) {
  std::string_view tenant = exchange->request().query_value("tenant");
  JsonWriter json;
  json.object().key("keys").array();
  for (const KeyInfo& key : control_.registry().keys()) {
    if (!tenant.empty() && key.tenant_name != tenant) continue;
    json.object();
    write_key(json, key);
    json.end();
  }
  json.end().end();
  respond_json(exchange, json.take());
}

void OperatorRoutes::revoke_key(http::ExchangePtr exchange) {
  auto id = mail::parse_id(exchange->request().parameter("id"));
  if (!id) return respond_problem(exchange, 404, "there is no such key");
  control_.registry().revoke_key(*id, [this, exchange](Result<KeyInfo, RegistryError> key) {
    if (!key && key.error() == RegistryError::not_found) {
      return respond_problem(exchange, 404, "there is no such key");
    }
    if (!key) return respond_problem(exchange, 500, name_of(key.error()));
    JsonWriter json;
    json.object().field("id", mail::id_text(key->id));
    json.field("revoked", rfc3339(worker_.loop().wall_now())).end();
    respond_json(exchange, json.take());
  });
}

void OperatorRoutes::retry(http::ExchangePtr exchange, const std::string& body) {
  std::string domain = text_of(body, "domain");
  if (domain.empty()) return respond_problem(exchange, 422, "\"domain\" is missing");
  worker_.ask_all<uint64_t>(
      [domain](Worker& there, auto reply) {
        there.dispatch().retry_now(domain);
        there.retry_now(domain, std::move(reply));
      },
      [exchange, domain](std::vector<uint64_t> counts) {
        uint64_t sum = 0;
        for (uint64_t count : counts) sum += count;
        JsonWriter json;
        json.object().field("domain", domain).field("recipients", sum).end();
        respond_json(exchange, json.take());
      });
}

void OperatorRoutes::flush_dns(http::ExchangePtr exchange, const std::string& body) {
  std::string name = text_of(body, "name");
  if (name.empty()) return respond_problem(exchange, 422, "\"name\" is missing");
  worker_.ask_all<bool>([name](Worker& there, auto reply) { reply(there.resolver().flush(name)); },
                        [exchange, name](std::vector<bool> flushed) {
                          int sum = 0;
                          for (bool one : flushed) sum += one ? 1 : 0;
                          JsonWriter json;
                          json.object().field("name", name).field("flushed", sum).end();
                          respond_json(exchange, json.take());
                        });
}

void OperatorRoutes::attempt(http::ExchangePtr exchange, const std::string& body) {
  auto address = mail::parse_address(text_of(body, "address"));
  if (!address) return respond_problem(exchange, 422, "\"address\": " + address.error().message);
  auto text_or = [&body](std::string_view name, std::string otherwise) {
    std::string text = text_of(body, name);
    return text.empty() ? otherwise : text;
  };
  mail::ContentSource source;
  const std::string& postmaster = worker_.config().postmaster;
  source.from = text_or("from", postmaster.empty() ? "postmaster@" + worker_.shared().hostname
                                                   : postmaster);
  source.subject = text_or("subject", "postring test");
  source.text = text_or("text", "This message was sent by 'postring try'.\n");
  source.unsubscribe = "none";
  source.merge = false;
  auto content = mail::compile_content(source);
  if (!content) return respond_problem(exchange, 422, content.error().message);
  delivery::TrialRequest request;
  request.address = std::string(address->text());
  request.content = std::move(*content);
  request.source = text_of(body, "source");
  request.accepted_at = worker_.loop().wall_now();
  worker_.dispatch().attempt(std::move(request), [exchange](delivery::TrialResult result) {
    const queue::Report& report = result.report;
    JsonWriter json;
    json.object().field("outcome", name_of(report.outcome)).field("stage", name_of(report.stage));
    json.field("code", report.reply.code);
    json.field_unless_empty("enhanced", mail::enhanced_text(mail::enhanced_of(report.reply)));
    json.field("reply", report.reply.text);
    json.field("source", report.source).field("remote_host", report.remote_host);
    json.field("remote_address", report.remote_address);
    json.field("duration_ms", report.duration.whole_ms()).key("transcript").array();
    for (const std::string& line : result.transcript) {
      std::string_view from = line.starts_with('>')   ? "us"
                              : line.starts_with('<') ? "them"
                                                      : "note";
      json.object().field("from", from).field("text", line.substr(2)).end();
    }
    json.end().end();
    respond_json(exchange, json.take());
  });
}

void OperatorRoutes::verp(http::ExchangePtr exchange) {
  auto id = mail::verp_decode(std::span(&worker_.shared().verp_key, 1),
                              exchange->request().parameter("token"));
  if (!id) return respond_problem(exchange, 422, "this token was not made here, or was altered");
  JsonWriter json;
  json.object().field("campaign", mail::id_text(id->campaign));
  json.field("recipient", mail::id_text(id->recipient));
  if (const queue::CampaignInfo* info = control_.registry().find(id->campaign)) {
    json.field("tenant", info->tenant_name);
  }
  json.end();
  respond_json(exchange, json.take());
}

void OperatorRoutes::reload(std::move_only_function<void(Reloaded)> done) {
  auto config = load_config(worker_.shared().config_file);
  if (!config) {
    JsonWriter json;
    json.array();
    for (const ConfigMistake& mistake : config.error()) {
      log_.error("configuration", {{"mistake", mistake.text()}});
      json.object().field("file", mistake.file).field("line", mistake.line);
      json.field("key", mistake.key).field("message", mistake.message).end();
    }
    json.end();
    return done({false, "\"mistakes\":" + json.take()});
  }
  JsonWriter json;
  json.object().field("applied", true).key("changes").array();
  for (const ConfigChange& change :
       config_changes(worker_.shared().config, worker_.config(), *config)) {
    log_.info("configuration", {{"key", change.key},
                                {"before", change.before},
                                {"after", change.after},
                                {"applies", change.needs_restart ? "after a restart" : "now"}});
    json.object().field("key", change.key).field("before", change.before);
    json.field("after", change.after).field("needs_restart", change.needs_restart).end();
  }
  json.end().end();
  log_.set_level(config->log_level);
  control_.set_retention(config->events);
  auto shared_config = std::make_shared<const Config>(std::move(*config));
  worker_.ask_all<std::string>(
      [shared_config](Worker& there, auto reply) {
        auto applied = there.reconfigure(*shared_config);
        reply(applied ? std::string() : applied.error().message);
      },
      [this, done = std::move(done), text = json.take()](std::vector<std::string> wrong) mutable {
        for (const std::string& one : wrong) {
          if (!one.empty()) log_.error("name servers of before are asked on", {{"reason", one}});
        }
        done({true, std::move(text)});
      });
}

}  // namespace postring::engine
