// What an attempt ended in, and the reply it ended with.
#pragma once

#include <cstdint>
#include <string>

namespace postring {

enum class Outcome : uint8_t {
  delivered = 0,
  deferred = 1,
  bounced = 2,
  expired = 3,
  cancelled = 4
};

// Where in the conversation the outcome was decided.
enum class Stage : uint8_t {
  queue = 0,
  dns,
  connect,
  greeting,
  ehlo,
  mail,
  rcpt,
  data,
  body,
  done
};

// The last reply seen, or our own words where no server said anything.
struct Reply {
  uint16_t code = 0;                // SMTP code; 0: there was no reply
  uint8_t enhanced[3] = {0, 0, 0};  // RFC 3463 class.subject.detail; class 0: none
  std::string text;                 // at most kReplyTextMax bytes, one line, valid UTF-8
};
constexpr size_t kReplyTextMax = 512;

constexpr const char* name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::delivered: return "delivered";
    case Outcome::deferred: return "deferred";
    case Outcome::bounced: return "bounced";
    case Outcome::expired: return "expired";
    case Outcome::cancelled: return "cancelled";
  }
  return "?";
}

constexpr const char* name_of(Stage stage) {
  constexpr const char* kNames[] = {"queue", "dns",  "connect", "greeting", "ehlo",
                                    "mail",  "rcpt", "data",    "body",     "done"};
  return kNames[static_cast<uint8_t>(stage)];
}

}  // namespace postring
