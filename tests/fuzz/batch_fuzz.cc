// Batches, NDJSON and CSV: however the body is cut into pieces and steps, the same recipients and
// rejections come out, every line that is neither empty nor header ends as one of the two, and what
// is taken is in the form the queue relies on. The first byte of the input picks the format.

#include <string>
#include <vector>

#include "../submission/fake_backend.h"
#include "mail/address.h"
#include "require.h"
#include "submission/batch_reader.h"

namespace {

using namespace postring;
using namespace postring::submission;

struct Read {
  std::vector<Taken> taken;
  uint64_t recipients = 0;
  uint64_t rejected = 0;
  uint16_t status = 0;
  std::string rejections;
  bool operator==(const Read&) const = default;
};

Read read(BatchFormat format, std::string_view text, size_t piece, uint32_t lines_max) {
  static const std::string content = sample_content();
  CollectingWriter writer(content);
  BatchReader reader(format, writer, WallTime::from_seconds(1'700'000'000));
  Read result;
  while (true) {
    auto progress = reader.step(lines_max, 4'096);
    if (progress == BatchReader::Progress::needs_bytes) {
      reader.feed(text.substr(0, piece));
      text.remove_prefix(std::min(piece, text.size()));
      if (text.empty()) reader.feed_end();
      continue;
    }
    REQUIRE(progress != BatchReader::Progress::writer_full);
    if (progress == BatchReader::Progress::wrong) result.status = reader.problem().status;
    if (progress != BatchReader::Progress::more) break;
  }
  result.taken = std::move(writer.taken);
  result.recipients = reader.recipients();
  result.rejected = reader.rejected();
  result.rejections = reader.take_rejections();
  return result;
}

void check(const Read& whole, const mail::Content& content) {
  if (whole.status == 0) REQUIRE(whole.taken.size() + whole.rejected == whole.recipients);
  uint32_t line = 0;
  for (const Taken& taken : whole.taken) {
    REQUIRE(taken.line > line);
    line = taken.line;
    auto view = mail::scan_address(taken.address);
    REQUIRE(view && view->is_canonical);
    REQUIRE(taken.ref.size() <= kRefMax && taken.meta.size() <= kMetaMax);
    std::vector<std::string_view> values;
    REQUIRE(mail::decode_values(content, taken.values, values));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string bytes = sample_content();
  static const mail::Content content = mail::Content::load(bytes).value();
  if (size == 0) return 0;
  auto format = data[0] % 2 == 0 ? BatchFormat::ndjson : BatchFormat::csv;
  std::string_view text = as_text(data + 1, size - 1);
  Read whole = read(format, text, size + 1, 1'000);
  check(whole, content);
  REQUIRE(read(format, text, 1, 1) == whole);
  REQUIRE(read(format, text, 7, 2) == whole);
  return 0;
}
