// Values: a recipient's merge values in few bytes, by the content's field numbers.
//
//     values := { known } { unknown }
//     known   := varint (field + 1) varint size bytes      fields ascending, each once
//     unknown := 0 varint size name varint size bytes      only where they are kept
//
// A ValuesBuilder serves one content and is used again for every recipient: begin(), add() for each
// pair, finish(). The views given to add() must live until finish(). A value must be UTF-8 without
// NUL; where a field stands as a whole address it must be one. A field that is missing is not
// stored: its default is in the content.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mail/content.h"

namespace postring::mail {

constexpr size_t kValueMax = 65'536;     // bytes of one value
constexpr size_t kValuesMax = 131'072;   // bytes of a recipient's encoded values
constexpr size_t kMergedMax = 2u << 20;  // bytes of values, each as often as it stands
constexpr size_t kUnknownNameMax = 256;

enum class UnknownFields : uint8_t { drop, keep };

enum class ValueWrong : uint8_t {
  missing,  // the content rejects recipients without it
  twice,    // given more than once
  not_utf8,
  has_nul,
  too_long,     // beyond kValueMax
  not_address,  // stands as a whole address and is none (or needs SMTPUTF8)
  name_too_long,
  all_too_long,  // beyond kValuesMax or kMergedMax together
};

// "is missing", "is not UTF-8", ...: to follow the field's name.
std::string_view text_of(ValueWrong wrong);

struct ValueFault {
  ValueWrong wrong;
  std::string_view field;  // points into the content or into what add() was given
};

class ValuesBuilder {
 public:
  // The content must outlive the builder.
  explicit ValuesBuilder(const Content& content, UnknownFields unknown = UnknownFields::drop);

  void begin();
  // Faults are kept and told by finish().
  void add(std::string_view name, std::string_view value);
  // The same where the caller looked the name up before (the header line of a CSV file).
  void add(uint16_t field, std::string_view value);
  // Appends the encoded values to `out` and returns how many bytes; on a fault `out` is as before.
  std::expected<uint32_t, ValueFault> finish(std::string& out);

 private:
  void note(ValueWrong wrong, std::string_view field);
  bool check(std::string_view name, std::string_view value);

  const Content* content_;
  UnknownFields unknown_;
  std::vector<std::string_view> known_;  // by field
  std::vector<uint8_t> given_;           // by field
  std::vector<std::pair<std::string_view, std::string_view>> kept_;
  ValueFault fault_{};
  bool failed_ = false;
};

// Reads encoded values: fills `out` (content.fields().size() entries) with the recipient's values
// and the defaults of the missing ones. False where the bytes are not well-formed; then what could
// not be read has its default.
bool decode_values(const Content& content, std::string_view values,
                   std::vector<std::string_view>& out);

// The pairs as they were given, for events and exports: known ones by their field's name, then the
// kept unknown ones. False where the bytes are not well-formed.
bool list_values(const Content& content, std::string_view values,
                 std::vector<std::pair<std::string_view, std::string_view>>& out);

}  // namespace postring::mail
