// What the commands share in showing an answer.
#pragma once

#include <fmt/format.h>

#include <string>

#include "base/result.h"
#include "cli/json_document.h"

namespace postring::cli {

// Says what went wrong; the exit status for it.
inline int complain(const Error& error) {
  fmt::print(stderr, "postring: {}\n", error.message);
  return 1;
}

// The document as it came, on one line.
inline int print_json(const JsonDocument& document) {
  fmt::print("{}\n", document.root().raw());
  return 0;
}

// "2026-03-01T09:30:00.250Z" as "2026-03-01 09:30:00".
inline std::string short_time(std::string time) {
  if (time.size() >= 19) {
    time.resize(19);
    time[10] = ' ';
  }
  return time;
}

// "550 5.1.1 No such user", without what is not there.
inline std::string reply_text(const std::string& code, const std::string& enhanced,
                              const std::string& text) {
  std::string all = code == "0" ? "" : code;
  for (const std::string* part : {&enhanced, &text}) {
    if (!all.empty() && !part->empty()) all += ' ';
    all += *part;
  }
  return all;
}

}  // namespace postring::cli
