// What a merged template must say, found in the plain way: the source's text with the values put
// in, against the rendered message with its encodings taken off. Shares nothing with compiler and
// renderer, so that a value that is dropped, cut, exchanged or put elsewhere is seen.
//
//   Values values = {{"name", "Anna"}, {"address", "anna@example.org"}};
//   REQUIRE(says(part_of(message, "text/plain"), filled(source.text, values, Place::text)));
//
// Which of the ways to encode a value is right where it stands is judged by tests/mail; here any of
// them will do.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "mail/mime.h"
#include "require.h"

namespace postring::mail {

using Values = std::map<std::string, std::string, std::less<>>;

// In a row; of each the texts of which one must stand there. Nothing: any text at all.
using Filled = std::vector<std::vector<std::string>>;

enum class Place : uint8_t { text, html, header, local_part, uri };

// Every line end of a piece as CRLF: a value between CR and LF makes two of them.
inline std::string with_crlf(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    bool pair = text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
    if (pair) ++i;
    text[i] == '\r' || text[i] == '\n' ? out += "\r\n" : out += text[i];
  }
  return out;
}

inline std::string as_html(std::string_view text) {
  static const std::map<char, std::string_view> kEntities = {
      {'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
  std::string out;
  for (char c : text) {
    auto entity = kEntities.find(c);
    entity == kEntities.end() ? out += c : out += entity->second;
  }
  return out;
}

// `kept`: the characters beside the unreserved ones of RFC 3986 that stay.
inline std::string as_percent(std::string_view text, std::string_view kept) {
  std::string out;
  for (char c : text) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || std::string_view("-._~").contains(c) || kept.contains(c)) {
      out += c;
      continue;
    }
    char escaped[4];
    std::snprintf(escaped, sizeof(escaped), "%%%02X",
                  static_cast<unsigned>(static_cast<uint8_t>(c)));
    out += escaped;
  }
  return out;
}

inline std::string as_local_part(std::string_view text) {
  std::string out;
  text = text.substr(0, 64);
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    bool kept = letter || std::string_view("_+=-").contains(c);
    // Only where the local part remains a dot-string.
    if (c == '.') kept = i > 0 && i + 1 < text.size() && text[i - 1] != '.';
    out += kept ? c : '_';
  }
  return out.empty() ? "_" : out;
}

inline std::vector<std::string> ways_to_say(std::string_view value, Place place) {
  static constexpr std::string_view kReserved = ":/?#[]@!$&'()*+,;=%";
  switch (place) {
    case Place::text:
      return {with_crlf(value)};
    case Place::html:
      return {with_crlf(as_html(value)), as_percent(value, ""),
              as_html(as_percent(value, kReserved))};
    case Place::uri:
      return {as_percent(value, ""), as_percent(value, kReserved)};
    case Place::header:
      return {std::string(value)};
    case Place::local_part:
      return {as_local_part(value)};
  }
  return {};
}

// Between the braces; blanks are those of HTML.
inline std::string_view name_in(std::string_view braced) {
  constexpr std::string_view kBlanks = " \t\r\n\f";
  size_t first = std::min(braced.find_first_not_of(kBlanks), braced.size());
  return braced.substr(first, braced.find_last_not_of(kBlanks) + 1 - first);
}

// A template that compiled.
inline Filled filled(std::string_view source, const Values& values, Place place) {
  Filled out;
  bool in_lines = place == Place::text || place == Place::html;
  while (!source.empty()) {
    size_t open = std::min(source.find("{{"), source.size());
    std::string_view literal = source.substr(0, open);
    out.push_back({in_lines ? with_crlf(literal) : std::string(literal)});
    source.remove_prefix(open);
    if (source.empty()) break;
    size_t close = source.find("}}");
    REQUIRE(close != std::string_view::npos);
    std::string_view name = name_in(source.substr(2, close - 2));
    source.remove_prefix(close + 2);
    // It has fields of its own.
    if (name == "unsubscribe_url") {
      out.emplace_back();
      continue;
    }
    auto value = values.find(name);
    out.push_back(ways_to_say(value == values.end() ? "" : value->second, place));
  }
  if (in_lines) out.push_back({"", "\r\n"});
  return out;
}

inline bool says(std::string_view text, const Filled& pieces) {
  std::set<size_t> places = {0};
  for (const auto& ways : pieces) {
    std::set<size_t> next;
    for (size_t place : places) {
      for (const std::string& way : ways) {
        if (text.substr(place).starts_with(way)) next.insert(place + way.size());
      }
    }
    if (ways.empty()) {
      for (size_t i = *places.begin(); i <= text.size(); ++i) next.insert(i);
    }
    if (next.empty()) return false;
    places = std::move(next);
  }
  return places.contains(text.size());
}

// The one text that it is, of a template whose places leave no choice.
inline std::string text_of(const Filled& pieces) {
  std::string out;
  for (const auto& ways : pieces) out += ways.at(0);
  return out;
}

// Of a header's text: controls became spaces, and those at both ends went.
inline std::string as_header(std::string_view text) {
  std::string out;
  for (char c : text) out += static_cast<uint8_t>(c) < 32 || c == 127 ? ' ' : c;
  out.erase(0, out.find_first_not_of(' '));
  out.erase(out.find_last_not_of(' ') + 1);
  return out;
}

inline std::string without_quoted_printable(std::string_view text) {
  std::string out;
  auto digit = [](char c) { return std::string_view("0123456789ABCDEF").find(c); };
  while (!text.empty()) {
    size_t end = std::min(text.find("\r\n"), text.size());
    std::string_view line = text.substr(0, end);
    bool ended = end < text.size();
    text.remove_prefix(std::min(end + 2, text.size()));
    while (ended && (line.ends_with(' ') || line.ends_with('\t'))) line.remove_suffix(1);
    bool soft = line.ends_with('=');
    if (soft) line.remove_suffix(1);
    for (size_t i = 0; i < line.size(); ++i) {
      if (line[i] != '=') {
        out += line[i];
        continue;
      }
      REQUIRE(i + 2 < line.size() && digit(line[i + 1]) < 16 && digit(line[i + 2]) < 16);
      out += static_cast<char>(digit(line[i + 1]) * 16 + digit(line[i + 2]));
      i += 2;
    }
    if (ended && !soft) out += "\r\n";
  }
  return out;
}

// The unfolded value of a header's field; `header` ends with CRLF.
inline std::optional<std::string> header_value(std::string_view header, std::string_view name) {
  std::string start = "\r\n" + std::string(name) + ": ", lines = "\r\n" + std::string(header);
  size_t at = lines.find(start);
  if (at == std::string::npos) return std::nullopt;
  std::string value;
  for (at += start.size(); at < lines.size(); ++at) {
    bool line_end = lines.compare(at, 2, "\r\n") == 0;
    if (line_end && !(lines.compare(at + 2, 1, " ") == 0 || lines.compare(at + 2, 1, "\t") == 0))
      break;
    if (line_end) at += 2;
    value += lines[at];
  }
  return value;
}

// The text of the first part of this type, of a message of text and HTML without attachments.
inline std::string part_of(std::string_view message, std::string_view type) {
  size_t header_end = message.find("\r\n\r\n") + 2;
  std::string_view header = message.substr(0, header_end), body = message.substr(header_end + 2);
  auto content_type = header_value(header, "Content-Type");
  REQUIRE(content_type);
  size_t boundary_at = content_type->find("boundary=\"");
  if (boundary_at != std::string::npos) {
    std::string_view boundary = std::string_view(*content_type).substr(boundary_at + 10);
    std::string delimiter = "\r\n--" + std::string(boundary.substr(0, boundary.find('"')));
    std::string whole = "\r\n" + std::string(body);
    for (size_t at = whole.find(delimiter); at != std::string::npos;) {
      size_t begin = at + delimiter.size() + 2, end = whole.find(delimiter, begin);
      if (end == std::string::npos) break;
      std::string_view part = std::string_view(whole).substr(begin, end - begin);
      if (part.starts_with("Content-Type: " + std::string(type))) return part_of(part, type);
      at = end;
    }
    return "no such part";
  }
  if (!content_type->starts_with(type)) return "no such part";
  if (header_value(header, "Content-Transfer-Encoding") == "quoted-printable") {
    return without_quoted_printable(body);
  }
  return decode_body(body, "base64").value_or("no base64");
}

}  // namespace postring::mail
