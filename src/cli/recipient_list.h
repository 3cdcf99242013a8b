// RecipientList: a file of recipients (CSV or NDJSON), cut into batches.
//
//   auto list = RecipientList::open("list.csv");
//   while (auto batch = list->next(20'000, 16 << 20)) submit(batch->body);
//
// CSV's header goes in front of every batch. Lines are counted as an editor does; line_in_file()
// turns the line of a batch that the server names into the line of the file. The file is mapped and
// must not be changed meanwhile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "io/file.h"

namespace postring::cli {

struct RecipientBatch {
  std::string body;
  uint64_t number = 0;      // from 0
  uint64_t recipients = 0;  // records in it
  uint64_t first_line = 0;  // of the file
  uint64_t header_lines = 0;
  uint64_t end = 0;  // offset in the file behind it

  uint64_t line_in_file(uint64_t line) const { return first_line + line - header_lines - 1; }
};

class RecipientList {
 public:
  enum class Format : uint8_t { csv, ndjson };

  // By the name's end (.csv; .ndjson, .jsonl, .json); otherwise by the first byte. "-" reads
  // standard input.
  static Result<RecipientList> open(const std::string& path);
  static Result<RecipientList> of(std::string text, Format format);

  Format format() const { return format_; }
  const char* content_type() const;
  uint64_t size() const { return bytes().size(); }
  Sha256 digest() const { return sha256(bytes()); }

  // The next records: at most `recipients_max` and `bytes_max`, but at least one.
  std::optional<RecipientBatch> next(uint64_t recipients_max, uint64_t bytes_max);

 private:
  Result<void> begin();
  std::string_view bytes() const;
  // The record that begins at the offset, with its line end.
  std::string_view record_at(size_t offset) const;

  Format format_ = Format::csv;
  FileMap map_;
  std::string held_;  // where there is no file to map
  std::string header_;
  uint64_t header_lines_ = 0;
  size_t offset_ = 0;
  uint64_t line_ = 1;
  uint64_t batches_ = 0;
};

}  // namespace postring::cli
