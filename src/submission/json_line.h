// One line of NDJSON (RFC 8259 per line) into a RecipientBuilder.
//
//   {"address":"ann@example.org","ref":"17","data":{"name":"Ann","points":12}}
//
// Written by hand because it is the path of every recipient: strings without escapes are views into
// the line, nothing is allocated and no byte is looked at twice. It is strict: an unknown field, a
// field twice, a wrong type or anything after the object is a fault with its byte.
#pragma once

#include <string_view>
#include <vector>

#include "submission/recipient_builder.h"

namespace postring::submission {

class JsonLineReader {
 public:
  // Gives the line's fields to the builder, after begin() and before finish(). What is wrong is in
  // the builder's fault. The line and this reader must live until finish().
  void read(std::string_view line, RecipientBuilder& builder);

 private:
  std::vector<char> unescaped_;  // of one line; never grows while a line is read
};

}  // namespace postring::submission
