// SMTP replies: however the bytes are cut, the same replies come out, within their limits.

#include <string>
#include <string_view>
#include <vector>

#include "mail/utf8.h"
#include "require.h"
#include "smtp/reply_parser.h"

namespace {

using postring::smtp::ReplyParser;

// What comes out when the bytes go in as pieces of `piece` bytes.
std::string parse(std::string_view bytes, size_t piece) {
  ReplyParser parser;
  std::string out;
  while (!bytes.empty()) {
    std::string_view part = bytes.substr(0, piece);
    bytes.remove_prefix(part.size());
    // A copy of its own, so that reading past it is seen.
    std::vector<char> copy(part.begin(), part.end());
    parser.feed({copy.data(), copy.size()});
    while (true) {
      ReplyParser::Event event = parser.next();
      if (event == ReplyParser::Event::more) break;
      if (event == ReplyParser::Event::broken) {
        REQUIRE(parser.why() != nullptr);
        return out + "broken: " + parser.why();
      }
      if (event == ReplyParser::Event::line) {
        out.append("line ").append(parser.line()).append("\n");
        continue;
      }
      const postring::Reply& reply = parser.reply();
      REQUIRE(reply.code >= 200 && reply.code <= 599);
      REQUIRE(reply.text.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
      out += "reply " + std::to_string(reply.code) + " " + reply.text + "\n";
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes = as_text(data, size);
  std::string whole = parse(bytes, size + 1);
  REQUIRE(parse(bytes, 1) == whole);
  REQUIRE(parse(bytes, 7) == whole);
  return 0;
}
