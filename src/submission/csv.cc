#include "submission/csv.h"

namespace postring::submission {

void CsvRecordScanner::reset() {
  state_ = State::cell_start;
  seen_ = 0;
}

std::optional<size_t> CsvRecordScanner::find_end(std::string_view text) {
  size_t at = seen_;
  while (at < text.size()) {
    char c = text[at];
    switch (state_) {
      case State::cell_start:
        if (c == '"') {
          state_ = State::quoted;
          ++at;
          break;
        }
        state_ = State::plain;
        [[fallthrough]];
      case State::plain:
        while (at < text.size() && text[at] != ',' && text[at] != '\n') ++at;
        if (at == text.size()) break;
        if (text[at] == '\n') {
          seen_ = at + 1;
          return seen_;
        }
        state_ = State::cell_start;
        ++at;
        break;
      case State::quoted: {
        size_t quote = text.find('"', at);
        if (quote == std::string_view::npos) {
          at = text.size();
        } else {
          at = quote + 1;
          state_ = State::quote_in_quoted;
        }
        break;
      }
      case State::quote_in_quoted:
        if (c == '"') {
          state_ = State::quoted;
          ++at;
        } else {
          state_ = State::plain;
        }
        break;
    }
  }
  seen_ = at;
  return std::nullopt;
}

std::string cut_csv(std::string_view record, size_t cells_max, std::string& unquoted,
                    std::vector<CsvCell>& cells) {
  cells.clear();
  if (record.ends_with('\n')) record.remove_suffix(1);
  if (record.ends_with('\r')) record.remove_suffix(1);
  unquoted.resize(record.size());
  size_t used = 0;
  size_t at = 0;
  while (true) {
    if (cells.size() == cells_max) {
      return "has more than " + std::to_string(cells_max) + " cells";
    }
    CsvCell cell;
    if (at < record.size() && record[at] == '"') {
      ++at;
      char* start = unquoted.data() + used;
      while (true) {
        size_t quote = record.find('"', at);
        if (quote == std::string_view::npos) return "a quote is not closed";
        used += record.copy(unquoted.data() + used, quote - at, at);
        at = quote + 1;
        if (at == record.size() || record[at] != '"') break;
        unquoted[used++] = '"';
        ++at;
      }
      cell.text = {start, static_cast<size_t>(unquoted.data() + used - start)};
      if (at < record.size() && record[at] != ',') {
        return "byte " + std::to_string(at) + ": expected ',' after a closing quote";
      }
    } else {
      size_t comma = record.find(',', at);
      if (comma == std::string_view::npos) comma = record.size();
      cell.text = record.substr(at, comma - at);
      cell.absent = cell.text.empty();
      if (cell.text.contains('"')) {
        return "byte " + std::to_string(at + cell.text.find('"')) +
               ": a quote inside a cell that does not begin with one";
      }
      at = comma;
    }
    cells.push_back(cell);
    if (at == record.size()) return {};
    ++at;  // the comma; a record that ends with one has an empty cell behind it
  }
}

}  // namespace postring::submission
