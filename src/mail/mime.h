// MIME: taking a message apart, as far as compiling a raw message with fields needs it.
//
// Pure and tolerant, as mail in the wild asks for; works on text whose line ends are CRLF. The
// views point into that text.
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace postring::mail {

struct HeaderField {
  std::string_view name;
  std::string_view value;  // folded as it stands, without the last CRLF and the spaces before it
  std::string_view whole;  // with name and CRLF
};

struct Entity {
  std::vector<HeaderField> headers;
  std::string_view header_block;  // with the empty line after it, where there is one
  std::string_view body;

  // The first field of this name (lower case); nothing where there is none.
  const HeaderField* find(std::string_view name) const;
};

struct EntityFault {
  std::string_view what;
  std::string_view at;  // where it starts
};

// Header and body of a message or part. A line of the header without a colon is a fault.
std::expected<Entity, EntityFault> parse_entity(std::string_view text);

// RFC 2045 section 5.1.
struct ContentType {
  std::string type;                                             // "text/plain", lower case
  std::vector<std::pair<std::string, std::string>> parameters;  // names in lower case

  std::string_view parameter(std::string_view name) const;
};

// Of a Content-Type's value; text/plain without parameters where it cannot be read (section 5.2).
ContentType parse_content_type(std::string_view value);

// The parts of a multipart body (RFC 2046 section 5.1), and what is between them: the pieces are
// the whole body, in order.
struct MultipartPiece {
  bool is_part = false;
  std::string_view text;
};
std::vector<MultipartPiece> split_multipart(std::string_view body, std::string_view boundary);

// The bytes of a body in this Content-Transfer-Encoding; nothing for one that is not known or for
// base64 that is none.
std::optional<std::string> decode_body(std::string_view body, std::string_view transfer_encoding);

bool equals_folded(std::string_view a, std::string_view b);
std::string to_lower(std::string_view text);
// Without spaces, tabs and line ends at both ends.
std::string_view trim_blanks(std::string_view text);

}  // namespace postring::mail
