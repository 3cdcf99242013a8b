// Log: what the daemon says to its operator, one structured line each.
//
//   log.info("listening", {{"address", address.text()}});
//   2026-03-01T09:30:00.250Z info  listening address=127.0.0.1:8025
//
// A Log belongs to one worker and writes whole lines with one write each, so that workers may share
// standard error. Values that hold blanks, quotes or controls are quoted and escaped: nothing a
// peer or a submitter says can forge a line. Secrets and merge values never come here.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <set>
#include <string>
#include <string_view>

#include "base/units.h"

namespace postring::reporting {

enum class LogLevel : uint8_t { error = 0, warning = 1, info = 2, debug = 3 };

struct LogField {
  std::string_view name;
  std::string value;
};

// The line, without its end. Values are cut at kLogValueMax bytes.
constexpr size_t kLogValueMax = 1'024;
std::string log_line(WallTime time, LogLevel level, std::string_view message,
                     std::initializer_list<LogField> fields);

class Log {
 public:
  using Fields = std::initializer_list<LogField>;

  // `write` takes one whole line, its end included; `now` gives the time of the loop turn.
  Log(std::function<void(std::string_view)> write, std::function<WallTime()> now, LogLevel level);

  // Writes to standard error.
  static void to_standard_error(std::string_view line);

  void set_level(LogLevel level) { level_ = level; }
  bool says(LogLevel level) const { return level <= level_; }

  void error(std::string_view message, Fields fields = {});
  void warning(std::string_view message, Fields fields = {});
  void info(std::string_view message, Fields fields = {});
  void debug(std::string_view message, Fields fields = {});

  // The same `key` is said once until forget(key): for what stays true for long ("disk is full").
  // At most kOnceMax keys are remembered; what is beyond is not said.
  static constexpr size_t kOnceMax = 4'096;
  void once(LogLevel level, const std::string& key, std::string_view message, Fields fields = {});
  void forget(const std::string& key);

 private:
  void say(LogLevel level, std::string_view message, Fields fields);

  std::function<void(std::string_view)> write_;
  std::function<WallTime()> now_;
  LogLevel level_;
  std::set<std::string> said_;
};

}  // namespace postring::reporting
