#include "cli/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace postring::cli {

namespace {

std::string pad(const std::string& cell, size_t width, bool number) {
  size_t missing = width - std::min(width, width_of(cell));
  return number ? std::string(missing, ' ') + cell : cell + std::string(missing, ' ');
}

}  // namespace

size_t width_of(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

Table::Table(std::vector<std::string> titles) : titles_(std::move(titles)) {
  for (std::string& title : titles_) {
    numbers_.push_back(title.starts_with('#'));
    if (numbers_.back()) title.erase(0, 1);
  }
}

void Table::row(std::vector<std::string> cells) {
  CHECK(cells.size() == titles_.size());
  for (std::string& cell : cells) {
    for (char& c : cell)
      if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
    if (cell.empty()) cell = "-";
  }
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<size_t> widths;
  for (const std::string& title : titles_) widths.push_back(width_of(title));
  for (const auto& row : rows_)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  std::string out;
  auto write = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i)
      line += (i == 0 ? "" : "  ") + pad(cells[i], widths[i], numbers_[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  };
  write(titles_);
  for (const auto& row : rows_) write(row);
  return out;
}

std::string grouped(int64_t number) {
  std::string digits = std::to_string(number);
  size_t first = digits.starts_with('-') ? 1 : 0;
  for (size_t place = digits.size(); place > first + 3;) {
    place -= 3;
    digits.insert(place, 1, ',');
  }
  return digits;
}

std::string bytes_text(uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  uint64_t tenths = bytes * 10;
  while (tenths >= 10'240 && unit + 1 < std::size(kUnits)) {
    tenths /= 1'024;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  return fmt::format("{}.{} {}", tenths / 10, tenths % 10, kUnits[unit]);
}

std::string seconds_text(int64_t seconds) {
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3'600) return fmt::format("{}m {}s", seconds / 60, seconds % 60);
  if (seconds < 86'400) return fmt::format("{}h {}m", seconds / 3'600, seconds / 60 % 60);
  return fmt::format("{}d {}h", seconds / 86'400, seconds / 3'600 % 24);
}

}  // namespace postring::cli
