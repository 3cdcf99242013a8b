// Reading a batch of four-field lines, without the spool: what submission costs per recipient
// before anything is written.

#include "submission/batch_reader.h"

#include <benchmark/benchmark.h>

#include "mail/content_source.h"

namespace postring::submission {
namespace {

class CountingWriter final : public BatchWriter {
 public:
  explicit CountingWriter(const mail::Content& content) : content_(content) {}
  const mail::Content& content() const override { return content_; }
  bool knows_source(std::string_view) const override { return true; }
  void append(const NewRecipient& recipient) override {
    bytes += recipient.address.size() + recipient.values.size() + recipient.ref.size();
  }
  bool wants_more() const override { return true; }
  void when_ready(std::function<void()>) override {}
  void commit(const Sha256&, uint64_t, std::string, Answer<BatchAnswer>) override {}

  uint64_t bytes = 0;

 private:
  const mail::Content& content_;
};

void read_batch(benchmark::State& state, BatchFormat format) {
  constexpr int kLines = 100'000;
  constexpr size_t kPiece = 24 * 1'024;
  mail::ContentSource source;
  source.subject = "Hello {{name}}";
  source.from = "shop@example.org";
  source.text = "Dear {{name}}, your code is {{code}}.\n";
  std::string bytes = mail::compile_content(source).value();
  mail::Content content = mail::Content::load(bytes).value();
  std::string text = format == BatchFormat::csv ? "address,ref,name,code\n" : "";
  for (int i = 0; i < kLines; ++i) {
    std::string number = std::to_string(i);
    std::string address = "user" + number + "@domain" + std::to_string(i % 100) + ".example";
    text += format == BatchFormat::csv
                ? address + ",r" + number + ",Name" + number + ",C" + number + "\n"
                : "{\"address\":\"" + address + "\",\"ref\":\"r" + number +
                      "\",\"data\":{\"name\":\"Name" + number + "\",\"code\":\"C" + number +
                      "\"}}\n";
  }
  for (auto _ : state) {
    CountingWriter writer(content);
    BatchReader reader(format, writer, WallTime::from_seconds(1));
    std::string_view left = text;
    while (true) {
      auto progress = reader.step(128, kPiece);
      if (progress == BatchReader::Progress::done) break;
      if (progress != BatchReader::Progress::needs_bytes) continue;
      reader.feed(left.substr(0, kPiece));
      left.remove_prefix(std::min(kPiece, left.size()));
      if (left.empty()) reader.feed_end();
    }
    if (reader.rejected() > 0) state.SkipWithError("lines were rejected");
    benchmark::DoNotOptimize(writer.bytes);
  }
  state.SetItemsProcessed(state.iterations() * kLines);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}

BENCHMARK_CAPTURE(read_batch, ndjson, BatchFormat::ndjson)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(read_batch, csv, BatchFormat::csv)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace postring::submission

BENCHMARK_MAIN();
