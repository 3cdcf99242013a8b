#include "mail/values.h"

#include "base/bytes.h"
#include "base/check.h"
#include "mail/address.h"
#include "mail/utf8.h"

namespace postring::mail {

std::string_view text_of(ValueWrong wrong) {
  switch (wrong) {
    case ValueWrong::missing:
      return "is missing and has no default";
    case ValueWrong::twice:
      return "is given twice";
    case ValueWrong::not_utf8:
      return "is not UTF-8";
    case ValueWrong::has_nul:
      return "has a NUL byte";
    case ValueWrong::too_long:
      return "is longer than 65536 bytes";
    case ValueWrong::not_address:
      return "must be an ASCII address, local@domain";
    case ValueWrong::name_too_long:
      return "is a name longer than 256 bytes";
    case ValueWrong::all_too_long:
      return "makes the recipient's values too long together";
  }
  return "?";
}

ValuesBuilder::ValuesBuilder(const Content& content, UnknownFields unknown)
    : content_(&content),
      unknown_(unknown),
      known_(content.fields().size()),
      given_(content.fields().size()) {}

void ValuesBuilder::begin() {
  given_.assign(given_.size(), 0);
  kept_.clear();
  failed_ = false;
}

void ValuesBuilder::note(ValueWrong wrong, std::string_view field) {
  if (failed_) return;
  failed_ = true;
  fault_ = {wrong, field};
}

bool ValuesBuilder::check(std::string_view name, std::string_view value) {
  if (value.size() > kValueMax) {
    note(ValueWrong::too_long, name);
  } else if (!is_utf8(value)) {
    note(ValueWrong::not_utf8, name);
  } else if (value.contains('\0')) {
    note(ValueWrong::has_nul, name);
  } else {
    return true;
  }
  return false;
}

void ValuesBuilder::add(std::string_view name, std::string_view value) {
  if (auto field = content_->find_field(name)) return add(*field, value);
  if (unknown_ == UnknownFields::drop) return;
  if (name.size() > kUnknownNameMax) return note(ValueWrong::name_too_long, name);
  if (!check(name, value)) return;
  if (!check(name, name)) return;
  kept_.emplace_back(name, value);
}

void ValuesBuilder::add(uint16_t field, std::string_view value) {
  CHECK(field < given_.size());
  const Field& about = content_->fields()[field];
  if (given_[field] != 0) return note(ValueWrong::twice, about.name);
  if (!check(about.name, value)) return;
  if (about.is_mailbox) {
    auto view = scan_address(value);
    if (!view || view->needs_smtputf8 || !is_ascii(view->domain)) {
      return note(ValueWrong::not_address, about.name);
    }
  }
  given_[field] = 1;
  known_[field] = value;
}

std::expected<uint32_t, ValueFault> ValuesBuilder::finish(std::string& out) {
  size_t start = out.size();
  uint64_t merged = 0;
  ByteWriter writer(out);
  for (size_t i = 0; i < given_.size(); ++i) {
    const Field& field = content_->fields()[i];
    if (given_[i] == 0) {
      if (content_->rejects_missing() && !field.has_default) note(ValueWrong::missing, field.name);
      merged += field.default_value.size() * field.slots;
      continue;
    }
    writer.varint(i + 1);
    writer.text(known_[i]);
    merged += known_[i].size() * field.slots;
    if (merged > kMergedMax || out.size() - start > kValuesMax) {
      note(ValueWrong::all_too_long, field.name);
    }
  }
  for (const auto& [name, value] : kept_) {
    writer.varint(0);
    writer.text(name);
    writer.text(value);
    if (out.size() - start > kValuesMax) note(ValueWrong::all_too_long, name);
  }
  if (failed_) {
    out.resize(start);
    return std::unexpected(fault_);
  }
  return static_cast<uint32_t>(out.size() - start);
}

bool decode_values(const Content& content, std::string_view values,
                   std::vector<std::string_view>& out) {
  const std::vector<Field>& fields = content.fields();
  out.resize(fields.size());
  for (size_t i = 0; i < fields.size(); ++i) out[i] = fields[i].default_value;
  ByteReader reader(values);
  uint64_t last = 0;
  while (!reader.done() && reader.ok()) {
    uint64_t number = reader.varint();
    if (number == 0) {
      reader.text();
      reader.text();
      continue;
    }
    std::string_view value = reader.text();
    if (!reader.ok() || number <= last || number > fields.size()) return false;
    out[number - 1] = value;
    last = number;
  }
  return reader.ok();
}

bool list_values(const Content& content, std::string_view values,
                 std::vector<std::pair<std::string_view, std::string_view>>& out) {
  ByteReader reader(values);
  while (!reader.done() && reader.ok()) {
    uint64_t number = reader.varint();
    std::string_view name = number == 0 ? reader.text() : std::string_view{};
    std::string_view value = reader.text();
    if (!reader.ok() || number > content.fields().size()) return false;
    out.emplace_back(number == 0 ? name : content.fields()[number - 1].name, value);
  }
  return reader.ok();
}

}  // namespace postring::mail
