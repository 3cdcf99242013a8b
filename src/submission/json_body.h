// JsonBody: a JSON object of a request, field by field, strictly: every field must be asked for,
// and a wrong type or an unknown field is a fault with its path.
//
//   auto body = JsonBody::parse(text);
//   JsonObject root = body->root();
//   std::string name = root.text("name", kNameMax);
//   if (auto fault = root.finish()) ...      // the first fault of the whole body
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/units.h"
#include "submission/spec.h"

namespace postring::submission {

class JsonValue;

// A view of an object in a JsonBody. Objects of one body share the first fault.
class JsonObject {
 public:
  struct State;

  bool has(std::string_view name);
  // Absent or null: empty. Longer than `size_max` bytes is a fault.
  std::string text(std::string_view name, size_t size_max);
  std::string required_text(std::string_view name, size_t size_max);
  std::optional<bool> boolean(std::string_view name);
  WallTime time(std::string_view name);      // RFC 3339; not set where absent
  Duration duration(std::string_view name);  // "3d"; 0 where absent
  // Absent: no call and false. Not an object: a fault.
  bool object(std::string_view name, const std::function<void(JsonObject&)>& read);
  // The elements of an array, or the one value where it is none.
  void each(std::string_view name, size_t count_max, const std::function<void(JsonValue&)>& read);
  // The members of an object in their order.
  void members(std::string_view name, size_t count_max,
               const std::function<void(std::string_view name, JsonValue&)>& read);

  // Faults on fields that nobody asked for.
  void finish();
  void fail(std::string_view name, std::string reason);
  bool failed() const;

 private:
  friend class JsonBody;
  friend class JsonValue;
  explicit JsonObject(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

// One element of an array or member of an object.
class JsonValue {
 public:
  struct State;

  bool is_object() const;
  bool is_text() const;
  std::string text(size_t size_max);
  // A text, or a number, true or false as written; nothing for null; others are faults.
  std::optional<std::string> scalar(size_t size_max);
  void object(const std::function<void(JsonObject&)>& read);
  void fail(std::string reason);

 private:
  friend class JsonObject;
  explicit JsonValue(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

class JsonBody {
 public:
  struct State;

  static Spec<JsonBody> parse(std::string_view json);
  JsonObject root();
  const std::optional<FieldFault>& fault() const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace postring::submission
