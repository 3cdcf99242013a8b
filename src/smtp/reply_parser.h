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
// Every line is reported once: all but the last as `line`, the last with `reply`; line() is the text
// behind the code and separator in both cases. Views are valid until the next call.
//
// Liberal where servers are known to be sloppy: a bare LF ends a line, a code needs no text, the
// codes of one reply may differ within a class (the last counts), bytes that are no valid UTF-8 or
// are controls become '?' or ' ' in the reply's text. Broken, for good: a line that starts with
// anything but a code 200 to 599 and one of SP, '-', end of line; codes of two classes in one reply;
// and whatever exceeds smtp/limits.h.
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

  // Gives the next bytes; those of the last feed() must have been used up (next() said `more`). They
  // must stay in place until next() says `more` again.
  void feed(std::string_view bytes);
  Event next();

  std::string_view line() const { return line_; }
  // The lines' texts joined by spaces, without codes and enhanced codes, cut to kReplyTextMax. An
  // enhanced code (RFC 2034) is recognised where its class fits the code.
  const Reply& reply() const { return reply_; }
  const char* why() const { return why_; }

  // Nothing of a reply has been seen since the last whole one.
  bool between_replies() const { return lines_ == 0 && partial_.empty() && rest_.empty(); }

 private:
  Event take_line(std::string_view line);
  Event fail(const char* why);
  void start_reply();
  void append_text(std::string_view text);

  std::string_view rest_;
  std::string partial_;  // a line whose end has not come
  std::string_view line_;
  Reply reply_;
  bool partial_used_ = false;  // line_ may point into partial_
  bool finished_ = true;       // reply_ is whole: the next line starts another
  bool text_needs_care_ = false;
  size_t lines_ = 0;
  size_t reply_bytes_ = 0;
  const char* why_ = nullptr;
};

// Parses "5.1.1" at the start of `text` where its class is `code_class` (2, 4 or 5): its length with
// the spaces behind it, or 0. Numbers above 255 are not recognised.
size_t parse_enhanced_code(std::string_view text, int code_class, uint8_t (&enhanced)[3]);

// Makes `text` one line of valid UTF-8 of at most kReplyTextMax bytes, in place.
void clean_reply_text(std::string& text);

}  // namespace postring::smtp
