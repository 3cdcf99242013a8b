// JsonWriter: JSON out, in one pass, into a string. Commas and escapes are its business; the
// caller keeps objects and arrays balanced (checked when it ends).
//
//   JsonWriter json;
//   json.object().field("id", id).field("name", name).key("tags").array().value("a").end().end();
//   send(json.take());
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postring {

class JsonWriter {
 public:
  JsonWriter& object() { return open('{'); }
  JsonWriter& array() { return open('['); }
  // Closes the innermost object or array.
  JsonWriter& end();

  JsonWriter& key(std::string_view name);

  // Text must be UTF-8; bytes that are not become U+FFFD.
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  template <std::integral T>
  JsonWriter& value(T number) {
    if constexpr (std::same_as<T, bool>) {
      return raw(number ? "true" : "false");
    } else {
      return raw(std::to_string(number));
    }
  }
  JsonWriter& null() { return raw("null"); }
  // A value that is JSON already.
  JsonWriter& raw(std::string_view json);

  template <typename T>
  JsonWriter& field(std::string_view name, const T& v) {
    return key(name).value(v);
  }
  // The field is left out where the text is empty.
  JsonWriter& field_unless_empty(std::string_view name, std::string_view text) {
    return text.empty() ? *this : field(name, text);
  }

  // The document; every object and array must be closed.
  std::string take();

 private:
  JsonWriter& open(char bracket);
  void separate();

  std::string text_;
  std::vector<char> closers_;
  bool need_comma_ = false;
};

}  // namespace postring
