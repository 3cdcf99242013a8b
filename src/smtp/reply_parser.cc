#include "smtp/reply_parser.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "mail/status.h"
#include "mail/utf8.h"

namespace postring::smtp {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_plain(char c) {
  return c >= 0x20 && c < 0x7f;
}

}  // namespace

void ReplyParser::feed(std::string_view bytes) {
  CHECK(rest_.empty() || why_ != nullptr, "the bytes fed before are not used up");
  rest_ = bytes;
}

ReplyParser::Event ReplyParser::fail(const char* why) {
  why_ = why;
  rest_ = {};
  return Event::broken;
}

ReplyParser::Event ReplyParser::next() {
  if (why_ != nullptr) return Event::broken;
  if (partial_used_) {
    partial_.clear();
    partial_used_ = false;
  }
  if (rest_.empty()) return Event::more;
  const void* found = std::memchr(rest_.data(), '\n', rest_.size());
  size_t length = found == nullptr
                      ? rest_.size()
                      : static_cast<size_t>(static_cast<const char*>(found) - rest_.data());
  if (partial_.size() + length > kReplyLineBytesMax) return fail("a reply line is too long");
  std::string_view line = rest_.substr(0, length);
  if (found == nullptr) {
    partial_ += line;
    rest_ = {};
    return Event::more;
  }
  rest_.remove_prefix(length + 1);
  if (!partial_.empty()) {
    partial_ += line;
    partial_used_ = true;
    line = partial_;
  }
  while (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return take_line(line);
}

ReplyParser::Event ReplyParser::take_line(std::string_view line) {
  if (line.size() < 3 || !is_digit(line[0]) || !is_digit(line[1]) || !is_digit(line[2]))
    return fail("a reply line does not start with a code");
  if (line[0] < '2' || line[0] > '5') return fail("a reply code is not between 200 and 599");
  bool last = line.size() == 3 || line[3] == ' ';
  if (!last && line[3] != '-') return fail("a reply code is not followed by a space or '-'");

  auto code = static_cast<uint16_t>((line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0');
  if (lines_ == 0) {
    reply_.text.clear();
    reply_.enhanced[0] = reply_.enhanced[1] = reply_.enhanced[2] = 0;
    reply_bytes_ = 0;
  } else if (reply_.code / 100 != code / 100) {
    return fail("the lines of a reply have codes of different classes");
  }
  reply_.code = code;
  ++lines_;
  reply_bytes_ += line.size();
  if (lines_ > kReplyLinesMax) return fail("a reply has too many lines");
  if (reply_bytes_ > kReplyBytesMax) return fail("a reply is too long");

  line_ = line.substr(std::min<size_t>(4, line.size()));
  append_text(line_);
  if (!last) return Event::line;
  clean_reply_text(reply_.text);
  lines_ = 0;
  return Event::reply;
}

void ReplyParser::append_text(std::string_view text) {
  mail::StatusPrefix prefix = mail::split_enhanced(reply_.code, text);
  text = prefix.text;
  if (reply_.enhanced[0] == 0) {
    reply_.enhanced[0] = prefix.status.klass;
    reply_.enhanced[1] = prefix.status.subject;
    reply_.enhanced[2] = prefix.status.detail;
  }
  // One byte beyond the limit tells clean_reply_text that it may have to cut a character.
  size_t room = kReplyTextMax + 4 - std::min(reply_.text.size(), kReplyTextMax + 4);
  if (room == 0 || text.empty()) return;
  if (!reply_.text.empty()) reply_.text += ' ';
  reply_.text += text.substr(0, room);
}

void clean_reply_text(std::string& text) {
  if (!std::all_of(text.begin(), text.end(), is_plain)) {
    for (size_t at = 0; at < text.size();) {
      auto byte = static_cast<uint8_t>(text[at]);
      size_t length = mail::utf8_character(text, at);
      if (byte < 0x20 || byte == 0x7f) {
        text[at] = byte == 0 ? '?' : ' ';
      } else if (length == 0) {
        text[at] = '?';
      }
      at += std::max<size_t>(length, 1);
    }
  }
  if (text.size() > kReplyTextMax) {
    size_t cut = kReplyTextMax;
    while (cut > 0 && (static_cast<uint8_t>(text[cut]) & 0xc0) == 0x80) --cut;
    text.resize(cut);
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
}

}  // namespace postring::smtp
