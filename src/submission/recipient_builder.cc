#include "submission/recipient_builder.h"

#include "base/time_text.h"
#include "mail/address.h"
#include "mail/class_text.h"
#include "mail/utf8.h"

namespace postring::submission {
namespace {

constexpr std::string_view kFieldNames[kRecipientFields] = {
    "address", "ref", "meta", "not_before", "expires_at", "class", "source", "time_zone", "data",
};
constexpr size_t kFaultFieldMax = 64;

bool is_time_zone(std::string_view text) {
  if (text.empty() || text.size() > kTimeZoneMax) return false;
  for (char c : text) {
    bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                c == '_' || c == '-' || c == '+' || c == '/' || c == ':';
    if (!fits) return false;
  }
  return true;
}

}  // namespace

std::string_view name_of(RecipientField field) {
  return kFieldNames[static_cast<uint8_t>(field)];
}

std::optional<RecipientField> recipient_field(std::string_view name) {
  for (size_t i = 0; i < kRecipientFields; ++i) {
    if (name == kFieldNames[i]) return static_cast<RecipientField>(i);
  }
  return std::nullopt;
}

RecipientBuilder::RecipientBuilder(const BatchWriter& writer, WallTime now)
    : writer_(writer), now_(now), values_(writer.content()) {}

void RecipientBuilder::begin(uint32_t line) {
  recipient_ = {};
  recipient_.line = line;
  given_ = 0;
  failed_ = false;
  values_.begin();
}

void RecipientBuilder::fail(std::string_view field, std::string reason) {
  if (failed_) return;
  failed_ = true;
  fault_.field = field.substr(0, kFaultFieldMax);
  fault_.reason = std::move(reason);
}

bool RecipientBuilder::check_text(RecipientField field, std::string_view text, size_t size_max) {
  if (text.size() > size_max) {
    fail(name_of(field), "is longer than " + std::to_string(size_max) + " bytes");
  } else if (!mail::is_utf8(text)) {
    fail(name_of(field), "is not UTF-8");
  } else if (text.contains('\0')) {
    fail(name_of(field), "has a NUL byte");
  } else {
    return true;
  }
  return false;
}

void RecipientBuilder::set(RecipientField field, std::string_view text) {
  if (failed_) return;
  auto bit = static_cast<uint16_t>(1u << static_cast<uint8_t>(field));
  if ((given_ & bit) != 0) {
    fail(name_of(field), "is given twice");
    return;
  }
  given_ |= bit;
  switch (field) {
    case RecipientField::address:
      set_address(text);
      break;
    case RecipientField::ref:
      if (check_text(field, text, kRefMax)) recipient_.ref = text;
      break;
    case RecipientField::meta:
      if (check_text(field, text, kMetaMax)) recipient_.meta = text;
      break;
    case RecipientField::not_before:
      set_time(field, text, recipient_.not_before);
      break;
    case RecipientField::expires_at:
      set_time(field, text, recipient_.expires_at);
      break;
    case RecipientField::mail_class:
      set_class(text);
      break;
    case RecipientField::source:
      if (!check_text(field, text, kSourceNameMax)) break;
      if (!writer_.knows_source(text)) fail("source", "names no configured source");
      recipient_.source = text;
      break;
    case RecipientField::time_zone:
      if (!is_time_zone(text)) fail("time_zone", "must be a name such as Europe/Berlin or +02:00");
      recipient_.time_zone = text;
      break;
    case RecipientField::data:
      break;
  }
}

void RecipientBuilder::set_address(std::string_view text) {
  address_.clear();
  auto canonical = mail::canonical_address(text, address_);
  if (canonical) {
    recipient_.address = address_;
    return;
  }
  fail("address", std::string(mail::text_of(canonical.error().wrong)) + " (byte " +
                      std::to_string(canonical.error().byte) + ")");
}

void RecipientBuilder::set_time(RecipientField field, std::string_view text, WallTime& time) {
  auto parsed = parse_rfc3339(text);
  if (!parsed) {
    fail(name_of(field), "must be an RFC 3339 time with an offset");
    return;
  }
  time = *parsed;
}

void RecipientBuilder::set_class(std::string_view text) {
  recipient_.mail_class = parse_class(text);
  if (!recipient_.mail_class) fail("class", "must be transactional, standard or bulk");
}

const NewRecipient* RecipientBuilder::finish() {
  if (!failed_ && recipient_.address.empty()) fail("address", "is missing");
  if (!failed_ && recipient_.expires_at.is_set()) {
    if (recipient_.expires_at <= now_) fail("expires_at", "is in the past");
    if (recipient_.expires_at <= recipient_.not_before) fail("expires_at", "is before not_before");
  }
  if (failed_) return nullptr;
  encoded_.clear();
  if (auto size = values_.finish(encoded_); !size) {
    fail("data." + std::string(size.error().field), std::string(mail::text_of(size.error().wrong)));
    return nullptr;
  }
  recipient_.values = encoded_;
  return &recipient_;
}

}  // namespace postring::submission
