#include "engine/list_cursor.h"

#include <charconv>

namespace postring::engine {
namespace {

constexpr std::string_view kLive = "live-";
constexpr std::string_view kDone = "done-";

}  // namespace

std::optional<ListCursor> parse_list_cursor(std::string_view text) {
  ListCursor cursor;
  if (text.empty()) return cursor;
  if (text.starts_with(kDone)) {
    cursor.finished = true;
    cursor.events = text.substr(kDone.size());
    return cursor;
  }
  if (!text.starts_with(kLive)) return std::nullopt;
  const char* end = text.data() + text.size();
  auto slice = std::from_chars(text.data() + kLive.size(), end, cursor.slice);
  if (slice.ec != std::errc{} || slice.ptr == end || *slice.ptr != '-') return std::nullopt;
  auto after = std::from_chars(slice.ptr + 1, end, cursor.after);
  if (after.ec != std::errc{} || after.ptr != end) return std::nullopt;
  return cursor;
}

std::string live_cursor(const ListCursor& cursor) {
  return std::string(kLive) + std::to_string(cursor.slice) + "-" + std::to_string(cursor.after);
}

std::string finished_cursor(std::string_view events) { return std::string(kDone) += events; }

}  // namespace postring::engine
