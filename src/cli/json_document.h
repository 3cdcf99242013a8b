// JsonDocument and JsonView: reading an answer of the server. What is missing or of another kind
// reads as empty, zero or false: the commands show what there is.
//
//   auto document = JsonDocument::parse(answer.body);
//   for (JsonView campaign : document->root().list("campaigns")) say(campaign.text("name"));
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace postring::cli {

// A value within a document; valid as long as that.
class JsonView {
 public:
  JsonView() = default;
  explicit JsonView(simdjson::dom::element element) : element_(element), there_(true) {}

  // Paths are names joined by dots: "counts.delivered".
  JsonView at(std::string_view path) const;
  bool has(std::string_view path) const { return at(path).there_; }
  bool is_null() const { return !there_ || element_.is_null(); }
  // Numbers and truth values as their text, lists of texts joined by commas.
  std::string text(std::string_view path) const;
  int64_t number(std::string_view path) const;
  bool boolean(std::string_view path) const;
  std::vector<JsonView> list(std::string_view path) const;
  // As JSON again.
  std::string raw() const;

 private:
  std::string as_text() const;

  simdjson::dom::element element_;
  bool there_ = false;
};

class JsonDocument {
 public:
  static Result<JsonDocument> parse(std::string_view json);
  JsonView root() const { return root_; }

 private:
  std::unique_ptr<simdjson::dom::parser> parser_;
  JsonView root_;
};

}  // namespace postring::cli
