// The simulated mail host: any conversation, however it is cut, gets the same answers, and the end
// of a message is found where a simple search finds it.

#include <string>
#include <vector>

#include "../../tools/mxsim/config.h"
#include "../../tools/mxsim/dns_message.h"
#include "../../tools/mxsim/dot_finder.h"
#include "../../tools/mxsim/session.h"
#include "../../tools/mxsim/world.h"
#include "require.h"

namespace {

using namespace mxsim;

std::string talk(std::string_view bytes, size_t piece, bool with_ledger) {
  Config config;
  config.rules.resize(1);
  config.rules[0].pattern = config.rules[0].prefix = "a.example";
  config.rules[0].plain = true;
  config.rules[0].address_count = 1;
  World world(config);
  Ledger ledger;
  Counters counters;
  Site site{&world, with_ledger ? &ledger : nullptr, &counters, world.rules(), true};
  Session session(site, kFirstAddress, 0x7f000002, 0);
  session.start();
  std::string held;
  while (!bytes.empty() && session.ending() == Ending::kNone) {
    std::string_view part = bytes.substr(0, piece);
    bytes.remove_prefix(part.size());
    held.append(part);
    held.erase(0, session.receive(held.data(), held.size()));
  }
  return session.output() + std::to_string(counters.messages.load());
}

size_t end_of(std::string_view bytes, size_t piece) {
  DotFinder finder;
  size_t at = 0;
  while (at < bytes.size() && !finder.done()) {
    std::string_view part = bytes.substr(at, piece);
    at += finder.feed(part.data(), part.size());
  }
  return finder.done() ? at : std::string_view::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes = as_text(data, size);
  std::string body = "\r\n" + std::string(bytes);
  size_t simple = body.find("\r\n.\r\n");
  size_t expected = simple == std::string::npos ? simple : simple + 3;
  REQUIRE(end_of(bytes, size + 1) == expected);
  REQUIRE(end_of(bytes, 1) == expected);
  REQUIRE(end_of(bytes, 5) == expected);
  std::string greeting = "EHLO me.example\r\n";
  REQUIRE(talk(greeting + std::string(bytes), 1, true) ==
          talk(greeting + std::string(bytes), 100'000, true));
  talk(greeting + std::string(bytes), 3, false);
  auto question = parse_question(bytes);
  if (question) REQUIRE(write_answer(*question, {}, 512).size() >= 12);
  return 0;
}
