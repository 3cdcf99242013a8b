#include "submission/batch_reader.h"

#include <algorithm>

#include "base/check.h"

namespace postring::submission {
namespace {

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

BatchReader::BatchReader(BatchFormat format, BatchWriter& writer, WallTime now, BatchLimits limits)
    : format_(format), limits_(limits), writer_(writer), builder_(writer, now) {
  CHECK(limits.lines <= kBatchLinesMax);
}

void BatchReader::feed(std::string_view bytes) {
  CHECK(!ended_);
  if (begin_ > 0 && (begin_ == text_.size() || begin_ >= text_.capacity() / 2)) {
    text_.erase(0, begin_);
    begin_ = 0;
  }
  text_ += bytes;
  bytes_ += bytes.size();
}

BatchReader::Progress BatchReader::fail(uint16_t status, std::string_view type,
                                        std::string detail) {
  failed_ = true;
  problem_ = {.status = status, .type = type, .detail = std::move(detail)};
  return Progress::wrong;
}

BatchReader::Progress BatchReader::step(uint32_t lines_max, size_t bytes_max) {
  if (failed_) return Progress::wrong;
  if (bytes_ > limits_.bytes) {
    return fail(413, "batch-too-large",
                "a batch is at most " + std::to_string(limits_.bytes) + " bytes; send several");
  }
  if (at_start_) {
    std::string_view left(text_);
    if (left.size() < 3 && !ended_) return Progress::needs_bytes;
    if (left.starts_with("\xef\xbb\xbf")) begin_ = 3;
    at_start_ = false;
  }
  size_t bytes = 0;
  for (uint32_t lines = 0; lines < lines_max && bytes < bytes_max; ++lines) {
    if (!writer_.wants_more()) return Progress::writer_full;
    Progress progress = step_line(bytes);
    if (progress != Progress::more) return progress;
  }
  return Progress::more;
}

// One record, or what must be said about what there is of one.
BatchReader::Progress BatchReader::step_line(size_t& bytes) {
  std::string_view left = std::string_view(text_).substr(begin_);
  size_t size = 0;
  if (left.empty() || !find_record(left, size)) {
    if (handle_overlong(left, bytes)) return failed_ ? Progress::wrong : Progress::more;
    if (!ended_) return Progress::needs_bytes;
    if (left.empty()) {
      if (format_ == BatchFormat::csv && !has_header_) {
        return fail(422, "no-csv-header", "CSV begins with a line that names its columns");
      }
      return Progress::done;
    }
    size = left.size();
  }
  std::string_view record = left.substr(0, size);
  Progress progress = skipping_ ? Progress::more : read_record(record);
  skipping_ = false;
  bytes += size;
  consume(size);
  return progress;
}

bool BatchReader::find_record(std::string_view left, size_t& size) {
  if (format_ == BatchFormat::csv && !skipping_) {
    auto end = scanner_.find_end(left);
    if (!end) return false;
    size = *end;
    return size <= kBatchLineBytesMax;
  }
  size_t end = left.find('\n', searched_);
  if (end == std::string_view::npos) {
    searched_ = left.size();
    return false;
  }
  size = end + 1;
  return skipping_ || size <= kBatchLineBytesMax;
}

// A record that goes on beyond the limit, or a quote that nothing closes: its first line is
// rejected, and reading goes on behind that. False where neither is so.
bool BatchReader::handle_overlong(std::string_view left, size_t& bytes) {
  bool csv = format_ == BatchFormat::csv;
  bool overlong = left.size() > kBatchLineBytesMax;
  bool open_quote = csv && !skipping_ && ended_ && !left.empty() && scanner_.in_quotes();
  if (!overlong && !open_quote) return false;
  if (csv && !has_header_) {
    fail(422, "bad-csv-header", "the header line is too long or has a quote that is not closed");
    return true;
  }
  // Judged by the first bytes alone, so that it does not matter how much is there already.
  size_t line_end = left.find('\n');
  bool long_line = line_end == std::string_view::npos || line_end >= kBatchLineBytesMax;
  if (!skipping_) {
    ++recipients_;
    reject(line_, {"", overlong && long_line
                           ? "is longer than " + std::to_string(kBatchLineBytesMax) + " bytes"
                           : std::string("a quote is not closed")});
  }
  skipping_ = line_end == std::string_view::npos && !ended_;
  size_t size = line_end == std::string_view::npos ? left.size() : line_end + 1;
  bytes += size;
  consume(size);
  return true;
}

void BatchReader::consume(size_t size) {
  std::string_view record = std::string_view(text_).substr(begin_, size);
  if (format_ == BatchFormat::ndjson) {
    line_ += record.ends_with('\n') ? 1 : 0;
  } else {
    line_ += static_cast<uint32_t>(std::count(record.begin(), record.end(), '\n'));
  }
  begin_ += size;
  searched_ = 0;
  scanner_.reset();
}

BatchReader::Progress BatchReader::read_record(std::string_view record) {
  if (is_blank(record)) return Progress::more;
  if (format_ == BatchFormat::csv && !has_header_) {
    return read_header(record) ? Progress::more : Progress::wrong;
  }
  if (++recipients_ > limits_.lines) {
    return fail(
        413, "batch-too-large",
        "a batch is at most " + std::to_string(limits_.lines) + " recipients; send several");
  }
  builder_.begin(line_);
  if (format_ == BatchFormat::ndjson) {
    if (record.ends_with('\n')) record.remove_suffix(1);
    json_.read(record, builder_);
  } else {
    read_csv(record);
  }
  if (const NewRecipient* recipient = builder_.finish()) {
    writer_.append(*recipient);
  } else {
    reject(line_, builder_.fault());
  }
  return Progress::more;
}

bool BatchReader::read_header(std::string_view record) {
  std::string wrong = cut_csv(record, kCsvColumnsMax, unquoted_, cells_);
  if (!wrong.empty()) {
    fail(422, "bad-csv-header", "the header line " + wrong);
    return false;
  }
  bool has_address = false;
  for (const CsvCell& cell : cells_) {
    Column column;
    column.name = cell.text;
    auto own = recipient_field(cell.text);
    std::string_view data = cell.text;
    if (own && *own != RecipientField::data) {
      column.own = static_cast<int>(*own);
      has_address |= *own == RecipientField::address;
    } else {
      if (data.starts_with("data.")) data.remove_prefix(5);
      if (auto field = writer_.content().find_field(data)) column.data = *field;
    }
    for (const Column& other : columns_) {
      bool same = (column.own >= 0 && other.own == column.own) ||
                  (column.data >= 0 && other.data == column.data);
      if (!same) continue;
      fail(422, "bad-csv-header", "two columns are named '" + column.name + "'");
      return false;
    }
    columns_.push_back(std::move(column));
  }
  if (!has_address) {
    fail(422, "bad-csv-header", "the header line names no column 'address'");
    return false;
  }
  has_header_ = true;
  return true;
}

void BatchReader::read_csv(std::string_view record) {
  std::string wrong = cut_csv(record, kCsvColumnsMax, unquoted_, cells_);
  if (wrong.empty() && cells_.size() != columns_.size()) {
    wrong = "has " + std::to_string(cells_.size()) + " cells where the header has " +
            std::to_string(columns_.size());
  }
  if (!wrong.empty()) {
    builder_.fail("", std::move(wrong));
    return;
  }
  for (size_t i = 0; i < cells_.size(); ++i) {
    if (cells_[i].absent) continue;
    const Column& column = columns_[i];
    if (column.own >= 0) {
      builder_.set(static_cast<RecipientField>(column.own), cells_[i].text);
    } else if (column.data >= 0) {
      builder_.add_data(static_cast<uint16_t>(column.data), cells_[i].text);
    }
  }
}

void BatchReader::reject(uint32_t line, const LineFault& fault) {
  ++rejected_;
  if (rejections_ == kRejectionsMax) return;
  JsonWriter json;
  json.object().field("line", line).field("field", fault.field).field("reason", fault.reason);
  std::string text = json.end().take();
  if (rejections_text_.size() + text.size() + 2 > kRejectionsBytesMax) return;
  if (rejections_++ > 0) rejections_text_ += ',';
  rejections_text_ += text;
}

std::string BatchReader::take_rejections() {
  return std::move(rejections_text_) + "]";
}

}  // namespace postring::submission
