#include "grammar.h"

#include <algorithm>
#include <charconv>

namespace mxsim {
namespace {

constexpr size_t kLineLimit = 998;
constexpr size_t kMailboxLimit = 254;
constexpr size_t kLocalPartLimit = 64;

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return (x >= 'a' && x <= 'z' ? x - 32 : x) == (y >= 'a' && y <= 'z' ? y - 32 : y);
         });
}

bool starts(std::string_view line, std::string_view prefix) {
  return line.size() >= prefix.size() && same(line.substr(0, prefix.size()), prefix);
}

bool is_atom(char c, bool smtputf8) {
  if (static_cast<unsigned char>(c) >= 0x80) return smtputf8;
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

bool is_dot_atom(std::string_view text, bool smtputf8) {
  bool need = true;
  for (char c : text) {
    if (c == '.') {
      if (need) return false;
      need = true;
    } else {
      if (!is_atom(c, smtputf8)) return false;
      need = false;
    }
  }
  return !need;
}

bool is_quoted(std::string_view text, bool smtputf8) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return false;
  for (size_t i = 1; i + 1 < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c == '\\') {
      if (++i + 1 >= text.size() || text[i] < 32 || text[i] > 126) return false;
    } else if (c == '"' || c < 32 || c == 127 || (c >= 0x80 && !smtputf8)) {
      return false;
    }
  }
  return true;
}

bool is_domain(std::string_view domain, bool smtputf8) {
  if (domain.size() > 2 && domain.front() == '[' && domain.back() == ']') return true;
  if (domain.empty() || domain.size() > 253) return false;
  while (true) {
    std::string_view label = domain.substr(0, domain.find('.'));
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-')
      return false;
    for (char c : label) {
      bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '-' || (static_cast<unsigned char>(c) >= 0x80 && smtputf8);
      if (!plain) return false;
    }
    if (label.size() == domain.size()) return true;
    domain.remove_prefix(label.size() + 1);
  }
}

// Takes "<...>" off the front of `rest`; false where there is none. Quoted strings may hold '>'.
bool take_path(std::string_view& rest, std::string& inside) {
  if (rest.empty() || rest[0] != '<') return false;
  bool quoted = false;
  for (size_t i = 1; i < rest.size(); ++i) {
    if (rest[i] == '\\' && quoted)
      ++i;
    else if (rest[i] == '"')
      quoted = !quoted;
    else if (rest[i] == '>' && !quoted) {
      inside = rest.substr(1, i - 1);
      rest.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

std::string read_parameter(std::string_view parameter, const Extensions& offered,
                           MailCommand& command) {
  if (starts(parameter, "SIZE=")) {
    if (!offered.size) return "size_not_offered";
    uint64_t size = 0;
    std::string_view digits = parameter.substr(5);
    auto end = std::from_chars(digits.data(), digits.data() + digits.size(), size);
    if (end.ec != std::errc() || end.ptr != digits.data() + digits.size()) return "size_syntax";
    command.size = size;
    return "";
  }
  if (same(parameter, "BODY=8BITMIME") || same(parameter, "BODY=7BIT")) {
    if (!offered.eight_bit) return "8bitmime_not_offered";
    command.eight_bit = same(parameter, "BODY=8BITMIME");
    return "";
  }
  if (same(parameter, "SMTPUTF8")) {
    if (!offered.smtputf8) return "smtputf8_not_offered";
    command.smtputf8 = true;
    return "";
  }
  return "mail_parameter_unknown";
}

void note(std::vector<std::string>& violations, const char* name) {
  if (std::find(violations.begin(), violations.end(), name) == violations.end())
    violations.push_back(name);
}

void check_line(std::string_view line, bool eight_bit, std::vector<std::string>& violations) {
  if (line.size() > kLineLimit) note(violations, "body_line_over_998");
  if (line.find('\r') != std::string_view::npos) note(violations, "body_bare_cr");
  if (line.find('\n') != std::string_view::npos) note(violations, "body_bare_lf");
  if (line.find('\0') != std::string_view::npos) note(violations, "body_nul");
  if (!eight_bit && std::any_of(line.begin(), line.end(), [](char c) { return (c & 0x80) != 0; }))
    note(violations, "body_8bit_undeclared");
}

}  // namespace

Verb verb_of(std::string_view line) {
  std::string_view word = line.substr(0, line.find(' '));
  constexpr std::pair<std::string_view, Verb> kVerbs[] = {
      {"MAIL", Verb::kMail}, {"RCPT", Verb::kRcpt}, {"DATA", Verb::kData}, {"BDAT", Verb::kBdat},
      {"EHLO", Verb::kEhlo}, {"HELO", Verb::kHelo}, {"QUIT", Verb::kQuit}, {"RSET", Verb::kRset},
      {"NOOP", Verb::kNoop}, {"VRFY", Verb::kVrfy}};
  for (auto [name, verb] : kVerbs)
    if (same(word, name)) return verb;
  return Verb::kUnknown;
}

std::string check_mailbox(std::string_view mailbox, bool smtputf8) {
  if (mailbox.size() > kMailboxLimit) return "mailbox_too_long";
  size_t at = mailbox.rfind('@');
  if (at == std::string_view::npos) return "mailbox_without_domain";
  std::string_view local = mailbox.substr(0, at);
  if (local.size() > kLocalPartLimit) return "local_part_too_long";
  if (!is_dot_atom(local, smtputf8) && !is_quoted(local, smtputf8)) return "local_part_syntax";
  if (!is_domain(mailbox.substr(at + 1), smtputf8)) return "domain_syntax";
  return "";
}

Parsed parse_mail(std::string_view line, const Extensions& offered, MailCommand& command) {
  if (!starts(line, "MAIL FROM:")) return {"mail_syntax"};
  std::string_view rest = line.substr(10);
  if (!take_path(rest, command.sender)) return {"mail_syntax"};
  while (!rest.empty()) {
    if (rest[0] != ' ' || rest.size() < 2) return {"mail_syntax"};
    rest.remove_prefix(1);
    std::string_view parameter = rest.substr(0, rest.find(' '));
    std::string wrong = read_parameter(parameter, offered, command);
    if (!wrong.empty()) return {wrong};
    rest.remove_prefix(parameter.size());
  }
  if (command.sender.empty()) return {};
  return {check_mailbox(command.sender, command.smtputf8)};
}

Parsed parse_rcpt(std::string_view line, bool smtputf8, std::string& recipient) {
  if (!starts(line, "RCPT TO:")) return {"rcpt_syntax"};
  std::string_view rest = line.substr(8);
  if (!take_path(rest, recipient)) return {"rcpt_syntax"};
  if (!rest.empty()) return {"rcpt_parameter_unknown"};
  return {check_mailbox(recipient, smtputf8)};
}

Parsed parse_bdat(std::string_view line, uint64_t& size, bool& last) {
  if (!starts(line, "BDAT ")) return {"bdat_syntax"};
  std::string_view digits = line.substr(5);
  auto end = std::from_chars(digits.data(), digits.data() + digits.size(), size);
  if (end.ec != std::errc()) return {"bdat_syntax"};
  digits.remove_prefix(static_cast<size_t>(end.ptr - digits.data()));
  last = same(digits, " LAST");
  return {digits.empty() || last ? "" : "bdat_syntax"};
}

Parsed parse_helo(std::string_view line, std::string& name) {
  if (line.size() < 6) return {"helo_syntax"};
  name = line.substr(5);
  return {is_domain(name, false) ? "" : "helo_syntax"};
}

Received unwrap(std::string_view sent, bool stuffed, bool eight_bit_declared) {
  Received received;
  received.message.reserve(sent.size());
  bool in_header = true;
  while (!sent.empty()) {
    size_t end = sent.find("\r\n");
    if (end == std::string_view::npos) {
      // Only BDAT can get here: DATA ends with a line of its own.
      note(received.violations, "body_without_final_crlf");
      check_line(sent, eight_bit_declared, received.violations);
      received.message.append(sent);
      break;
    }
    std::string_view line = sent.substr(0, end);
    sent.remove_prefix(end + 2);
    if (stuffed && line == "." && sent.empty()) break;
    if (stuffed && !line.empty() && line[0] == '.') {
      if (line.size() < 2 || line[1] != '.') note(received.violations, "body_dot_not_stuffed");
      line.remove_prefix(1);
    }
    check_line(line, eight_bit_declared, received.violations);
    if (line.empty()) in_header = false;
    if (in_header && starts(line, "Message-ID:")) {
      std::string_view value = line.substr(11);
      value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
      received.message_id = value;
    }
    received.message.append(line).append("\r\n");
  }
  return received;
}

}  // namespace mxsim
