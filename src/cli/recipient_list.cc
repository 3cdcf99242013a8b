#include "cli/recipient_list.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "submission/batch_reader.h"
#include "submission/csv.h"

namespace postring::cli {

namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr size_t kStandardInputMax = 1u << 30;
constexpr size_t kNamesShownMax = 200;  // bytes of a header's names, in a message

uint64_t lines_in(std::string_view text) {
  return static_cast<uint64_t>(std::ranges::count(text, '\n'));
}

Result<std::string> read_standard_input() {
  std::string text;
  std::string buffer(1u << 16, '\0');
  while (true) {
    ssize_t size = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail(fmt::format("standard input: {}", std::strerror(errno)));
    if (size == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(size));
    if (text.size() > kStandardInputMax)
      return fail("standard input: more than 1 GiB; give a file instead");
  }
}

RecipientList::Format format_of(const std::string& path, std::string_view bytes) {
  if (path.ends_with(".csv")) return RecipientList::Format::csv;
  for (const char* end : {".ndjson", ".jsonl", ".json"})
    if (path.ends_with(end)) return RecipientList::Format::ndjson;
  if (bytes.starts_with(kByteOrderMark)) bytes.remove_prefix(kByteOrderMark.size());
  return bytes.starts_with('{') ? RecipientList::Format::ndjson : RecipientList::Format::csv;
}

// The server would refuse the first batch, but by then the campaign would be there.
Result<void> check_header(std::string_view header) {
  std::string unquoted;
  std::vector<submission::CsvCell> cells;
  std::string wrong = submission::cut_csv(header, submission::kCsvColumnsMax, unquoted, cells);
  if (!wrong.empty()) return fail(fmt::format("line 1: {}", wrong));
  std::string names;
  for (const submission::CsvCell& cell : cells) {
    if (cell.text == "address") return {};
    if (names.size() < kNamesShownMax) {
      names += fmt::format("{}'{}'", names.empty() ? "" : ", ", cell.text);
    }
  }
  return fail(fmt::format("line 1 must name the columns, one of them 'address'; it is {}", names));
}

}  // namespace

Result<RecipientList> RecipientList::open(const std::string& path) {
  RecipientList list;
  if (path == "-") {
    auto text = read_standard_input();
    if (!text) return std::unexpected(text.error());
    list.held_ = std::move(*text);
  } else {
    auto file = open_file(path, OpenMode::read);
    if (!file) return fail(fmt::format("{}: {}", path, std::strerror(file.error())));
    auto size = file_size(*file);
    if (size && *size > 0) {
      auto map = FileMap::map(*file, *size);
      if (map) list.map_ = std::move(*map);
      if (!map) size = std::unexpected(map.error());
    }
    ::close(*file);
    if (!size) return fail(fmt::format("{}: {}", path, std::strerror(size.error())));
  }
  list.format_ = format_of(path, list.bytes());
  if (auto begun = list.begin(); !begun)
    return fail(fmt::format("{}: {}", path, begun.error().message));
  return list;
}

Result<RecipientList> RecipientList::of(std::string text, Format format) {
  RecipientList list;
  list.held_ = std::move(text);
  list.format_ = format;
  if (auto begun = list.begin(); !begun) return std::unexpected(begun.error());
  return list;
}

const char* RecipientList::content_type() const {
  return format_ == Format::csv ? "text/csv" : "application/x-ndjson";
}

std::string_view RecipientList::bytes() const {
  auto mapped = map_.bytes();
  if (mapped.empty()) return held_;
  return {reinterpret_cast<const char*>(mapped.data()), mapped.size()};
}

Result<void> RecipientList::begin() {
  if (bytes().starts_with(kByteOrderMark)) offset_ = kByteOrderMark.size();
  if (format_ == Format::ndjson) return {};
  header_ = record_at(offset_);
  if (header_.empty())
    return fail("the file is empty; a CSV file begins with a line that names its columns");
  if (auto good = check_header(header_); !good) return good;
  offset_ += header_.size();
  if (!header_.ends_with('\n')) header_ += '\n';
  header_lines_ = lines_in(header_);
  line_ += header_lines_;
  return {};
}

std::string_view RecipientList::record_at(size_t offset) const {
  std::string_view left = bytes().substr(offset);
  if (format_ == Format::ndjson)
    return left.substr(0, std::min(left.find('\n'), left.size() - 1) + 1);
  submission::CsvRecordScanner scanner;
  return left.substr(0, scanner.find_end(left).value_or(left.size()));
}

std::optional<RecipientBatch> RecipientList::next(uint64_t recipients_max, uint64_t bytes_max) {
  if (offset_ >= bytes().size()) return std::nullopt;
  RecipientBatch batch;
  batch.number = batches_++;
  batch.first_line = line_;
  batch.header_lines = header_lines_;
  batch.body = header_;
  while (offset_ < bytes().size() && batch.recipients < recipients_max) {
    std::string_view record = record_at(offset_);
    if (batch.recipients > 0 && batch.body.size() + record.size() > bytes_max) break;
    batch.body += record;
    offset_ += record.size();
    line_ += lines_in(record);
    if (record.find_first_not_of(" \r\n") != std::string_view::npos) ++batch.recipients;
  }
  batch.end = offset_;
  return batch;
}

}  // namespace postring::cli
