#include "mail/content.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "mail/content_source.h"
#include "mail/encode.h"
#include "mail/lines.h"
#include "mail/template.h"
#include "mail/utf8.h"
#include "mail/verp.h"

namespace postring::mail {
namespace {

constexpr std::string_view kMagic = "PRCT";
constexpr size_t kSummedBytes = 12;  // of the frame, before the checksum
constexpr size_t kFrameBytes = 16;
constexpr uint64_t kStepsMax = 4 * kSlotsMax + 4'096;
// A Date, a Message-ID and a token each fit.
constexpr size_t kStepRoom = 512;

enum : uint16_t {
  kRejectsMissing = 1,
  kHasUnsubscribe = 2,
  kNeeds8bit = 4,
  kNeedsSmtputf8 = 8,
  kFlagsKnown = 15,
};
enum : uint8_t { kHasDefault = 1, kIsMailbox = 2, kFieldFlagsKnown = 3 };

uint32_t checksum(std::string_view bytes, uint32_t before = 0) {
  return crc32c(std::as_bytes(std::span(bytes)), before);
}

void write_program(const std::vector<Step>& program, ByteWriter& out) {
  out.varint(program.size());
  for (const Step& step : program) {
    out.fixed(static_cast<uint8_t>(step.kind));
    if (step.kind == StepKind::literal) {
      out.varint(step.offset);
      out.varint(step.size);
      out.varint(step.stuffed_offset);
      out.varint(step.stuffed_size);
    } else if (step.kind == StepKind::value) {
      out.fixed(static_cast<uint8_t>(step.encoding));
      out.varint(step.field);
    } else if (step.kind == StepKind::header_begin) {
      out.varint(step.size);
    }
  }
}

// Numbers that do not fit become one that no check lets pass.
uint32_t narrow(uint64_t value) {
  return value < UINT32_MAX ? static_cast<uint32_t>(value) : UINT32_MAX;
}

bool read_program(ByteReader& reader, std::vector<Step>& program) {
  uint64_t count = reader.varint();
  if (count > kStepsMax) return false;
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    Step step;
    auto kind = reader.fixed<uint8_t>();
    if (kind >= kStepKinds) return false;
    step.kind = static_cast<StepKind>(kind);
    if (step.kind == StepKind::literal) {
      step.offset = narrow(reader.varint());
      step.size = narrow(reader.varint());
      step.stuffed_offset = narrow(reader.varint());
      step.stuffed_size = narrow(reader.varint());
    } else if (step.kind == StepKind::value) {
      auto encoding = reader.fixed<uint8_t>();
      uint64_t field = reader.varint();
      if (encoding >= kEncodings || field > UINT16_MAX) return false;
      step.encoding = static_cast<Encoding>(encoding);
      step.field = static_cast<uint16_t>(field);
    } else if (step.kind == StepKind::header_begin) {
      step.size = narrow(reader.varint());
      if (step.size > kHeaderTemplateMax) return false;
    }
    program.push_back(step);
  }
  return reader.ok();
}

bool is_own(uint16_t field) {
  return field == kFieldAddress || field == kFieldRecipientId || field == kFieldVerp;
}

// The return path is an address: short literals and values of bounded length.
bool stands_in_address(const Step& step) {
  if (step.kind == StepKind::literal) return step.size <= kCopiedLiteralMax;
  return step.kind == StepKind::value &&
         (step.encoding == Encoding::local_part || step.encoding == Encoding::mailbox);
}

}  // namespace

std::string write_content(const ContentParts& parts) {
  std::string tables;
  ByteWriter writer(tables);
  writer.varint(parts.fields.size());
  for (const auto& field : parts.fields) {
    writer.text(field.name);
    writer.fixed(static_cast<uint8_t>((field.has_default ? kHasDefault : 0) |
                                      (field.is_mailbox ? kIsMailbox : 0)));
    writer.text(field.default_value);
  }
  write_program(parts.head, writer);
  write_program(parts.body, writer);
  write_program(parts.return_path, writer);

  std::string bytes;
  bytes.reserve(kFrameBytes + tables.size() + parts.pool.size());
  ByteWriter frame(bytes);
  frame.raw(kMagic);
  frame.fixed(kContentVersion);
  frame.fixed(static_cast<uint16_t>((parts.rejects_missing ? kRejectsMissing : 0) |
                                    (parts.has_unsubscribe ? kHasUnsubscribe : 0) |
                                    (parts.needs_8bit ? kNeeds8bit : 0) |
                                    (parts.needs_smtputf8 ? kNeedsSmtputf8 : 0)));
  frame.fixed(static_cast<uint32_t>(tables.size()));
  frame.fixed(checksum(parts.pool, checksum(tables, checksum(bytes))));
  frame.raw(tables);
  frame.raw(parts.pool);
  return bytes;
}

Result<Content> Content::load(std::string_view bytes) {
  if (bytes.size() < kFrameBytes || !bytes.starts_with(kMagic)) return fail("no compiled content");
  ByteReader frame(bytes.substr(kMagic.size()));
  auto version = frame.fixed<uint16_t>();
  auto flags = frame.fixed<uint16_t>();
  auto tables_size = frame.fixed<uint32_t>();
  auto crc = frame.fixed<uint32_t>();
  if (version != kContentVersion) {
    return fail(fmt::format("content of format {}; this program reads format {}", version,
                            kContentVersion));
  }
  std::string_view left = frame.rest();
  if (tables_size > left.size()) return fail("content cut short");
  if (checksum(left, checksum(bytes.substr(0, kSummedBytes))) != crc) {
    return fail("damaged content: its checksum does not match");
  }

  Content content;
  content.bytes_ = bytes;
  content.pool_ = left.substr(tables_size);
  content.rejects_missing_ = (flags & kRejectsMissing) != 0;
  content.has_unsubscribe_ = (flags & kHasUnsubscribe) != 0;
  content.needs_8bit_ = (flags & kNeeds8bit) != 0;
  content.needs_smtputf8_ = (flags & kNeedsSmtputf8) != 0;
  std::string_view wrong = (flags & ~kFlagsKnown) != 0
                               ? std::string_view("unknown flags")
                               : content.load_tables(left.substr(0, tables_size));
  if (wrong.empty()) wrong = content.check_program(content.head_, true);
  if (wrong.empty()) wrong = content.check_program(content.body_, true);
  if (wrong.empty()) wrong = content.check_program(content.return_path_, false);
  if (!wrong.empty()) return fail(fmt::format("damaged content: {}", wrong));
  return content;
}

std::string_view Content::load_tables(std::string_view tables) {
  ByteReader reader(tables);
  uint64_t count = reader.varint();
  if (count > kFieldsMax) return "too many fields";
  for (uint64_t i = 0; i < count; ++i) {
    Field field;
    field.name = reader.text();
    auto flags = reader.fixed<uint8_t>();
    field.default_value = reader.text();
    field.has_default = (flags & kHasDefault) != 0;
    field.is_mailbox = (flags & kIsMailbox) != 0;
    if (!reader.ok() || !is_field_name(field.name) || (flags & ~kFieldFlagsKnown) != 0) {
      return "a bad field";
    }
    bool default_fits = field.has_default || field.default_value.empty();
    if (!default_fits || field.default_value.size() > kDefaultMax ||
        !is_utf8(field.default_value)) {
      return "a bad default";
    }
    if (find_field(field.name)) return "a field twice";
    fields_.push_back(field);
    // Rebuilt for each of at most kFieldsMax fields: loading is rare and lookups are not.
    size_t size = 4;
    while (size < fields_.size() * 2) size *= 2;
    buckets_.assign(size, 0xffff);
    for (size_t k = 0; k < fields_.size(); ++k) {
      size_t at = hash64(fields_[k].name) & (size - 1);
      while (buckets_[at] != 0xffff) at = (at + 1) & (size - 1);
      buckets_[at] = static_cast<uint16_t>(k);
    }
  }
  bool read = read_program(reader, head_) && read_program(reader, body_) &&
              read_program(reader, return_path_);
  return read && reader.done() ? std::string_view{} : std::string_view("a bad step");
}

std::optional<uint16_t> Content::find_field(std::string_view name) const {
  if (buckets_.empty()) return std::nullopt;
  size_t mask = buckets_.size() - 1;
  for (size_t at = hash64(name) & mask; buckets_[at] != 0xffff; at = (at + 1) & mask) {
    if (fields_[buckets_[at]].name == name) return buckets_[at];
  }
  return std::nullopt;
}

std::string_view Content::check_literal(const Step& step, bool grouped, bool& at_line_start) {
  auto inside = [&](uint32_t offset, uint32_t size) {
    return offset <= pool_.size() && size <= pool_.size() - offset;
  };
  if (!inside(step.offset, step.size) || !inside(step.stuffed_offset, step.stuffed_size)) {
    return "a literal outside the pool";
  }
  std::string_view plain = pool_.substr(step.offset, step.size);
  std::string_view stuffed = pool_.substr(step.stuffed_offset, step.stuffed_size);
  if (grouped ? plain != stuffed : !is_stuffed(plain, at_line_start, stuffed)) {
    return "a literal and its stuffed form differ";
  }
  if (grouped ? plain.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos
              : find_bad_line_end(plain) != std::string_view::npos) {
    return "a literal with a bare CR, LF or NUL";
  }
  if (!plain.empty()) at_line_start = plain.ends_with('\n');
  size_t copied = std::max(plain.size(), stuffed.size());
  if (grouped) fixed_room_ += header_bound(copied);
  if (!grouped && copied <= kCopiedLiteralMax) fixed_room_ += copied;
  literal_bytes_ += plain.size();
  return {};
}

// One step: the group it stands in, what it may be, and the room it takes when rendered.
std::string_view Content::check_step(const Step& step, StepKind& group, bool& at_line_start) {
  bool grouped = group != StepKind::literal;
  if (step.kind == StepKind::literal) return check_literal(step, grouped, at_line_start);
  fixed_room_ += kStepRoom;
  switch (step.kind) {
    case StepKind::value: {
      bool plain = step.encoding == Encoding::plain;
      bool uri = step.encoding == Encoding::uri || step.encoding == Encoding::uri_start;
      bool fits = group == StepKind::header_begin ? plain
                  : group == StepKind::uri_begin  ? uri
                                                  : !plain;
      if (!fits) return "an encoding out of place";
      if (is_own(step.field)) {
        ++own_slots_;
        uses_verp_ = uses_verp_ || step.field == kFieldVerp;
      } else if (step.field >= fields_.size()) {
        return "a value of no field";
      } else {
        ++fields_[step.field].slots;
      }
      if (is_quoted_printable(step.encoding) && !at_line_start) return "a value inside a line";
      if (!is_quoted_printable(step.encoding)) at_line_start = false;
      return {};
    }
    case StepKind::date:
    case StepKind::message_id:
      at_line_start = false;
      return grouped ? "a step in a group" : "";
    case StepKind::header_begin:
    case StepKind::uri_begin:
      if (grouped) return "a group in a group";
      group = step.kind;
      return {};
    case StepKind::header_text:
    case StepKind::header_name:
      if (group != StepKind::header_begin) return "an end without its begin";
      group = StepKind::literal;
      at_line_start = false;
      return {};
    case StepKind::uri_end:
      if (group != StepKind::uri_begin) return "an end without its begin";
      group = StepKind::literal;
      at_line_start = false;
      return {};
    default:
      return "a bad step";
  }
}

std::string_view Content::check_program(const std::vector<Step>& program, bool in_lines) {
  StepKind group = StepKind::literal;  // none
  bool at_line_start = in_lines;
  for (const Step& step : program) {
    if (!in_lines && !stands_in_address(step)) return "a step that no address has";
    std::string_view wrong = check_step(step, group, at_line_start);
    if (!wrong.empty()) return wrong;
  }
  if (group != StepKind::literal) return "a begin without its end";
  if (in_lines && !at_line_start) return "a last line without its end";
  return {};
}

std::string content_name(std::string_view bytes) {
  return hex(sha256(bytes));
}

}  // namespace postring::mail
