#include "mail/mime.h"

#include "base/base64.h"

namespace postring::mail {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}
bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  char folded = lower(c);
  return folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
}

// The next line with its CRLF, taken from `text`.
std::string_view take_line(std::string_view& text) {
  size_t end = text.find("\r\n");
  size_t size = end == std::string_view::npos ? text.size() : end + 2;
  std::string_view line = text.substr(0, size);
  text.remove_prefix(size);
  return line;
}

std::string decode_quoted_printable(std::string_view body) {
  std::string out;
  out.reserve(body.size());
  while (!body.empty()) {
    std::string_view line = take_line(body);
    bool hard = line.ends_with("\r\n");
    if (hard) line.remove_suffix(2);
    // Blanks at the end of a line were added on the way (RFC 2045 section 6.7, rule 3).
    while (!line.empty() && (line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
    for (size_t i = 0; i < line.size(); ++i) {
      if (line[i] != '=') {
        out += line[i];
        continue;
      }
      if (i + 1 == line.size()) {
        hard = false;
        break;
      }
      int high = hex_value(line[i + 1]);
      int low = i + 2 < line.size() ? hex_value(line[i + 2]) : -1;
      if (high < 0 || low < 0) {
        out += '=';
        continue;
      }
      out += static_cast<char>(high << 4 | low);
      i += 2;
    }
    if (hard) out += "\r\n";
  }
  return out;
}

// A token or quoted string at the start of `text`, taken from it.
std::string take_word(std::string_view& text) {
  std::string word;
  if (text.starts_with('"')) {
    size_t i = 1;
    for (; i < text.size() && text[i] != '"'; ++i) {
      if (text[i] == '\\' && i + 1 < text.size()) ++i;
      word += text[i];
    }
    text.remove_prefix(std::min(i + 1, text.size()));
    return word;
  }
  size_t end = text.find_first_of(" \t\r\n;");
  word = text.substr(0, end);
  text.remove_prefix(std::min(end, text.size()));
  return word;
}

}  // namespace

bool equals_folded(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

const HeaderField* Entity::find(std::string_view name) const {
  for (const HeaderField& field : headers) {
    if (equals_folded(field.name, name)) return &field;
  }
  return nullptr;
}

std::expected<Entity, EntityFault> parse_entity(std::string_view text) {
  Entity entity;
  std::string_view left = text;
  while (!left.empty()) {
    const char* start = left.data();
    std::string_view line = take_line(left);
    if (line == "\r\n") break;
    size_t colon = line.find(':');
    if (line[0] == ' ' || line[0] == '\t') {
      return std::unexpected(EntityFault{"a folded line without a header before it", line});
    }
    if (colon == std::string_view::npos || colon == 0) {
      return std::unexpected(EntityFault{"expected 'Name: value' or an empty line", line});
    }
    for (char c : line.substr(0, colon)) {
      if (c < 33 || c > 126) return std::unexpected(EntityFault{"a bad header name", line});
    }
    while (!left.empty() && (left[0] == ' ' || left[0] == '\t')) take_line(left);
    std::string_view whole(start, static_cast<size_t>(left.data() - start));
    entity.headers.push_back({line.substr(0, colon), trim_blanks(whole.substr(colon + 1)), whole});
  }
  size_t header_bytes = text.size() - left.size();
  entity.header_block = text.substr(0, header_bytes);
  entity.body = left;
  return entity;
}

std::string_view ContentType::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return value;
  }
  return {};
}

ContentType parse_content_type(std::string_view value) {
  ContentType found;
  std::string_view left = trim_blanks(value);
  found.type = to_lower(take_word(left));
  size_t slash = found.type.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == found.type.size()) {
    return {"text/plain", {}};
  }
  for (left = trim_blanks(left); left.starts_with(';'); left = trim_blanks(left)) {
    left = trim_blanks(left.substr(1));
    size_t equals = left.find('=');
    if (equals == std::string_view::npos) break;
    std::string name = to_lower(trim_blanks(left.substr(0, equals)));
    left = trim_blanks(left.substr(equals + 1));
    found.parameters.emplace_back(std::move(name), take_word(left));
  }
  return found;
}

std::vector<MultipartPiece> split_multipart(std::string_view body, std::string_view boundary) {
  std::vector<MultipartPiece> pieces;
  std::string delimiter = "--" + std::string(boundary);
  std::string_view left = body;
  size_t piece = 0;  // where the piece being collected starts
  bool in_part = false;
  bool closed = false;
  while (!left.empty() && !closed) {
    size_t at = body.size() - left.size();
    std::string_view line = take_line(left);
    if (!line.starts_with(delimiter)) continue;
    std::string_view after = trim_blanks(line.substr(delimiter.size()));
    if (!after.empty() && after != "--") continue;
    // The CRLF before a delimiter is the delimiter's, not the part's.
    size_t end = in_part && at >= piece + 2 ? at - 2 : at;
    if (in_part) pieces.push_back({true, body.substr(piece, end - piece)});
    size_t next = body.size() - left.size();
    size_t between = in_part ? end : piece;
    pieces.push_back({false, body.substr(between, next - between)});
    piece = next;
    in_part = after.empty();
    closed = !in_part;
  }
  if (piece < body.size()) pieces.push_back({in_part, body.substr(piece)});
  return pieces;
}

std::optional<std::string> decode_body(std::string_view body, std::string_view transfer_encoding) {
  std::string encoding = to_lower(trim_blanks(transfer_encoding));
  if (encoding.empty() || encoding == "7bit" || encoding == "8bit" || encoding == "binary") {
    return std::string(body);
  }
  if (encoding == "quoted-printable") return decode_quoted_printable(body);
  if (encoding != "base64") return std::nullopt;
  std::string digits;
  for (char c : body) {
    if (!is_blank(c)) digits += c;
  }
  return base64_decode(digits);
}

}  // namespace postring::mail
