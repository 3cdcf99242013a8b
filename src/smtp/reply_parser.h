// ReplyParser: SMTP replies (RFC 5321 4.2) out of a stream cut anywhere.
//
//   parser.feed(bytes);
//   while (true) switch (parser.next()) {
//     case ReplyParser::Event::line: use(parser.line()); break;   // a line of an unfinished reply
//     case ReplyParser::Event::reply: use(parser.reply()); break; // its last line has come
//     case ReplyParser::Event::more: return;                      // feed again
//     case ReplyParser::Event::broken: give_up(parser.why()); return;
//   }
//
// Every line is reported once: all but the last as `line`, the last with `reply`; line() is the
// text behind the code and separator in both cases. Views are valid until the next call.
//
// Liberal where servers are known to be sloppy: a bare LF ends a line, a code needs no text, the
// codes of one reply may differ within a class (the last counts), bytes that are no valid UTF-8 or
// are controls become '?' or ' ' in the reply's text. Broken, for good: a line that starts with
// anything but a code 200 to 599 and one of SP, '-', end of line; codes of two classes in one
// reply; and whatever exceeds smtp/limits.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mail/outcome.h"
#include "smtp/limits.h"

namespace postring::smtp {

class ReplyParser {
 public:
  enum class Event : uint8_t { more, line, reply, broken };

  // Gives the next bytes; those of the last feed() must have been used up (next() said `more`).
  // They must stay in place until next() says `more` again.
  void feed(std::string_view bytes);
  Event next();

  std::string_view line() const { return line_; }
  // The lines' texts joined by spaces, without codes and enhanced codes (mail/status.h), cut to
  // kReplyTextMax; the first enhanced code counts.
  const Reply& reply() const { return reply_; }
  const char* why() const { return why_; }

 private:
  Event take_line(std::string_view line);
  Event fail(const char* why);
  void append_text(std::string_view text);

  std::string_view rest_;
  std::string partial_;  // a line whose end has not come
  std::string_view line_;
  Reply reply_;
  bool partial_used_ = false;  // line_ may point into partial_
  size_t lines_ = 0;           // of the reply that has begun
  size_t reply_bytes_ = 0;
  const char* why_ = nullptr;
};

// Makes `text` one line of valid UTF-8 of at most kReplyTextMax bytes, in place.
void clean_reply_text(std::string& text);

}  // namespace postring::smtp
