// BatchReader: the body of a batch, in pieces of any size, into recipients appended to a
// BatchWriter and rejections.
//
//   reader.feed(bytes);                       // copies
//   while (reader.step(256, 24'576) == BatchReader::Progress::more) { ... next turn ... }
//   reader.feed_end();  ... step() until done
//
// A step is bounded, so that a large upload never holds up the worker. How the body is cut into
// pieces changes nothing. A line that is wrong is a rejection and no more; what is wrong with the
// body as a whole (too long, no CSV header) ends the reading: problem() says what to answer.
//
// Lines are counted as an editor does, from 1, CSV's header and empty lines included; a record of
// CSV is named by its first line. A UTF-8 byte order mark at the start is skipped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_writer.h"
#include "http/problem.h"
#include "submission/backend.h"
#include "submission/csv.h"
#include "submission/json_line.h"
#include "submission/recipient_builder.h"

namespace postring::submission {

enum class BatchFormat : uint8_t { ndjson, csv };

constexpr size_t kBatchLineBytesMax = 256 * 1'024;
constexpr size_t kCsvColumnsMax = 512;

class BatchReader {
 public:
  enum class Progress : uint8_t {
    needs_bytes,  // feed() or feed_end()
    more,         // the step's bounds were reached
    writer_full,  // wait for writer.when_ready()
    done,
    wrong,  // problem()
  };

  // The writer must outlive the reader.
  BatchReader(BatchFormat format, BatchWriter& writer, WallTime now, BatchLimits limits = {});

  void feed(std::string_view bytes);
  void feed_end() { ended_ = true; }
  // Fed and not read yet.
  size_t waiting_bytes() const { return text_.size() - begin_; }

  Progress step(uint32_t lines_max, size_t bytes_max);

  const http::Problem& problem() const { return problem_; }
  uint64_t recipients() const { return recipients_; }  // lines that are neither empty nor header
  uint64_t rejected() const { return rejected_; }
  // A JSON array of {line, field, reason}.
  std::string take_rejections();

 private:
  Progress step_line(size_t& bytes);
  Progress fail(uint16_t status, std::string_view type, std::string detail);
  bool find_record(std::string_view left, size_t& size);
  bool handle_overlong(std::string_view left, size_t& bytes);
  Progress read_record(std::string_view record);
  bool read_header(std::string_view record);
  void read_csv(std::string_view record);
  void reject(uint32_t line, const LineFault& fault);
  void consume(size_t size);

  // A CSV column: a field of ours, a field of the content by number, or nothing we need.
  struct Column {
    std::string name;
    int own = -1;
    int data = -1;
  };

  BatchFormat format_;
  BatchLimits limits_;
  BatchWriter& writer_;
  RecipientBuilder builder_;
  JsonLineReader json_;
  CsvRecordScanner scanner_;
  std::vector<Column> columns_;
  std::vector<CsvCell> cells_;
  std::string unquoted_;
  bool has_header_ = false;

  std::string text_;
  size_t begin_ = 0;
  size_t searched_ = 0;  // NDJSON: of what is left, without a line end so far
  bool at_start_ = true;
  bool ended_ = false;
  bool skipping_ = false;  // the rest of a line that is too long
  uint32_t line_ = 1;      // of the next record
  uint64_t bytes_ = 0;
  uint64_t recipients_ = 0;
  uint64_t rejected_ = 0;
  size_t rejections_ = 0;
  std::string rejections_text_ = "[";
  http::Problem problem_;
  bool failed_ = false;
};

}  // namespace postring::submission
