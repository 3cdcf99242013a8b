#include "base/time_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

namespace postring {
namespace {

struct Parts {
  std::chrono::year_month_day date;
  int64_t second_of_day;
  int64_t us;
};

Parts parts_of(WallTime time) {
  int64_t seconds = time.us / 1'000'000;
  int64_t us = time.us % 1'000'000;
  if (us < 0) {
    us += 1'000'000;
    --seconds;
  }
  int64_t day = seconds / 86'400;
  int64_t second_of_day = seconds % 86'400;
  if (second_of_day < 0) {
    second_of_day += 86'400;
    --day;
  }
  std::chrono::sys_days days{std::chrono::days{day}};
  return {std::chrono::year_month_day{days}, second_of_day, us};
}

// Reads exactly `count` digits at `at`; -1 where there are none.
int digits(std::string_view text, size_t at, size_t count) {
  if (at + count > text.size()) return -1;
  int value = 0;
  for (size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

constexpr std::string_view kTimeForm =
    "expected an RFC 3339 time with offset, as 2026-03-01T09:30:00Z";

// Seconds east of UTC of "Z" or "+hh:mm" at the end of a time.
Result<int64_t> offset_of(std::string_view zone) {
  if (zone == "Z" || zone == "z") return 0;
  if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':') {
    return fail(std::string(kTimeForm));
  }
  int hours = digits(zone, 1, 2);
  int minutes = digits(zone, 4, 2);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return fail(std::string(kTimeForm));
  int64_t seconds = hours * 3'600 + minutes * 60;
  return zone[0] == '-' ? -seconds : seconds;
}

// `count` decimal digits of a number that has no more.
void put_digits(char* out, size_t count, int64_t number) {
  for (size_t at = count; at-- > 0; number /= 10) out[at] = static_cast<char>('0' + number % 10);
}

}  // namespace

std::string rfc3339(WallTime time) {
  Parts p = parts_of(time);
  std::string text = "0000-00-00T00:00:00.000Z";
  // Other years have no form: parse_rfc3339() knows none either.
  put_digits(&text[0], 4, std::clamp(static_cast<int>(p.date.year()), 0, 9'999));
  put_digits(&text[5], 2, static_cast<unsigned>(p.date.month()));
  put_digits(&text[8], 2, static_cast<unsigned>(p.date.day()));
  put_digits(&text[11], 2, p.second_of_day / 3'600);
  put_digits(&text[14], 2, p.second_of_day / 60 % 60);
  put_digits(&text[17], 2, p.second_of_day % 60);
  put_digits(&text[20], 3, p.us / 1'000);
  return text;
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  int year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
  int hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
  bool marks = text.size() >= 20 && text[4] == '-' && text[7] == '-' &&
               (text[10] == 'T' || text[10] == 't') && text[13] == ':' && text[16] == ':';
  if (!marks || year < 0 || month < 0 || day < 0) return fail(std::string(kTimeForm));
  std::chrono::year_month_day date{std::chrono::year{year},
                                   std::chrono::month{static_cast<unsigned>(month)},
                                   std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok() || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 ||
      second > 60) {
    return fail(std::string(kTimeForm));
  }
  size_t at = 19;
  int64_t us = 0;
  if (text[at] == '.') {
    size_t first = ++at;
    for (int64_t unit = 100'000; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
      us += unit * (text[at] - '0');
      unit /= 10;
    }
    if (at == first) return fail(std::string(kTimeForm));
  }
  auto offset = offset_of(text.substr(at));
  if (!offset) return std::unexpected(offset.error());
  int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
  int64_t seconds = days * 86'400 + hour * 3'600 + minute * 60 + second - *offset;
  return WallTime{seconds * 1'000'000 + us};
}

std::string rfc5322_date(WallTime time) {
  static constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed",
                                                            "Thu", "Fri", "Sat"};
  static constexpr std::array<std::string_view, 12> kMonths = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  Parts p = parts_of(time);
  std::chrono::weekday weekday{std::chrono::sys_days{p.date}};
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} +0000", kDays[weekday.c_encoding()],
                     static_cast<unsigned>(p.date.day()),
                     kMonths[static_cast<unsigned>(p.date.month()) - 1],
                     static_cast<int>(p.date.year()), p.second_of_day / 3'600,
                     p.second_of_day / 60 % 60, p.second_of_day % 60);
}

Result<Duration> parse_duration(std::string_view text) {
  int64_t count = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  int64_t us = unit == "ms"  ? 1'000
               : unit == "s" ? 1'000'000
               : unit == "m" ? 60'000'000
               : unit == "h" ? 3'600'000'000
               : unit == "d" ? 86'400'000'000
                             : 0;
  if (error != std::errc{} || us == 0 || count < 0 || count > INT64_MAX / us) {
    return fail(fmt::format("'{}' is no duration: expected a number and ms, s, m, h or d", text));
  }
  return Duration{count * us};
}

std::string duration_text(Duration duration) {
  static constexpr std::array<std::pair<int64_t, std::string_view>, 4> kUnits = {
      {{86'400'000'000, "d"}, {3'600'000'000, "h"}, {60'000'000, "m"}, {1'000'000, "s"}}};
  for (auto [us, unit] : kUnits) {
    if (duration.us == 0 || duration.us % us != 0) continue;
    return fmt::format("{}{}", duration.us / us, unit);
  }
  return fmt::format("{}ms", duration.us / 1'000);
}

}  // namespace postring
