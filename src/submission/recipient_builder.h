// RecipientBuilder: the fields of one line of a batch, whatever the line's format, checked and
// brought into the form of a NewRecipient.
//
//   builder.begin(line);
//   builder.set(RecipientField::address, "a@b.example");  builder.add_data("name", "Ann");
//   if (const NewRecipient* recipient = builder.finish()) writer.append(*recipient);
//   else reject(builder.fault());
//
// Texts given must live until finish(); what it returns lives until begin(). The first fault of a
// line is kept, the rest of the line is not looked at closely.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mail/values.h"
#include "submission/backend.h"

namespace postring::submission {

enum class RecipientField : uint8_t {
  address,
  ref,
  meta,
  not_before,
  expires_at,
  mail_class,
  source,
  time_zone,
  data,  // NDJSON's object of merge values
};
constexpr size_t kRecipientFields = 9;

std::string_view name_of(RecipientField field);
std::optional<RecipientField> recipient_field(std::string_view name);

// What is wrong with a line: "address", "has no '@' (byte 4)". An empty field: the whole line.
struct LineFault {
  std::string field;
  std::string reason;
};

class RecipientBuilder {
 public:
  // Both must outlive the builder. `now` judges what is in the past.
  RecipientBuilder(const BatchWriter& writer, WallTime now);

  void begin(uint32_t line);
  void set(RecipientField field, std::string_view text);
  void add_data(std::string_view name, std::string_view value) {
    if (!failed_) values_.add(name, value);
  }
  void add_data(uint16_t field, std::string_view value) {
    if (!failed_) values_.add(field, value);
  }
  void fail(std::string_view field, std::string reason);
  bool failed() const { return failed_; }

  // Null where something is wrong.
  const NewRecipient* finish();
  const LineFault& fault() const { return fault_; }

 private:
  void set_address(std::string_view text);
  void set_time(RecipientField field, std::string_view text, WallTime& time);
  void set_class(std::string_view text);
  bool check_text(RecipientField field, std::string_view text, size_t size_max);

  const BatchWriter& writer_;
  WallTime now_;
  mail::ValuesBuilder values_;
  NewRecipient recipient_;
  uint16_t given_ = 0;  // a bit per field
  bool failed_ = false;
  LineFault fault_;
  std::string address_;
  std::string encoded_;
};

}  // namespace postring::submission
