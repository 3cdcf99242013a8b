// Time as text: RFC 3339 for the API and events, RFC 5322 for the Date header, and durations as
// people write them in a configuration ("90s", "5m", "3h", "2d", "250ms").
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

namespace postring {

// "2026-03-01T09:30:00.250Z": UTC, milliseconds, always 24 characters (years 0000 to 9999).
std::string rfc3339(WallTime time);

// RFC 3339 section 5.6 date-time with a required offset; fractions are cut to microseconds.
Result<WallTime> parse_rfc3339(std::string_view text);

// "Sun, 01 Mar 2026 09:30:00 +0000" (RFC 5322 section 3.3).
std::string rfc5322_date(WallTime time);

// A number and one unit of ms, s, m, h, d. Nothing else: "5 m" and "5" are errors.
Result<Duration> parse_duration(std::string_view text);

// The shortest exact form parse_duration reads back: "90s", "1500ms".
std::string duration_text(Duration duration);

}  // namespace postring
