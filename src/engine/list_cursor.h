// ListCursor: where a list of a campaign's recipients goes on.
//
// The live recipients come first, slice by slice, then the finished ones as the event log has them:
//
//     text := "live-" slice "-" cursor of the home | "done-" cursor of the event log | ""
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mail/ids.h"

namespace postring::engine {

struct ListCursor {
  SliceNumber slice = 0;  // live: slices below it are done with
  uint64_t after = 0;     // live: the home's own cursor
  bool finished = false;
  std::string events;  // finished: the event log's cursor, empty for its start
};

// "" is the start; nothing for what is no cursor.
std::optional<ListCursor> parse_list_cursor(std::string_view text);
std::string live_cursor(const ListCursor& cursor);
std::string finished_cursor(std::string_view events);

}  // namespace postring::engine
