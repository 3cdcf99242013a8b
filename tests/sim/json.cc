#include "sim/json.h"

#include <simdjson.h>

namespace postring::sim {

std::optional<std::string> json_text(std::string_view json, std::string_view path) {
  simdjson::dom::parser parser;
  std::string_view value;
  if (parser.parse(json.data(), json.size()).at_pointer(path).get(value)) return std::nullopt;
  return std::string(value);
}

std::optional<uint64_t> json_number(std::string_view json, std::string_view path) {
  simdjson::dom::parser parser;
  uint64_t value = 0;
  if (parser.parse(json.data(), json.size()).at_pointer(path).get(value)) return std::nullopt;
  return value;
}

std::optional<EventPage> json_events(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::dom::element page;
  simdjson::dom::array events;
  std::string_view next;
  if (parser.parse(json.data(), json.size()).get(page) || page["events"].get(events) ||
      page["next"].get(next)) {
    return std::nullopt;
  }
  EventPage out;
  out.next = next;
  for (simdjson::dom::element event : events) {
    std::string_view id, type, address;
    if (event["id"].get(id) || event["type"].get(type)) return std::nullopt;
    if (event["address"].get(address)) address = {};
    uint64_t attempt = 0;
    bool possible_duplicate = false;
    if (event["possible_duplicate"].get(possible_duplicate)) possible_duplicate = false;
    std::string_view logged;
    if (event["attempt"].get(attempt)) attempt = 0;
    if (event["logged"].get(logged)) return std::nullopt;
    bool erased = false;
    if (event["erased"].get(erased)) erased = false;
    out.events.push_back({std::string(id), std::string(type), std::string(address), attempt,
                          possible_duplicate, std::string(logged), erased,
                          simdjson::minify(event)});
  }
  return out;
}

}  // namespace postring::sim
