#include "mail/template.h"

#include <fmt/format.h>

#include "mail/content_source.h"
#include "mail/utf8.h"

namespace postring::mail {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

constexpr size_t kNameKept = 16;  // of a tag or attribute: longer than any that matters
constexpr size_t kRecentKept = 16;

}  // namespace

std::unexpected<Error> fail_at(std::string_view where, size_t byte, std::string_view what) {
  return fail(fmt::format("{}, byte {}: {}", where, byte, what));
}

bool is_field_name(std::string_view name) {
  if (name.empty() || name.size() > kFieldNameMax || !is_utf8(name)) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    char c = name[i];
    bool first = is_letter(c) || c == '_' || static_cast<uint8_t>(c) >= 0x80;
    bool later = (c >= '0' && c <= '9') || c == '.' || c == '-';
    if (!first && !(later && i > 0)) return false;
  }
  return true;
}

Result<std::vector<TemplatePart>> parse_template(std::string_view text, std::string_view where) {
  size_t bad = find_bad_utf8(text);
  if (bad != std::string_view::npos) return fail_at(where, bad, "not UTF-8");
  size_t nul = text.find('\0');
  if (nul != std::string_view::npos) return fail_at(where, nul, "a NUL byte");
  std::vector<TemplatePart> parts;
  size_t at = 0;
  while (at < text.size()) {
    size_t open = text.find("{{", at);
    size_t literal_end = std::min(open, text.size());
    if (literal_end > at) parts.push_back({false, text.substr(at, literal_end - at), at});
    if (open == std::string_view::npos) break;
    size_t close = text.find("}}", open + 2);
    if (close == std::string_view::npos)
      return fail_at(where, open, "'{{' without a '}}' after it");
    std::string_view name = text.substr(open + 2, close - open - 2);
    while (!name.empty() && is_blank(name.front())) name.remove_prefix(1);
    while (!name.empty() && is_blank(name.back())) name.remove_suffix(1);
    if (!is_field_name(name)) {
      return fail_at(where, open,
                     fmt::format("'{{{{{}}}}}' names no field: expected a letter or '_', then "
                                 "letters, digits, '_', '.' or '-', at most {} bytes",
                                 name.substr(0, kFieldNameMax), kFieldNameMax));
    }
    parts.push_back({true, name, open});
    at = close + 2;
  }
  return parts;
}

bool has_field(const std::vector<TemplatePart>& parts) {
  for (const TemplatePart& part : parts) {
    if (part.is_field) return true;
  }
  return false;
}

void HtmlScanner::literal(std::string_view html) {
  for (char c : html) feed(c);
}

void HtmlScanner::feed(char c) {
  recent_ += lower(c);
  if (recent_.size() > kRecentKept) recent_.erase(0, recent_.size() - kRecentKept);
  switch (state_) {
    case State::text:
      if (c == '<') state_ = State::tag_open;
      break;
    case State::tag_open:
      closing_ = c == '/';
      tag_.clear();
      if (is_letter(c)) {
        tag_ += lower(c);
        state_ = State::tag_name;
      } else if (c == '/') {
        state_ = State::tag_name;
      } else if (c == '!' || c == '?') {
        state_ = State::declaration;
      } else if (c != '<') {
        state_ = State::text;
      }
      break;
    case State::tag_name:
      if (c == '>') {
        end_tag();
      } else if (is_blank(c) || c == '/') {
        state_ = tag_.empty() ? State::text : State::between;
      } else if (tag_.size() < kNameKept) {
        tag_ += lower(c);
      }
      break;
    case State::declaration:
      if (recent_.ends_with("<!--")) {
        state_ = State::comment;
      } else if (c == '>') {
        state_ = State::text;
      }
      break;
    case State::comment:
      // "<!-->" is a whole comment, and "<!--[if ...]>" opens one whose inside is HTML.
      if (c == '>' && (recent_.ends_with("-->") || recent_.ends_with("--!>"))) state_ = State::text;
      if (recent_.ends_with("<!--[if")) state_ = State::declaration;
      break;
    case State::raw_text:
      if (c == '>' || is_blank(c) || c == '/') {
        std::string_view before(recent_.data(), recent_.size() - 1);
        if (before.ends_with("</" + tag_)) {
          closing_ = true;
          state_ = c == '>' ? State::text : State::between;
        }
      }
      break;
    case State::value:
      feed_value(c);
      break;
    default:
      feed_between(c);
  }
}

void HtmlScanner::feed_between(char c) {
  if (c == '>') return end_tag();
  switch (state_) {
    case State::between:
      if (is_blank(c) || c == '/') return;
      attribute_.assign(1, lower(c));
      state_ = State::attribute_name;
      return;
    case State::attribute_name:
      if (c == '=') {
        state_ = State::before_value;
      } else if (is_blank(c)) {
        state_ = State::after_name;
      } else if (c == '/') {
        state_ = State::between;
      } else if (attribute_.size() < kNameKept) {
        attribute_ += lower(c);
      }
      return;
    case State::after_name:
      if (c == '=') {
        state_ = State::before_value;
      } else if (!is_blank(c)) {
        state_ = State::between;
        feed_between(c);
      }
      return;
    case State::before_value:
      if (is_blank(c)) return;
      state_ = State::value;
      quote_ = c == '"' || c == '\'' ? c : char{0};
      value_empty_ = quote_ != 0;
      return;
    default:
      return;
  }
}

void HtmlScanner::feed_value(char c) {
  if (quote_ != 0) {
    if (c == quote_) {
      state_ = State::between;
    } else if (!is_blank(c)) {
      value_empty_ = false;
    }
    return;
  }
  if (c == '>') {
    end_tag();
  } else if (is_blank(c)) {
    state_ = State::between;
  }
}

void HtmlScanner::end_tag() {
  bool raw = !closing_ && (tag_ == "script" || tag_ == "style");
  state_ = raw ? State::raw_text : State::text;
}

bool HtmlScanner::is_url_attribute() const {
  for (std::string_view name : {"href", "src", "action", "background", "cite", "data", "formaction",
                                "longdesc", "poster", "xlink:href"}) {
    if (attribute_ == name) return true;
  }
  return false;
}

Result<Encoding, std::string_view> HtmlScanner::field() {
  switch (state_) {
    case State::text:
    case State::comment:
      return Encoding::qp_html;
    case State::value:
      if (quote_ != 0) {
        bool start = value_empty_;
        value_empty_ = false;
        if (!is_url_attribute()) return Encoding::qp_html;
        return start ? Encoding::qp_url_start : Encoding::qp_url;
      }
      [[fallthrough]];
    case State::before_value:
      return std::unexpected("a field in an attribute's value needs quotes around the value");
    case State::raw_text:
      return std::unexpected("no field can stand in <script> or <style>");
    case State::tag_open:
      // Escaping would not help: the value would name the tag.
      return std::unexpected("no field can stand right after '<'; write &lt; for the character");
    case State::declaration:
      return std::unexpected("no field can stand in a declaration");
    default:
      return std::unexpected("no field can stand in a tag's or attribute's name");
  }
}

}  // namespace postring::mail
