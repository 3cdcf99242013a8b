// What is read of the daemon's JSON answers. A path names a member of members: "/counts/accepted".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postring::sim {

std::optional<std::string> json_text(std::string_view json, std::string_view path);
std::optional<uint64_t> json_number(std::string_view json, std::string_view path);

struct EventPage {
  struct Event {
    std::string id, type, address;  // no address: it is about a campaign, or erased
    uint64_t attempt = 0;
    bool possible_duplicate = false;
    std::string logged;  // RFC 3339
    bool erased = false;
    std::string json;
  };
  std::string next;
  std::vector<Event> events;
};
std::optional<EventPage> json_events(std::string_view json);

}  // namespace postring::sim
