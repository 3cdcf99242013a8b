#include "reporting/log.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/time_text.h"

namespace postring::reporting {

namespace {

constexpr std::string_view kLevels[] = {"error", "warn ", "info ", "debug"};

bool plain(std::string_view value) {
  if (value.empty()) return false;
  return std::ranges::all_of(value, [](char c) {
    return static_cast<unsigned char>(c) > ' ' && c != '"' && c != '\\' && c != '=' && c != 0x7f;
  });
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (byte >= ' ' && byte != 0x7f) {
      if (quotes && (c == '"' || c == '\\')) out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += "\\x";
      out += "0123456789abcdef"[byte >> 4];
      out += "0123456789abcdef"[byte & 15];
    }
  }
}

}  // namespace

std::string log_line(WallTime time, LogLevel level, std::string_view message,
                     std::initializer_list<LogField> fields) {
  std::string line = rfc3339(time);
  line += ' ';
  line += kLevels[static_cast<size_t>(level)];
  line += ' ';
  append_escaped(line, message, false);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.name;
    line += '=';
    std::string_view value = std::string_view(field.value).substr(0, kLogValueMax);
    if (plain(value)) {
      line += value;
    } else {
      line += '"';
      append_escaped(line, value, true);
      line += '"';
    }
    if (field.value.size() > kLogValueMax) line += "...";
  }
  return line;
}

Log::Log(std::function<void(std::string_view)> write, std::function<WallTime()> now, LogLevel level)
    : write_(std::move(write)), now_(std::move(now)), level_(level) {}

void Log::to_standard_error(std::string_view line) {
  // One write a line: lines of several workers do not mix. What cannot be written is lost; a full
  // pipe must not stop the mail.
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

void Log::say(LogLevel level, std::string_view message, Fields fields) {
  if (!says(level)) return;
  std::string line = log_line(now_(), level, message, fields);
  line += '\n';
  write_(line);
}

void Log::error(std::string_view message, Fields fields) {
  say(LogLevel::error, message, fields);
}
void Log::warning(std::string_view message, Fields fields) {
  say(LogLevel::warning, message, fields);
}
void Log::info(std::string_view message, Fields fields) {
  say(LogLevel::info, message, fields);
}
void Log::debug(std::string_view message, Fields fields) {
  say(LogLevel::debug, message, fields);
}

void Log::once(LogLevel level, const std::string& key, std::string_view message, Fields fields) {
  if (!says(level) || said_.size() >= kOnceMax || !said_.insert(key).second) return;
  say(level, message, fields);
}

void Log::forget(const std::string& key) {
  said_.erase(key);
}

}  // namespace postring::reporting
