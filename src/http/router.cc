#include "http/router.h"

#include <array>
#include <map>

#include "base/check.h"
#include "http/problem.h"
#include "http/url.h"

namespace postring::http {
namespace {

constexpr size_t kMethods = static_cast<size_t>(Method::other) + 1;
constexpr size_t kSegmentsMax = 16;

// "/a/b" -> {"a", "b"}; nothing where there are too many or the path does not begin with '/'.
std::optional<std::vector<std::string_view>> split(std::string_view path) {
  std::vector<std::string_view> segments;
  if (path.empty() || path.front() != '/') return std::nullopt;
  path.remove_prefix(1);
  while (true) {
    size_t slash = path.find('/');
    if (segments.size() == kSegmentsMax) return std::nullopt;
    segments.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return segments;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

struct Router::Node {
  std::map<std::string, std::unique_ptr<Node>, std::less<>> fixed;
  std::unique_ptr<Node> any;
  std::string any_name;
  std::array<Handler, kMethods> handlers;

  bool answers_anything() const {
    for (const Handler& handler : handlers) {
      if (handler) return true;
    }
    return false;
  }

  // The node for the segments from `depth` on; `names` collects what stood for {names}.
  const Node* find(const std::vector<std::string>& segments, size_t depth,
                   std::vector<Header>& names) const {
    if (depth == segments.size()) return answers_anything() ? this : nullptr;
    auto next = fixed.find(segments[depth]);
    if (next != fixed.end()) {
      if (const Node* found = next->second->find(segments, depth + 1, names)) return found;
    }
    if (any == nullptr || segments[depth].empty()) return nullptr;
    names.emplace_back(any_name, segments[depth]);
    if (const Node* found = any->find(segments, depth + 1, names)) return found;
    names.pop_back();
    return nullptr;
  }
};

Router::Router() : root_(std::make_unique<Node>()) {}
Router::~Router() = default;

void Router::add(Method method, std::string_view pattern, Handler handler) {
  CHECK(handler != nullptr);
  auto segments = split(pattern);
  CHECK(segments.has_value(), "a pattern begins with '/' and has few segments");
  Node* node = root_.get();
  for (std::string_view segment : *segments) {
    if (segment.starts_with('{')) {
      CHECK(segment.size() > 2 && segment.ends_with('}'));
      std::string_view name = segment.substr(1, segment.size() - 2);
      if (node->any == nullptr) {
        node->any = std::make_unique<Node>();
        node->any_name = name;
      }
      CHECK(node->any_name == name, "one place of a path has one name");
      node = node->any.get();
    } else {
      auto& next = node->fixed[std::string(segment)];
      if (next == nullptr) next = std::make_unique<Node>();
      node = next.get();
    }
  }
  Handler& place = node->handlers[static_cast<size_t>(method)];
  CHECK(place == nullptr, "a route is added once");
  place = std::move(handler);
  routes_.push_back(std::string(name_of(method)) + " " + std::string(pattern));
}

void Router::route(const ExchangePtr& exchange) const {
  Request& request = exchange->edit_request();
  std::vector<std::string> segments;
  if (auto raw = split(request.path)) {
    for (std::string_view segment : *raw) {
      auto decoded = percent_decode(segment);
      if (!decoded) {
        exchange->respond(problem({.status = 400, .detail = "the path has a wrong %-escape"}));
        return;
      }
      segments.push_back(std::move(*decoded));
    }
  }
  std::vector<Header> names;
  const Node* node = segments.empty() ? nullptr : root_->find(segments, 0, names);
  if (node == nullptr) {
    exchange->respond(problem({.status = 404, .detail = "there is nothing at this path"}));
    return;
  }
  Method method = request.method == Method::head ? Method::get : request.method;
  const Handler& handler = node->handlers[static_cast<size_t>(method)];
  if (handler != nullptr) {
    request.parameters = std::move(names);
    handler(exchange);
    return;
  }
  std::string allowed;
  for (size_t i = 0; i < kMethods; ++i) {
    if (node->handlers[i] == nullptr) continue;
    if (!allowed.empty()) allowed += ", ";
    allowed += name_of(static_cast<Method>(i));
    if (static_cast<Method>(i) == Method::get) allowed += ", HEAD";
  }
  Response response = problem({.status = 405, .detail = "this path takes " + allowed});
  response.headers.emplace_back("Allow", allowed);
  exchange->respond(std::move(response));
}

std::vector<std::string> Router::routes() const {
  return routes_;
}

}  // namespace postring::http
