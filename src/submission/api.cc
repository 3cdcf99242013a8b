#include "submission/api.h"

#include "mail/address.h"
#include "mail/id_text.h"
#include "submission/answers.h"
#include "submission/api_call.h"
#include "submission/batch_upload.h"
#include "submission/keys.h"
#include "submission/problems.h"
#include "submission/spec.h"

namespace postring::submission {
namespace {

using http::Method;

constexpr size_t kCompilingMax = 64;  // large bodies on the helper thread at a time

// A backend's answer as JSON, or its refusal.
template <typename T, typename Render>
Answer<T> answering(const ApiCall& call, uint16_t status, Render render) {
  return [call, status, render = std::move(render)](Result<T, Refused> result) {
    if (result) {
      call.respond(status, render(*result));
    } else {
      call.refuse(result.error());
    }
  };
}

IdempotencyKey keyed(const ApiCall& call, std::string key, std::string_view body) {
  IdempotencyKey result;
  result.key = std::move(key);
  if (result.key.empty()) return result;
  Sha256Stream digest;
  digest.add("POST ");
  digest.add(call.request().path);
  digest.add("\n");
  digest.add(body);
  result.digest = digest.finish();
  return result;
}

// A message with its recipients' values, unless its content is a stored one.
Spec<MessageSpec> read_message(std::string_view json, WallTime now) {
  auto spec = parse_message(json, now);
  if (!spec || !spec->message.content_name.empty()) return spec;
  std::string compiled = spec->message.content;
  auto content = mail::Content::load(compiled);
  if (!content) {
    return std::unexpected(FieldFault{"content", "cannot be used: " + content.error().message});
  }
  auto message = finish_message(std::move(*spec), *content);
  if (!message) return std::unexpected(message.error());
  return MessageSpec{std::move(*message), {}};
}

std::optional<RecipientState> recipient_state(std::string_view name) {
  for (auto state : {RecipientState::waiting, RecipientState::in_flight, RecipientState::delivered,
                     RecipientState::bounced, RecipientState::expired, RecipientState::cancelled}) {
    if (name == name_of(state)) return state;
  }
  return std::nullopt;
}

}  // namespace

struct Api::State : std::enable_shared_from_this<Api::State> {
  State(Loop& its_loop, Backend& its_backend, ApiOptions its_options)
      : loop(its_loop), backend(its_backend), options(its_options), slices(its_loop) {}

  using Handle = void (State::*)(const ApiCall& call);

  struct Route {
    Method method;
    const char* pattern;
    uint8_t scope;
    const char* query;
    Handle handle;
  };

  void add(http::Router& router, bool operators);
  void answer(const http::ExchangePtr& exchange, const Route& route, bool operators);
  bool identify(ApiCall& call, bool operators);

  void create_campaign(const ApiCall& call);
  void list_campaigns(const ApiCall& call);
  void get_campaign(const ApiCall& call);
  void start_campaign(const ApiCall& call) { command(call, CampaignCommand::start); }
  void close_campaign(const ApiCall& call) { command(call, CampaignCommand::close); }
  void pause_campaign(const ApiCall& call) { command(call, CampaignCommand::pause); }
  void resume_campaign(const ApiCall& call) { command(call, CampaignCommand::resume); }
  void cancel_campaign(const ApiCall& call) { command(call, CampaignCommand::cancel); }
  void command(const ApiCall& call, CampaignCommand command);
  void submit_batch(const ApiCall& call);
  void list_recipients(const ApiCall& call);
  void get_batch(const ApiCall& call);
  void send_message(const ApiCall& call);
  void submit(const ApiCall& call, IdempotencyKey key, MessageSpec spec);
  void find_recipients(const ApiCall& call);
  void erase_recipients(const ApiCall& call);
  void read_events(const ApiCall& call);

  void health(const http::ExchangePtr& exchange, bool ready_only);
  void metrics(const http::ExchangePtr& exchange);

  template <typename T>
  void compile(const ApiCall& call, std::string body,
               Spec<T> (*read)(std::string_view json, WallTime now),
               std::function<void(const std::string& body, T value)> done);

  Loop& loop;
  Backend& backend;
  ApiOptions options;
  Slices slices;
  uint32_t uploads = 0;
  size_t compiling = 0;
  bool stopping = false;
};

// ---- who asks --------------------------------------------------------------------------------

void Api::State::add(http::Router& router, bool operators) {
  static constexpr Route kRoutes[] = {
      {Method::post, "/v1/campaigns", kScopeSubmit, "", &State::create_campaign},
      {Method::get, "/v1/campaigns", kScopeRead, "after limit", &State::list_campaigns},
      {Method::get, "/v1/campaigns/{id}", kScopeRead, "", &State::get_campaign},
      {Method::post, "/v1/campaigns/{id}/recipients", kScopeSubmit, "", &State::submit_batch},
      {Method::get, "/v1/campaigns/{id}/recipients", kScopeRead, "state limit after",
       &State::list_recipients},
      {Method::post, "/v1/campaigns/{id}/start", kScopeSubmit, "", &State::start_campaign},
      {Method::post, "/v1/campaigns/{id}/close", kScopeSubmit, "", &State::close_campaign},
      {Method::post, "/v1/campaigns/{id}/pause", kScopeSubmit, "", &State::pause_campaign},
      {Method::post, "/v1/campaigns/{id}/resume", kScopeSubmit, "", &State::resume_campaign},
      {Method::post, "/v1/campaigns/{id}/cancel", kScopeSubmit, "", &State::cancel_campaign},
      {Method::get, "/v1/batches/{id}", kScopeRead, "", &State::get_batch},
      {Method::post, "/v1/messages", kScopeSubmit, "", &State::send_message},
      {Method::get, "/v1/recipients/{address}", kScopeRead, "", &State::find_recipients},
      {Method::remove, "/v1/recipients/{address}", kScopeAdmin, "", &State::erase_recipients},
      {Method::get, "/v1/events", kScopeRead, "after campaign type limit wait",
       &State::read_events},
  };
  auto self = shared_from_this();
  for (const Route& route : kRoutes) {
    router.add(route.method, route.pattern, [self, &route, operators](const auto& exchange) {
      self->answer(exchange, route, operators);
    });
  }
  router.add(Method::get, "/healthz",
             [self](const auto& exchange) { self->health(exchange, false); });
  router.add(Method::get, "/readyz",
             [self](const auto& exchange) { self->health(exchange, true); });
  router.add(Method::get, "/metrics", [self](const auto& exchange) { self->metrics(exchange); });
}

void Api::State::answer(const http::ExchangePtr& exchange, const Route& route, bool operators) {
  ApiCall call{exchange, {}};
  if (!identify(call, operators)) return;
  if ((call.caller.scopes & (route.scope | kScopeAdmin)) == 0) {
    call.refuse(403, "scope-missing", "this key has no scope '" + scopes_text(route.scope) + "'");
    return;
  }
  std::string query = route.query;
  if (operators) query += " tenant";
  if (!call.check_query(query)) return;
  if (route.method != Method::get && stopping) {
    call.refuse({.why = Refusal::stopping, .detail = "", .retry_after = Duration::seconds(5)});
    return;
  }
  (this->*route.handle)(call);
}

bool Api::State::identify(ApiCall& call, bool operators) {
  if (operators) {
    call.caller = {kEveryTenant, {}, kScopeSubmit | kScopeRead | kScopeAdmin};
    std::string_view name = call.request().query_value("tenant");
    if (name.empty()) return true;
    auto tenant = backend.find_tenant(name);
    if (!tenant) {
      call.refuse({.why = Refusal::not_found, .detail = "there is no such tenant"});
      return false;
    }
    call.caller.tenant = *tenant;
    call.caller.tenant_name = name;
    return true;
  }
  std::string_view header = call.request().header("authorization");
  constexpr std::string_view kScheme = "bearer ";
  bool is_bearer = header.size() > kScheme.size();
  for (size_t i = 0; is_bearer && i < kScheme.size(); ++i) {
    is_bearer = (header[i] | 0x20) == kScheme[i];
  }
  if (is_bearer) {
    if (auto hash = hash_key(header.substr(kScheme.size()))) {
      if (auto caller = backend.authenticate(*hash)) {
        call.caller = std::move(*caller);
        return true;
      }
    }
  }
  http::Response response =
      http::problem({.status = 401,
                     .detail = is_bearer ? "this key is unknown or was revoked"
                                         : "an API key is needed: Authorization: Bearer KEY"});
  response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"postring\"");
  call.exchange->respond(std::move(response));
  return false;
}

// ---- campaigns -------------------------------------------------------------------------------

// Reads a JSON body: small ones here, large ones on the helper thread, which may take its time.
template <typename T>
void Api::State::compile(const ApiCall& call, std::string body,
                         Spec<T> (*read)(std::string_view json, WallTime now),
                         std::function<void(const std::string& body, T value)> done) {
  auto finish = [call, done = std::move(done)](const std::string& text, Spec<T> spec) {
    if (spec) {
      done(text, std::move(*spec));
    } else {
      const FieldFault& fault = spec.error();
      call.exchange->respond(
          invalid_field(fault.field.empty() ? "body" : fault.field, fault.reason));
    }
  };
  if (body.size() <= kInlineBodyMax) {
    auto spec = read(body, loop.wall_now());
    finish(body, std::move(spec));
    return;
  }
  if (compiling == kCompilingMax) {
    call.refuse({.why = Refusal::busy, .detail = "too many large contents at a time"});
    return;
  }
  ++compiling;
  auto text = std::make_shared<std::string>(std::move(body));
  loop.offload().run([text, read, now = loop.wall_now()] { return read(*text, now); },
                     [self = shared_from_this(), text, finish](Spec<T> spec) {
                       --self->compiling;
                       finish(*text, std::move(spec));
                     });
}

void Api::State::create_campaign(const ApiCall& call) {
  auto key = call.idempotency_key();
  if (!key || !call.check_json_type() || !call.check_tenant()) return;
  auto create = [self = shared_from_this(), call, key = *key](const std::string& body,
                                                              NewCampaign campaign) {
    self->backend.create_campaign(call.caller, keyed(call, key, body), std::move(campaign),
                                  [call](Result<CampaignCreated, Refused> result) {
                                    if (!result) return call.refuse(result.error());
                                    http::Response response;
                                    response.status = 201;
                                    response.headers.emplace_back(
                                        "Location", "/v1/campaigns/" + mail::id_text(result->id));
                                    response.body = campaign_created_json(*result);
                                    call.exchange->respond(std::move(response));
                                  });
  };
  call.exchange->collect_body(
      kCampaignBodyMax, [self = shared_from_this(), call, create](std::string body) {
        self->compile<NewCampaign>(call, std::move(body), &parse_campaign, create);
      });
}

void Api::State::list_campaigns(const ApiCall& call) {
  auto after = call.query_id("after");
  if (!after) return;
  auto limit = call.limit(100, kCampaignsPageMax);
  if (!limit) return;
  backend.list_campaigns(call.caller, *after, *limit,
                         answering<CampaignPage>(call, 200, campaign_page_json));
}

void Api::State::get_campaign(const ApiCall& call) {
  auto id = call.id();
  if (!id) return;
  backend.get_campaign(call.caller, *id, answering<CampaignInfo>(call, 200, campaign_json));
}

void Api::State::command(const ApiCall& call, CampaignCommand command) {
  auto id = call.id();
  if (!id) return;
  backend.command_campaign(
      call.caller, *id, command,
      answering<CommandResult>(call, 200, [id = *id, command](const CommandResult& result) {
        return command_json(id, command, result);
      }));
}

// ---- batches and messages --------------------------------------------------------------------

void Api::State::submit_batch(const ApiCall& call) {
  auto id = call.id();
  if (!id) return;
  auto key = call.idempotency_key();
  if (!key) return;
  auto format = call.batch_format();
  if (!format) return;
  auto gzip = call.gzip();
  if (!gzip) return;
  if (uploads == options.uploads_max) {
    call.refuse({.why = Refusal::busy, .detail = "too many batches are coming in at a time"});
    return;
  }
  BatchUploadForm form;
  form.format = *format;
  form.gzip = *gzip;
  form.limits = options.batch;
  form.keyed = !key->empty();
  form.digest_prefix = call.request().path + (*format == BatchFormat::csv ? " csv\n" : " ndjson\n");
  ++uploads;
  form.ticket =
      std::shared_ptr<void>(nullptr, [self = shared_from_this()](void*) { --self->uploads; });
  backend.begin_batch(call.caller, *id, *key,
                      [self = shared_from_this(), call,
                       form = std::move(form)](Result<BatchBegun, Refused> begun) mutable {
                        if (!begun) return call.refuse(begun.error());
                        auto upload = std::make_shared<BatchUpload>(
                            self->slices, std::move(call.exchange), std::move(form),
                            std::move(*begun), self->loop.wall_now());
                        upload->start();
                      });
}

void Api::State::get_batch(const ApiCall& call) {
  auto id = call.id();
  if (!id) return;
  backend.get_batch(call.caller, *id, answering<BatchInfo>(call, 200, batch_json));
}

void Api::State::send_message(const ApiCall& call) {
  auto key = call.idempotency_key();
  if (!key || !call.check_json_type() || !call.check_tenant()) return;
  auto done = [self = shared_from_this(), call, key = *key](const std::string& body,
                                                            MessageSpec spec) {
    self->submit(call, keyed(call, key, body), std::move(spec));
  };
  call.exchange->collect_body(
      kMessageBodyMax, [self = shared_from_this(), call, done](std::string body) {
        self->compile<MessageSpec>(call, std::move(body), &read_message, done);
      });
}

void Api::State::submit(const ApiCall& call, IdempotencyKey key, MessageSpec spec) {
  if (spec.message.content_name.empty()) {
    backend.submit_message(call.caller, key, std::move(spec.message),
                           answering<MessageAccepted>(call, 202, message_json));
    return;
  }
  std::string name = spec.message.content_name;
  backend.find_content(
      call.caller, name,
      [self = shared_from_this(), call, key = std::move(key), spec = std::move(spec)](
          Result<std::shared_ptr<const mail::Content>, Refused> content) mutable {
        if (!content) return call.refuse(content.error());
        auto message = finish_message(std::move(spec), **content);
        if (!message) {
          call.exchange->respond(invalid_field(message.error().field, message.error().reason));
          return;
        }
        self->backend.submit_message(call.caller, key, std::move(*message),
                                     answering<MessageAccepted>(call, 202, message_json));
      });
}

// ---- questions -------------------------------------------------------------------------------

void Api::State::list_recipients(const ApiCall& call) {
  auto id = call.id();
  if (!id) return;
  auto limit = call.limit(100, kRecipientsPageMax);
  if (!limit) return;
  RecipientQuery query;
  query.campaign = *id;
  query.limit = *limit;
  query.after = call.request().query_value("after");
  if (call.request().has_query("state")) {
    query.state = recipient_state(call.request().query_value("state"));
    if (!query.state) {
      call.exchange->respond(invalid_field(
          "state", "must be waiting, in_flight, delivered, bounced, expired or cancelled"));
      return;
    }
  }
  backend.list_recipients(call.caller, query,
                          answering<RecipientPage>(call, 200, recipient_page_json));
}

void Api::State::find_recipients(const ApiCall& call) {
  auto address = mail::parse_address(call.request().parameter("address"));
  if (!address) {
    call.exchange->respond(invalid_field("address", "is none: " + address.error().message));
    return;
  }
  backend.find_recipients(call.caller, std::string(address->text()),
                          answering<std::vector<RecipientInfo>>(call, 200, recipients_json));
}

void Api::State::erase_recipients(const ApiCall& call) {
  auto address = mail::parse_address(call.request().parameter("address"));
  if (!address) {
    call.exchange->respond(invalid_field("address", "is none: " + address.error().message));
    return;
  }
  backend.erase_recipients(call.caller, std::string(address->text()),
                           answering<EraseResult>(call, 200, erase_json));
}

void Api::State::read_events(const ApiCall& call) {
  auto campaign = call.query_id("campaign");
  if (!campaign) return;
  auto limit = call.limit(1'000, kEventsPageMax);
  if (!limit) return;
  auto wait = call.wait(kEventsWaitMax);
  if (!wait) return;
  EventQuery query;
  query.after = call.request().query_value("after");
  query.campaign = *campaign;
  query.type = call.request().query_value("type");
  query.limit = *limit;
  query.wait = *wait;
  backend.read_events(call.caller, std::move(query), answering<EventPage>(call, 200, events_json));
}

void Api::State::health(const http::ExchangePtr& exchange, bool ready_only) {
  ApiCall call{exchange, {}};
  Health health = backend.health();
  bool good = !ready_only || (health.ready && !stopping);
  JsonWriter json;
  json.object().field("status", good ? "ok" : "not ready");
  json.field_unless_empty("reason", stopping ? "the daemon is being stopped" : health.reason);
  call.respond(good ? 200 : 503, json.end().take());
}

void Api::State::metrics(const http::ExchangePtr& exchange) {
  ApiCall call{exchange, {}};
  backend.metrics([call](Result<std::string, Refused> text) {
    if (!text) return call.refuse(text.error());
    http::Response response;
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = std::move(*text);
    call.exchange->respond(std::move(response));
  });
}

// ---- the outside -----------------------------------------------------------------------------

Api::Api(Loop& loop, Backend& backend, ApiOptions options)
    : state_(std::make_shared<State>(loop, backend, options)) {}
Api::~Api() = default;

void Api::add_routes(http::Router& router) {
  state_->add(router, false);
}
void Api::add_operator_routes(http::Router& router) {
  state_->add(router, true);
}
void Api::set_batch_limits(const BatchLimits& limits) {
  state_->options.batch = limits;
}

void Api::stop_submission() {
  state_->stopping = true;
}

}  // namespace postring::submission
