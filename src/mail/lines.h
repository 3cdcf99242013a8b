// Lines of a message: CRLF and nothing else, and dots doubled for DATA (RFC 5321 section 4.5.2).
#pragma once

#include <string>
#include <string_view>

namespace postring::mail {

constexpr size_t kLineMax = 998;  // without its CRLF, RFC 5322 section 2.1.1

// The text with every CRLF, bare CR and bare LF as one CRLF, and one at its end.
std::string normalise_lines(std::string_view text);

// The offset of the first NUL, CR without LF or LF without CR; npos where there is none.
size_t find_bad_line_end(std::string_view text);

// The offset of the first line longer than kLineMax; npos where there is none.
size_t find_long_line(std::string_view text);

// Appends `plain` with a dot doubled wherever one starts a line. `at_line_start` says whether the
// first byte does.
void append_stuffed(std::string_view plain, bool at_line_start, std::string& out);

// True if stuffing changes `plain`.
bool has_leading_dot(std::string_view plain, bool at_line_start);

// True if `stuffed` is what append_stuffed makes of `plain`.
bool is_stuffed(std::string_view plain, bool at_line_start, std::string_view stuffed);

}  // namespace postring::mail
