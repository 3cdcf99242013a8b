// HTTP requests: however the bytes are cut, the same requests and bodies come out.

#include <string>
#include <vector>

#include "http/parser.h"
#include "require.h"

namespace {

using namespace postring::http;

std::string parse(std::string_view bytes, size_t piece) {
  RequestParser parser{Limits{}};
  std::string out, held;
  while (!bytes.empty()) {
    held.append(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    bool goes_on = true;
    while (goes_on) {
      std::vector<char> copy(held.begin(), held.end());
      auto [consumed, stop] = parser.put({copy.data(), copy.size()});
      REQUIRE(consumed <= held.size());
      switch (stop) {
        case ParseStop::need_more:
          goes_on = false;
          break;
        case ParseStop::head: {
          Request request = parser.take_request();
          out += "head " + std::to_string(static_cast<int>(request.method)) + " " + request.path +
                 "\n";
          break;
        }
        case ParseStop::body:
          out.append(parser.body_piece());
          break;
        case ParseStop::end:
          out += "\nend\n";
          parser.reset();
          break;
        case ParseStop::wrong:
          REQUIRE(parser.wrong_status() >= 400 && parser.wrong_status() < 600);
          return out + "wrong";
      }
      held.erase(0, consumed);
    }
  }
  return out;
}

// Only when something wrong is noticed may depend on the cut, not what was understood before.
std::string without_verdict(std::string text) {
  if (text.ends_with("wrong")) text.resize(text.size() - 5);
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes = as_text(data, size);
  std::string whole = without_verdict(parse(bytes, size + 1));
  std::string pieces = without_verdict(parse(bytes, 1));
  if (pieces != whole)
    std::fprintf(stderr, "---- whole:\n%s\n---- byte by byte:\n%s\n", whole.c_str(),
                 pieces.c_str());
  REQUIRE(pieces == whole);
  return 0;
}
