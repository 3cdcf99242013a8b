// The reply parser by itself: what a reply costs, whole and cut into pieces.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "smtp/reply_parser.h"

namespace postring::smtp {
namespace {

// As a pipelining host answers one message and the next one's commands.
constexpr std::string_view kReplies =
    "250 2.0.0 Ok: queued as 4ZxT1k3Y2pz9vBf\r\n"
    "250 2.1.0 Ok\r\n"
    "250 2.1.5 Ok\r\n"
    "354 End data with <CR><LF>.<CR><LF>\r\n";

void parse(benchmark::State& state) {
  std::string text;
  for (int i = 0; i < 64; ++i) text += kReplies;
  auto piece = static_cast<size_t>(state.range(0));
  ReplyParser parser;
  uint64_t replies = 0;
  for (auto _ : state) {
    for (size_t at = 0; at < text.size(); at += piece) {
      parser.feed(std::string_view(text).substr(at, piece));
      for (auto event = parser.next(); event != ReplyParser::Event::more; event = parser.next()) {
        replies += event == ReplyParser::Event::reply ? 1 : 0;
        benchmark::DoNotOptimize(parser.reply().code);
      }
    }
  }
  state.counters["replies_per_s"] =
      benchmark::Counter(static_cast<double>(replies), benchmark::Counter::kIsRate);
}

BENCHMARK(parse)->Arg(1 << 20)->Arg(120)->Arg(1);

}  // namespace
}  // namespace postring::smtp

BENCHMARK_MAIN();
