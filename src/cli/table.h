// Table: columns for people, aligned, without lines between them.
//
//   Table table({"ID", "STATE", "#SENT"});   // '#': a column of numbers, to the right
//   table.row({id, state, "12"});
//   fmt::print("{}", table.text());
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace postring::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> titles);

  // As many cells as titles. Controls in a cell become blanks: what a peer said stays in its line.
  void row(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }

  std::string text() const;

 private:
  std::vector<std::string> titles_;
  std::vector<bool> numbers_;
  std::vector<std::vector<std::string>> rows_;
};

// How wide UTF-8 text stands on a terminal, near enough: its characters.
size_t width_of(std::string_view text);

// 1234567 as "1,234,567".
std::string grouped(int64_t number);

// Bytes as "12.3 MiB", seconds as "2h 5m".
std::string bytes_text(uint64_t bytes);
std::string seconds_text(int64_t seconds);

}  // namespace postring::cli
