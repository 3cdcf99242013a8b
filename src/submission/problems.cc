#include "submission/problems.h"

#include "base/json_writer.h"

namespace postring::submission {
namespace {

struct Kind {
  uint16_t status;
  std::string_view type;
  const char* title;
};

Kind kind_of(Refusal why) {
  switch (why) {
    case Refusal::not_found:
      return {404, "not-found", "Not found"};
    case Refusal::wrong_state:
      return {409, "wrong-state", "The campaign's state does not allow it"};
    case Refusal::key_busy:
      return {409, "idempotency-key-busy", "The first request is still at work"};
    case Refusal::key_reused:
      return {422, "idempotency-key-reused", "Idempotency-Key with another body"};
    case Refusal::invalid:
      return {422, "invalid", "This cannot be done"};
    case Refusal::cursor_gone:
      return {410, "cursor-gone", "Events before the cursor are not kept"};
    case Refusal::busy:
      return {503, "busy", "Too much at once, try again"};
    case Refusal::stopping:
      return {503, "stopping", "The daemon is being stopped"};
    case Refusal::no_space:
      return {507, "no-space", "The disk is filling"};
    case Refusal::failed:
      return {500, "failed", "The spool could not be written"};
  }
  return {500, "failed", "Failed"};
}

bool may_be_repeated(Refusal why) {
  return why == Refusal::busy || why == Refusal::stopping || why == Refusal::no_space ||
         why == Refusal::key_busy;
}

}  // namespace

http::Response answer_of(const Refused& refused) {
  Kind kind = kind_of(refused.why);
  http::Problem problem{.status = kind.status, .type = kind.type, .title = kind.title};
  problem.detail = refused.detail;
  problem.retry_after = refused.retry_after;
  if (may_be_repeated(refused.why) && problem.retry_after <= Duration{}) {
    problem.retry_after = Duration::seconds(1);
  }
  if (refused.why == Refusal::cursor_gone) {
    JsonWriter json;
    json.object().field("oldest_cursor", refused.oldest_cursor);
    std::string extra = json.field("missed", refused.events_missed).end().take();
    problem.extra = extra.substr(1, extra.size() - 2);
  }
  return http::problem(problem);
}

http::Response invalid_field(const std::string& field, const std::string& reason) {
  JsonWriter json;
  std::string extra = json.object().field("field", field).end().take();
  return http::problem({.status = 422,
                        .type = "invalid-field",
                        .title = "A field is wrong",
                        .detail = field + " " + reason,
                        .extra = extra.substr(1, extra.size() - 2)});
}

}  // namespace postring::submission
