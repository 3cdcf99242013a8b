// CSV as RFC 4180 has it: where a record ends, and its cells.
//
// Records end with CRLF or LF; a cell may be in double quotes, which then are doubled inside it. A
// cell that is empty and not quoted counts as absent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postring::submission {

// Finds the end of the record that begins where the text does. May be asked again with more text
// behind what it saw: it goes on where it stopped.
class CsvRecordScanner {
 public:
  // The offset behind the record's line end; nothing where it does not end within `text`.
  std::optional<size_t> find_end(std::string_view text);
  // Of the record that was found, or that is being looked at.
  bool in_quotes() const { return state_ == State::quoted; }
  void reset();

 private:
  enum class State : uint8_t { cell_start, plain, quoted, quote_in_quoted };
  State state_ = State::cell_start;
  size_t seen_ = 0;
};

struct CsvCell {
  std::string_view text;
  bool absent = false;
};

// Cuts a whole record (with or without its line end) into cells. Views point into the record or
// into `unquoted`, which is resized first and must live as long. What is wrong, in words, or empty.
std::string cut_csv(std::string_view record, size_t cells_max, std::string& unquoted,
                    std::vector<CsvCell>& cells);

}  // namespace postring::submission
