// What the mail floor costs per message and per submitted recipient.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "base/check.h"
#include "mail/address.h"
#include "mail/content.h"
#include "mail/content_source.h"
#include "mail/render.h"
#include "mail/values.h"
#include "mail/verp.h"

namespace postring::mail {
namespace {

// A newsletter of 5 KB with four fields in its text, a name in the subject and a VERP sender.
std::string newsletter() {
  ContentSource source;
  source.subject = "{{first_name}}, your order has shipped";
  source.from = "Example Shop <news@shop.example>";
  source.unsubscribe = "https://shop.example/u?t={{verp}}";
  source.return_path = "bounce+{{verp}}@shop.example";
  std::string filler;
  while (filler.size() < 1'050) filler += "<p>Lorem ipsum dolor sit amet, consetetur.</p>\n";
  source.html = "<h1>Dear {{first_name}} {{last_name}}</h1>" + filler +
                "<a href=\"https://shop.example/o?id={{order}}\">your order</a>" + filler +
                "<p>{{city}}</p>" + filler + filler;
  auto bytes = compile_content(source);
  CHECK(bytes.has_value());
  return *bytes;
}

std::string values_for(const Content& content) {
  ValuesBuilder builder(content);
  builder.begin();
  builder.add("first_name", "Anna");
  builder.add("last_name", "Meier");
  builder.add("order", "2026-000123");
  builder.add("city", "Freiburg im Breisgau");
  std::string values;
  CHECK(builder.finish(values).has_value());
  return values;
}

RenderInput input_for(const VerpKey& key, std::string_view values) {
  RenderInput input;
  input.recipient = make_recipient_id(1, 4'711);
  input.campaign = 12;
  input.address = "anna.meier@example.org";
  input.accepted_at = WallTime::from_seconds(1'772'357'400);
  input.values = values;
  input.message_id_domain = "mail.shop.example";
  input.verp_key = &key;
  return input;
}

void render_5k_four_fields(benchmark::State& state) {
  std::string bytes = newsletter();
  auto content = Content::load(bytes);
  CHECK(content.has_value());
  std::string values = values_for(*content);
  VerpKey key("secret");
  RenderInput input = input_for(key, values);
  Scratch scratch;
  Rendered rendered;
  for (auto _ : state) {
    ++input.recipient;
    rendered = render(*content, input, Form::dot_stuffed, scratch);
    benchmark::DoNotOptimize(rendered.size_bytes);
    benchmark::DoNotOptimize(render_return_path(*content, input, scratch).data());
  }
  state.counters["pieces"] = static_cast<double>(rendered.pieces.size());
  state.counters["bytes"] = static_cast<double>(rendered.size_bytes);
}
BENCHMARK(render_5k_four_fields);

void build_four_values(benchmark::State& state) {
  std::string bytes = newsletter();
  auto content = Content::load(bytes);
  CHECK(content.has_value());
  ValuesBuilder builder(*content);
  std::string values;
  for (auto _ : state) {
    values.clear();
    builder.begin();
    builder.add("first_name", "Anna");
    builder.add("last_name", "Meier");
    builder.add("order", "2026-000123");
    builder.add("city", "Freiburg im Breisgau");
    benchmark::DoNotOptimize(builder.finish(values));
  }
}
BENCHMARK(build_four_values);

void check_address(benchmark::State& state) {
  std::string out;
  for (auto _ : state) {
    out.clear();
    benchmark::DoNotOptimize(canonical_address("anna.meier+news@Mail.Example.org", out));
  }
}
BENCHMARK(check_address);

void make_verp_token(benchmark::State& state) {
  VerpKey key("secret");
  std::array<char, kVerpTokenMax> out;
  uint64_t counter = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(verp_encode(key, {12, make_recipient_id(1, ++counter)}, out));
  }
}
BENCHMARK(make_verp_token);

void compile_newsletter(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(newsletter().data());
}
BENCHMARK(compile_newsletter);

}  // namespace
}  // namespace postring::mail

BENCHMARK_MAIN();
