// The headers of a content: text, addresses, unsubscribe (mail/content_builder.h).
#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "mail/address.h"
#include "mail/content_builder.h"
#include "mail/encode.h"
#include "mail/mime.h"
#include "mail/utf8.h"

namespace postring::mail {
namespace {

// What a value counts for when the length of an address is judged.
constexpr size_t kIdSample = 16;
constexpr size_t kVerpSample = 30;

std::string header_text(std::string_view text, size_t column) {
  std::string out(header_bound(text.size()), '\0');
  char* end = put_header_text(text, column, out.data());
  out.resize(static_cast<size_t>(end - out.data()));
  return out;
}

std::string display_name(std::string_view text, size_t column) {
  std::string out(header_bound(text.size()), '\0');
  char* end = put_display_name(text, column, out.data());
  out.resize(static_cast<size_t>(end - out.data()));
  return out;
}

// Where a list of mailboxes is cut: at commas outside of quotes and brackets.
std::vector<std::string_view> split_mailboxes(std::string_view text) {
  std::vector<std::string_view> found;
  bool quoted = false;
  size_t start = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    bool end = i == text.size();
    if (!end && quoted && text[i] == '\\' && i + 1 < text.size()) {
      ++i;
    } else if (!end && text[i] == '"') {
      quoted = !quoted;
    } else if (end || (!quoted && text[i] == ',')) {
      found.push_back(text.substr(start, std::min(i, text.size()) - start));
      start = i + 1;
    }
  }
  return found;
}

struct MailboxParts {
  std::string_view name;
  std::string_view address;
};
MailboxParts split_mailbox(std::string_view text) {
  text = trim_blanks(text);
  size_t open = text.rfind('<');
  if (!text.ends_with('>') || open == std::string_view::npos) return {{}, text};
  std::string_view address = text.substr(open + 1, text.size() - open - 2);
  return {trim_blanks(text.substr(0, open)), trim_blanks(address)};
}

std::string unquote(std::string_view name) {
  if (name.size() < 2 || !name.starts_with('"') || !name.ends_with('"')) return std::string(name);
  std::string out;
  for (size_t i = 1; i + 1 < name.size(); ++i) {
    if (name[i] == '\\' && i + 2 < name.size()) ++i;
    out += name[i];
  }
  return out;
}

}  // namespace

Result<void> ContentBuilder::unstructured(std::string_view name, std::string_view text,
                                          std::string_view where) {
  if (text.size() > kHeaderTemplateMax) {
    return fail_at(where, kHeaderTemplateMax, fmt::format("longer than {}", kHeaderTemplateMax));
  }
  size_t control = text.find_first_of(std::string_view("\r\n\0", 3));
  if (control != std::string_view::npos) {
    return fail_at(where, control, "a header cannot hold CR, LF or NUL");
  }
  auto parts = parse_template(text, where);
  if (!parts) return std::unexpected(parts.error());
  Program& program = head();
  literal(program, name);
  literal(program, ": ");
  size_t column = name.size() + 2;
  if (!has_field(*parts)) {
    literal(program, header_text(text, column));
    literal(program, "\r\n");
    return {};
  }
  Step begin;
  begin.kind = StepKind::header_begin;
  begin.size = static_cast<uint32_t>(column);
  program.push_back(begin);
  for (const TemplatePart& part : *parts) {
    if (!part.is_field) {
      literal(program, part.text);
    } else if (auto put = value(program, part.text, Encoding::plain, where, part.byte); !put) {
      return put;
    }
  }
  Step end;
  end.kind = StepKind::header_text;
  program.push_back(end);
  literal(program, "\r\n");
  return {};
}

Result<void> ContentBuilder::address(Program& program, std::string_view text,
                                     std::string_view where, size_t byte) {
  auto parts = parse_template(text, where);
  if (!parts) return std::unexpected(parts.error());
  if (parts->size() == 1 && parts->front().is_field) {
    return value(program, parts->front().text, Encoding::mailbox, where, byte);
  }
  // The address with something plausible in the place of its fields must be one.
  std::string sample;
  for (const TemplatePart& part : *parts) {
    size_t size = part.text == "verp" ? kVerpSample : part.text == "recipient_id" ? kIdSample : 1;
    part.is_field ? sample.append(size, 'x') : sample.append(part.text);
  }
  auto checked = parse_address(sample);
  if (!checked) {
    return fail_at(where, byte,
                   fmt::format("'{}' is no address ({})", text, checked.error().message));
  }
  if (checked->needs_smtputf8()) {
    return fail_at(where, byte, fmt::format("'{}': a sender's local part must be ASCII", text));
  }
  bool quoted = sample.starts_with('"');
  size_t last_at = text.rfind('@');
  for (const TemplatePart& part : *parts) {
    if (!part.is_field) {
      size_t end = part.byte + part.text.size();
      std::string_view local = part.text;
      if (last_at < end)
        local = text.substr(part.byte, last_at > part.byte ? last_at - part.byte : 0);
      literal(program, local);
    } else if (part.byte > last_at || quoted) {
      return fail_at(where, byte + part.byte,
                     "in an address a field can stand in an unquoted local part only");
    } else if (auto put = value(program, part.text, Encoding::local_part, where, byte + part.byte);
               !put) {
      return put;
    }
  }
  literal(program, "@");
  literal(program, checked->domain());
  return {};
}

Result<void> ContentBuilder::mailbox(Program& program, std::string_view text, size_t column,
                                     bool words, std::string_view where, size_t byte) {
  MailboxParts mailbox = split_mailbox(text);
  std::string name = unquote(mailbox.name);
  if (words) name = decode_header_text(name);
  auto parts = parse_template(name, where);
  if (!parts) return std::unexpected(parts.error());
  bool bare = mailbox.name.empty() && !text.contains('<');
  if (!has_field(*parts)) {
    literal(program, display_name(name, column));
  } else {
    Step begin;
    begin.kind = StepKind::header_begin;
    begin.size = static_cast<uint32_t>(column);
    program.push_back(begin);
    for (const TemplatePart& part : *parts) {
      if (!part.is_field) {
        literal(program, part.text);
      } else if (auto put = value(program, part.text, Encoding::plain, where, byte + part.byte);
                 !put) {
        return put;
      }
    }
    Step end;
    end.kind = StepKind::header_name;
    program.push_back(end);
  }
  if (!bare) literal(program, "<");
  size_t address_byte = byte + static_cast<size_t>(mailbox.address.data() - text.data());
  auto put = address(program, mailbox.address, where, address_byte);
  if (!put) return put;
  if (!bare) literal(program, ">");
  return {};
}

Result<void> ContentBuilder::mailboxes(std::string_view name, std::string_view text,
                                       std::string_view where, bool words) {
  if (text.size() > kHeaderTemplateMax) {
    return fail_at(where, kHeaderTemplateMax, fmt::format("longer than {}", kHeaderTemplateMax));
  }
  size_t control = words ? text.find('\0') : text.find_first_of(std::string_view("\r\n\0", 3));
  if (control != std::string_view::npos) {
    return fail_at(where, control, "a header cannot hold CR, LF or NUL");
  }
  size_t bad = find_bad_utf8(text);
  if (bad != std::string_view::npos) return fail_at(where, bad, "not UTF-8");
  Program& program = head();
  literal(program, name);
  literal(program, ": ");
  size_t column = name.size() + 2;
  for (std::string_view one : split_mailboxes(text)) {
    if (column == 1) literal(program, ",\r\n ");
    auto byte = static_cast<size_t>(one.data() - text.data());
    if (auto put = mailbox(program, one, column, words, where, byte); !put) return put;
    column = 1;
  }
  literal(program, "\r\n");
  return {};
}

Result<void> ContentBuilder::read_unsubscribe(std::string_view text, std::string_view where) {
  unsubscribe_where_ = where;
  std::string_view left = trim_blanks(text);
  if (left.empty() || left == "none") return {};
  if (text.size() > kHeaderTemplateMax) {
    return fail_at(where, kHeaderTemplateMax, fmt::format("longer than {}", kHeaderTemplateMax));
  }
  auto parts = parse_template(text, where);
  if (!parts) return std::unexpected(parts.error());
  // Cut into URIs at blanks and brackets; a comma between two of them is no part of either.
  std::vector<Uri> uris(1);
  for (const TemplatePart& part : *parts) {
    if (part.is_field) {
      uris.back().parts.push_back(part);
      continue;
    }
    size_t at = 0;
    while (at < part.text.size()) {
      size_t end = std::min(part.text.find_first_of("<> \t\r\n", at), part.text.size());
      std::string_view run = part.text.substr(at, end - at);
      if (uris.back().parts.empty()) {
        size_t comma = std::min(run.find_first_not_of(','), run.size());
        run.remove_prefix(comma);
        at += comma;
      }
      bool cut = end < part.text.size();
      if (cut && run.ends_with(',')) run.remove_suffix(1);
      if (!run.empty()) uris.back().parts.push_back({false, run, part.byte + at});
      if (cut && !uris.back().parts.empty()) uris.emplace_back();
      at = end + 1;
    }
  }
  for (Uri& uri : uris) {
    if (uri.parts.empty()) continue;
    const TemplatePart& first = uri.parts.front();
    std::string start = first.is_field ? std::string() : to_lower(first.text);
    bool https = start.starts_with("https://");
    if (!https && !start.starts_with("mailto:")) {
      return fail_at(where, first.byte, "expected a URI that starts with https:// or mailto:");
    }
    Uri& kept = https ? https_ : mailto_;
    if (!kept.parts.empty()) {
      return fail_at(where, first.byte, "one https and one mailto URI at most");
    }
    for (const TemplatePart& part : uri.parts) {
      for (size_t i = 0; i < part.text.size() && !part.is_field; ++i) {
        char c = part.text[i];
        if (c <= ' ' || c > 126 || c == '"' || c == '\\' || c == '`' || c == '{' || c == '}') {
          return fail_at(where, part.byte + i, "a byte no URI holds; percent-encode it");
        }
      }
    }
    kept = std::move(uri);
  }
  return {};
}

Result<void> ContentBuilder::list_unsubscribe() {
  if (https_.parts.empty() && mailto_.parts.empty()) return {};
  Program& program = head();
  literal(program, "List-Unsubscribe: ");
  bool second = false;
  for (const Uri* uri : {&https_, &mailto_}) {
    if (uri->parts.empty()) continue;
    literal(program, second ? ",\r\n <" : "<");
    second = true;
    Step step;
    step.kind = StepKind::uri_begin;
    program.push_back(step);
    for (const TemplatePart& part : uri->parts) {
      if (!part.is_field) {
        literal(program, part.text);
      } else if (auto put = value(program, part.text, Encoding::uri, unsubscribe_where_, part.byte);
                 !put) {
        return put;
      }
    }
    step.kind = StepKind::uri_end;
    program.push_back(step);
    literal(program, ">");
  }
  literal(program, "\r\n");
  // RFC 8058 section 3.1: only where there is an https URI to post to.
  if (!https_.parts.empty()) {
    literal(program, "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n");
  }
  parts_.has_unsubscribe = true;
  return {};
}

Result<void> ContentBuilder::return_path(std::string_view text, std::string_view where) {
  text = trim_blanks(text);
  if (text == "<>") return {};
  std::string_view inside = text;
  if (inside.starts_with('<') && inside.ends_with('>')) {
    inside.remove_prefix(1);
    inside.remove_suffix(1);
  }
  return address(parts_.return_path, inside, where, 0);
}

std::string_view ContentBuilder::first_address(std::string_view mailboxes) {
  std::vector<std::string_view> list = split_mailboxes(mailboxes);
  CHECK(!list.empty());
  return split_mailbox(list.front()).address;
}

}  // namespace postring::mail
