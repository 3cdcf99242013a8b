#include "cli/json_document.h"

#include <fmt/format.h>

namespace postring::cli {

JsonView JsonView::at(std::string_view path) const {
  JsonView view = *this;
  while (!path.empty() && view.there_) {
    size_t dot = std::min(path.find('.'), path.size());
    simdjson::dom::element next;
    bool found = view.element_.is_object() &&
                 view.element_.at_key(path.substr(0, dot)).get(next) == simdjson::SUCCESS;
    view = found ? JsonView(next) : JsonView();
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return view;
}

std::string JsonView::as_text() const {
  if (!there_) return {};
  switch (element_.type()) {
    case simdjson::dom::element_type::STRING:
      return std::string(std::string_view(element_));
    case simdjson::dom::element_type::NULL_VALUE:
    case simdjson::dom::element_type::OBJECT:
      return {};
    case simdjson::dom::element_type::ARRAY: {
      std::string out;
      for (simdjson::dom::element one : simdjson::dom::array(element_))
        out += (out.empty() ? "" : ",") + JsonView(one).as_text();
      return out;
    }
    default:
      return simdjson::minify(element_);
  }
}

std::string JsonView::text(std::string_view path) const {
  return at(path).as_text();
}

int64_t JsonView::number(std::string_view path) const {
  JsonView view = at(path);
  int64_t value = 0;
  if (!view.there_ || view.element_.get(value) != simdjson::SUCCESS) return 0;
  return value;
}

bool JsonView::boolean(std::string_view path) const {
  JsonView view = at(path);
  bool value = false;
  return view.there_ && view.element_.get(value) == simdjson::SUCCESS && value;
}

std::vector<JsonView> JsonView::list(std::string_view path) const {
  std::vector<JsonView> found;
  JsonView view = at(path);
  simdjson::dom::array array;
  if (!view.there_ || view.element_.get(array) != simdjson::SUCCESS) return found;
  for (simdjson::dom::element one : array) found.emplace_back(one);
  return found;
}

std::string JsonView::raw() const {
  return there_ ? simdjson::minify(element_) : "null";
}

Result<JsonDocument> JsonDocument::parse(std::string_view json) {
  JsonDocument document;
  document.parser_ = std::make_unique<simdjson::dom::parser>();
  simdjson::dom::element element;
  auto error = document.parser_->parse(json.data(), json.size()).get(element);
  if (error != simdjson::SUCCESS)
    return fail(fmt::format("the answer is no JSON: {}", simdjson::error_message(error)));
  document.root_ = JsonView(element);
  return document;
}

}  // namespace postring::cli
