// Finds where a message sent with DATA ends: CRLF "." CRLF, also across reads.
//
//     DotFinder finder;                        // stands right after "DATA CRLF"
//     size_t used = finder.feed(bytes, size);  // how much of it belongs to the message
//     if (finder.done()) ...                   // the final CRLF was the last of these bytes
//
// Scans 16 bytes at a time where the CPU has SSE2; only line starts with a dot are looked at
// closely.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mxsim {

class DotFinder {
 public:
  size_t feed(const char* bytes, size_t size);
  bool done() const { return state_ == State::kDone; }
  void reset() { state_ = State::kLineStart; }

 private:
  enum class State : uint8_t { kMiddle, kCr, kLineStart, kDot, kDotCr, kDone };
  void step(char c);

  State state_ = State::kLineStart;
};

}  // namespace mxsim
