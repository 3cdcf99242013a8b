#include "submission/json_body.h"

#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <set>

#include "base/time_text.h"

namespace postring::submission {
namespace dom = simdjson::dom;
namespace {

constexpr size_t kDepthMax = 32;

std::string join(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

}  // namespace

struct JsonBody::State {
  dom::parser parser;
  dom::object root;
  std::optional<FieldFault> fault;

  void fail(std::string field, std::string reason) {
    if (!fault) fault = FieldFault{std::move(field), std::move(reason)};
  }
};

struct JsonObject::State {
  std::shared_ptr<JsonBody::State> body;
  dom::object object;
  std::string path;
  std::set<std::string, std::less<>> asked;

  // The member, unless it is absent or null; remembers that it was asked for.
  std::optional<dom::element> find(std::string_view name) {
    asked.emplace(name);
    dom::element element;
    if (object.at_key(name).get(element) != simdjson::SUCCESS) return std::nullopt;
    if (element.is_null()) return std::nullopt;
    return element;
  }
};

struct JsonValue::State {
  std::shared_ptr<JsonBody::State> body;
  dom::element element;
  std::string path;
};

Spec<JsonBody> JsonBody::parse(std::string_view json) {
  JsonBody body;
  body.state_ = std::make_shared<State>();
  State& state = *body.state_;
  if (state.parser.allocate(std::max<size_t>(json.size(), 64), kDepthMax) != simdjson::SUCCESS) {
    return std::unexpected(FieldFault{"", "there is no memory to read it"});
  }
  dom::element element;
  auto error = state.parser.parse(json.data(), json.size()).get(element);
  if (error != simdjson::SUCCESS) {
    return std::unexpected(
        FieldFault{"", std::string("is not JSON: ") + simdjson::error_message(error)});
  }
  if (element.get(state.root) != simdjson::SUCCESS) {
    return std::unexpected(FieldFault{"", "must be a JSON object"});
  }
  return body;
}

JsonObject JsonBody::root() {
  auto state = std::make_shared<JsonObject::State>();
  state->body = state_;
  state->object = state_->root;
  return JsonObject(std::move(state));
}

const std::optional<FieldFault>& JsonBody::fault() const {
  return state_->fault;
}

bool JsonObject::has(std::string_view name) {
  return state_->find(name).has_value();
}

std::string JsonObject::text(std::string_view name, size_t size_max) {
  auto element = state_->find(name);
  if (!element) return {};
  std::string_view value;
  if (element->get(value) != simdjson::SUCCESS) {
    fail(name, "must be text");
  } else if (value.size() > size_max) {
    fail(name, "is longer than " + std::to_string(size_max) + " bytes");
  } else {
    return std::string(value);
  }
  return {};
}

std::string JsonObject::required_text(std::string_view name, size_t size_max) {
  std::string value = text(name, size_max);
  if (value.empty()) fail(name, "is missing");
  return value;
}

std::optional<bool> JsonObject::boolean(std::string_view name) {
  auto element = state_->find(name);
  if (!element) return std::nullopt;
  bool value = false;
  if (element->get(value) == simdjson::SUCCESS) return value;
  fail(name, "must be true or false");
  return std::nullopt;
}

WallTime JsonObject::time(std::string_view name) {
  std::string value = text(name, 64);
  if (value.empty()) return {};
  auto parsed = parse_rfc3339(value);
  if (parsed) return *parsed;
  fail(name, "must be an RFC 3339 time with an offset");
  return {};
}

Duration JsonObject::duration(std::string_view name) {
  std::string value = text(name, 64);
  if (value.empty()) return {};
  auto parsed = parse_duration(value);
  if (parsed && *parsed > Duration{}) return *parsed;
  fail(name, "must be a duration such as 90s, 5m, 3h or 2d");
  return {};
}

bool JsonObject::object(std::string_view name, const std::function<void(JsonObject&)>& read) {
  auto element = state_->find(name);
  if (!element) return false;
  auto inner = std::make_shared<State>();
  inner->body = state_->body;
  inner->path = join(state_->path, name);
  if (element->get(inner->object) != simdjson::SUCCESS) {
    fail(name, "must be an object");
    return false;
  }
  JsonObject object(std::move(inner));
  read(object);
  object.finish();
  return true;
}

void JsonObject::each(std::string_view name, size_t count_max,
                      const std::function<void(JsonValue&)>& read) {
  auto element = state_->find(name);
  if (!element) return;
  std::string path = join(state_->path, name);
  auto read_one = [&](dom::element one, std::string where) {
    auto inner = std::make_shared<JsonValue::State>();
    inner->body = state_->body;
    inner->element = one;
    inner->path = std::move(where);
    JsonValue value(std::move(inner));
    read(value);
  };
  dom::array array;
  if (element->get(array) != simdjson::SUCCESS) {
    read_one(*element, path);
    return;
  }
  if (array.size() > count_max) {
    fail(name, "has more than " + std::to_string(count_max) + " entries");
    return;
  }
  size_t index = 0;
  for (dom::element one : array) {
    if (failed()) return;
    read_one(one, path + "[" + std::to_string(index++) + "]");
  }
}

void JsonObject::members(std::string_view name, size_t count_max,
                         const std::function<void(std::string_view name, JsonValue&)>& read) {
  auto element = state_->find(name);
  if (!element) return;
  dom::object object;
  if (element->get(object) != simdjson::SUCCESS) {
    fail(name, "must be an object");
    return;
  }
  if (object.size() > count_max) {
    fail(name, "has more than " + std::to_string(count_max) + " members");
    return;
  }
  std::string path = join(state_->path, name);
  for (dom::key_value_pair member : object) {
    if (failed()) return;
    auto inner = std::make_shared<JsonValue::State>();
    inner->body = state_->body;
    inner->element = member.value;
    inner->path = join(path, member.key);
    JsonValue value(std::move(inner));
    read(member.key, value);
  }
}

void JsonObject::finish() {
  if (failed()) return;
  std::set<std::string_view> seen;
  for (dom::key_value_pair member : state_->object) {
    if (!state_->asked.contains(member.key)) {
      fail(member.key, "is not a field here");
    } else if (!seen.insert(member.key).second) {
      fail(member.key, "is given twice");
    }
  }
}

void JsonObject::fail(std::string_view name, std::string reason) {
  state_->body->fail(join(state_->path, name), std::move(reason));
}

bool JsonObject::failed() const {
  return state_->body->fault.has_value();
}

bool JsonValue::is_object() const {
  return state_->element.is_object();
}
bool JsonValue::is_text() const {
  return state_->element.is_string();
}

std::string JsonValue::text(size_t size_max) {
  std::string_view value;
  if (state_->element.get(value) != simdjson::SUCCESS) {
    fail("must be text");
  } else if (value.size() > size_max) {
    fail("is longer than " + std::to_string(size_max) + " bytes");
  } else {
    return std::string(value);
  }
  return {};
}

std::optional<std::string> JsonValue::scalar(size_t size_max) {
  switch (state_->element.type()) {
    case dom::element_type::STRING:
      return text(size_max);
    case dom::element_type::NULL_VALUE:
      return std::nullopt;
    case dom::element_type::BOOL:
      return state_->element.get_bool().value_unsafe() ? "true" : "false";
    case dom::element_type::INT64:
      return std::to_string(state_->element.get_int64().value_unsafe());
    case dom::element_type::UINT64:
      return std::to_string(state_->element.get_uint64().value_unsafe());
    case dom::element_type::DOUBLE:
      fail("must be text where it is a number with a fraction or exponent");
      return std::nullopt;
    default:
      fail("must be text, a whole number, true, false or null");
      return std::nullopt;
  }
}

void JsonValue::object(const std::function<void(JsonObject&)>& read) {
  auto inner = std::make_shared<JsonObject::State>();
  inner->body = state_->body;
  inner->path = state_->path;
  if (state_->element.get(inner->object) != simdjson::SUCCESS) {
    fail("must be an object");
    return;
  }
  JsonObject object(std::move(inner));
  read(object);
  object.finish();
}

void JsonValue::fail(std::string reason) {
  state_->body->fail(state_->path, std::move(reason));
}

}  // namespace postring::submission
