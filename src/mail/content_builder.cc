#include "mail/content_builder.h"

#include <fmt/format.h>

#include "base/check.h"
#include "mail/address.h"
#include "mail/encode.h"
#include "mail/lines.h"
#include "mail/mime.h"
#include "mail/utf8.h"

namespace postring::mail {
namespace {

std::optional<uint16_t> own_field(std::string_view name) {
  if (name == "address") return kFieldAddress;
  if (name == "recipient_id") return kFieldRecipientId;
  if (name == "verp") return kFieldVerp;
  return std::nullopt;
}

constexpr std::string_view kUnsubscribeUrl = "unsubscribe_url";

// Of a URI, in which no other character means something to HTML.
std::string escape_html(std::string_view uri) {
  std::string out;
  for (char c : uri) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '\'') {
      out += "&#39;";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

void ContentBuilder::clear() {
  parts_ = {};
  numbers_.clear();
  https_ = {};
  mailto_ = {};
  slots_ = 0;
}

void ContentBuilder::literal(Program& program, std::string_view bytes) {
  if (bytes.empty()) return;
  bool follows = !program.empty() && program.back().kind == StepKind::literal &&
                 program.back().offset + program.back().size == parts_.pool.size();
  auto size = static_cast<uint32_t>(bytes.size());
  if (follows) {
    program.back().size += size;
  } else {
    Step step;
    step.offset = static_cast<uint32_t>(parts_.pool.size());
    step.size = size;
    program.push_back(step);
  }
  parts_.pool += bytes;
}

Result<void> ContentBuilder::value(Program& program, std::string_view name, Encoding encoding,
                                   std::string_view where, size_t byte) {
  Step step;
  step.kind = StepKind::value;
  step.encoding = encoding;
  if (name == kUnsubscribeUrl) {
    return fail_at(where, byte, "{{unsubscribe_url}} can stand in text and html only");
  }
  if (++slots_ > kSlotsMax) {
    return fail_at(where, byte, fmt::format("more than {} fields in all", kSlotsMax));
  }
  if (auto own = own_field(name)) {
    step.field = *own;
  } else if (auto known = numbers_.find(name); known != numbers_.end()) {
    step.field = known->second;
  } else {
    if (parts_.fields.size() == kFieldsMax) {
      return fail_at(where, byte, fmt::format("more than {} different fields", kFieldsMax));
    }
    step.field = static_cast<uint16_t>(parts_.fields.size());
    numbers_.emplace(std::string(name), step.field);
    parts_.fields.push_back({std::string(name), {}, false, false});
  }
  if (encoding == Encoding::mailbox && step.field < kFieldsMax) {
    parts_.fields[step.field].is_mailbox = true;
  }
  program.push_back(step);
  return {};
}

Result<void> ContentBuilder::unsubscribe_url(Program& program, std::string& pending, bool html,
                                             std::string_view where, size_t byte) {
  if (https_.parts.empty()) {
    return fail_at(where, byte, "{{unsubscribe_url}} needs an https URI in 'unsubscribe'");
  }
  QuotedPrintable qp(pending);
  for (const TemplatePart& part : https_.parts) {
    if (!part.is_field) {
      qp.text(html ? escape_html(part.text) : part.text);
      continue;
    }
    qp.slot();
    literal(program, pending);
    pending.clear();
    if (auto put = value(program, part.text, Encoding::qp_url, where, byte); !put) return put;
  }
  qp.slot();
  return {};
}

Result<ContentBuilder::TextPart> ContentBuilder::text_part(std::string_view text, bool html,
                                                           bool ends_line, std::string_view where) {
  if (text.size() > kPartMax) {
    return fail_at(where, kPartMax, fmt::format("longer than {} bytes", kPartMax));
  }
  std::vector<TemplatePart> parts;
  if (source_.merge || source_.raw.empty()) {
    auto parsed = parse_template(text, where);
    if (!parsed) return std::unexpected(parsed.error());
    parts = std::move(*parsed);
  }
  bool ended = !text.empty() && (text.ends_with('\n') || text.ends_with('\r'));
  if (ends_line && !ended) parts.push_back({false, "\n", text.size()});
  TextPart part{"quoted-printable", {}};
  HtmlScanner scanner;
  std::string pending;
  QuotedPrintable qp(pending);
  for (const TemplatePart& piece : parts) {
    if (!piece.is_field) {
      if (html) scanner.literal(piece.text);
      qp.text(piece.text);
      continue;
    }
    Encoding encoding = Encoding::qp_text;
    if (html) {
      auto judged = scanner.field();
      if (!judged) return fail_at(where, piece.byte, judged.error());
      encoding = *judged;
    }
    qp.slot();
    if (piece.text == kUnsubscribeUrl) {
      auto put = unsubscribe_url(part.program, pending, html, where, piece.byte);
      if (!put) return std::unexpected(put.error());
      continue;
    }
    literal(part.program, pending);
    pending.clear();
    auto put = value(part.program, piece.text, encoding, where, piece.byte);
    if (!put) return std::unexpected(put.error());
  }
  if (!has_field(parts) && ends_line && !text.empty()) {
    std::string base64 = base64_lines(normalise_lines(text));
    if (base64.size() < pending.size()) {
      part.transfer_encoding = "base64";
      pending = std::move(base64);
    }
  }
  literal(part.program, pending);
  return part;
}

void ContentBuilder::end_line() {
  if (parts_.body.empty() || parts_.body.back().kind != StepKind::literal) return;
  const Step& last = parts_.body.back();
  bool open = parts_.pool[last.offset + last.size - 1] != '\n';
  if (open) literal(parts_.body, "\r\n");
}

void ContentBuilder::append(Program& program, const Program& more) {
  for (const Step& step : more) {
    Step* last = program.empty() ? nullptr : &program.back();
    bool joins = last != nullptr && last->kind == StepKind::literal &&
                 step.kind == StepKind::literal && last->offset + last->size == step.offset;
    if (joins) {
      last->size += step.size;
    } else {
      program.push_back(step);
    }
  }
}

Result<void> ContentBuilder::defaults() {
  for (const SourceDefault& given : source_.defaults) {
    std::string where = fmt::format("defaults, '{}'", given.field);
    auto found = numbers_.find(given.field);
    if (found == numbers_.end()) {
      return fail(where + ": no such field in the content");
    }
    auto& field = parts_.fields[found->second];
    if (field.has_default) return fail(where + ": given twice");
    if (given.value.size() > kDefaultMax) {
      return fail_at(where, kDefaultMax, fmt::format("longer than {} bytes", kDefaultMax));
    }
    size_t bad = find_bad_utf8(given.value);
    if (bad != std::string::npos) return fail_at(where, bad, "not UTF-8");
    size_t nul = given.value.find('\0');
    if (nul != std::string::npos) return fail_at(where, nul, "a NUL byte");
    if (field.is_mailbox) {
      auto view = scan_address(given.value);
      if (!view || view->needs_smtputf8 || !is_ascii(view->domain)) {
        return fail(where + ": must be an ASCII address, for it stands as one");
      }
    }
    field.default_value = given.value;
    field.has_default = true;
  }
  return {};
}

void ContentBuilder::stuff(Program& program) {
  bool at_line_start = true;
  bool in_group = false;
  for (Step& step : program) {
    if (step.kind == StepKind::header_begin || step.kind == StepKind::uri_begin) in_group = true;
    if (step.kind == StepKind::header_text || step.kind == StepKind::header_name ||
        step.kind == StepKind::uri_end) {
      in_group = false;
    }
    if (step.kind != StepKind::literal) {
      // Quoted-printable values end their line; what else there is stands inside one.
      at_line_start =
          step.kind == StepKind::value && is_quoted_printable(step.encoding) && at_line_start;
      continue;
    }
    step.stuffed_offset = step.offset;
    step.stuffed_size = step.size;
    std::string_view plain = std::string_view(parts_.pool).substr(step.offset, step.size);
    bool ends_line = plain.ends_with('\n');
    if (!in_group && has_leading_dot(plain, at_line_start)) {
      std::string stuffed;
      append_stuffed(plain, at_line_start, stuffed);
      step.stuffed_offset = static_cast<uint32_t>(parts_.pool.size());
      step.stuffed_size = static_cast<uint32_t>(stuffed.size());
      parts_.pool += stuffed;
    }
    at_line_start = ends_line;
  }
}

Result<std::string> ContentBuilder::finish() {
  if (auto done = defaults(); !done) return std::unexpected(done.error());
  parts_.rejects_missing = source_.missing_field == MissingField::reject;
  auto has_8bit = [&](const Program& program) {
    bool grouped = false;
    for (const Step& step : program) {
      if (step.kind == StepKind::header_begin) grouped = true;
      if (step.kind == StepKind::header_text || step.kind == StepKind::header_name) grouped = false;
      std::string_view bytes = std::string_view(parts_.pool).substr(step.offset, step.size);
      if (!grouped && step.kind == StepKind::literal && !is_ascii(bytes)) return true;
    }
    return false;
  };
  parts_.needs_smtputf8 = has_8bit(parts_.head);
  parts_.needs_8bit = parts_.needs_smtputf8 || has_8bit(parts_.body);
  stuff(parts_.head);
  stuff(parts_.body);
  stuff(parts_.return_path);
  std::string bytes = write_content(parts_);
  auto loaded = Content::load(bytes);
  CHECK(loaded.has_value(), loaded ? std::string_view{} : loaded.error().message);
  return bytes;
}

}  // namespace postring::mail
