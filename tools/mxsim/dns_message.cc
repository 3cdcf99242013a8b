#include "dns_message.h"

namespace mxsim {
namespace {

constexpr size_t kHeader = 12;
constexpr uint16_t kClassIn = 1;

uint16_t read16(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[at]) << 8 |
                               static_cast<uint8_t>(bytes[at + 1]));
}

void put16(std::string& out, uint32_t value) {
  out += static_cast<char>(value >> 8 & 255);
  out += static_cast<char>(value & 255);
}

void put32(std::string& out, uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}

void put_record(std::string& out, const Record& record) {
  out += wire_name(record.name);
  put16(out, record.type);
  put16(out, kClassIn);
  put32(out, record.ttl_s);
  put16(out, static_cast<uint32_t>(record.data.size()));
  out += record.data;
}

}  // namespace

std::optional<Question> parse_question(std::string_view message) {
  if (message.size() < kHeader) return std::nullopt;
  Question question;
  question.id = read16(message, 0);
  uint16_t flags = read16(message, 2);
  question.recursion_desired = (flags & 0x0100) != 0;
  if ((flags & 0xf800) != 0 || read16(message, 4) != 1) return std::nullopt;
  size_t at = kHeader;
  while (at < message.size() && message[at] != 0) {
    size_t length = static_cast<uint8_t>(message[at]);
    if (length > 63 || at + 1 + length >= message.size()) return std::nullopt;
    if (!question.name.empty()) question.name += '.';
    for (char c : message.substr(at + 1, length))
      question.name += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    at += 1 + length;
  }
  if (at + 5 > message.size()) return std::nullopt;
  question.type = read16(message, at + 1);
  if (read16(message, at + 3) != kClassIn) return std::nullopt;
  question.asked = message.substr(kHeader, at + 5 - kHeader);
  at += 5;
  // The only record a query carries is OPT: root name, type, size.
  bool has_opt = read16(message, 10) == 1 && at + 11 <= message.size() && message[at] == 0 &&
                 read16(message, at + 1) == kTypeOpt;
  if (has_opt) {
    question.edns = true;
    question.udp_size = read16(message, at + 3);
    if (question.udp_size < 512) question.udp_size = 512;
  }
  return question;
}

std::string wire_name(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    std::string_view label = name.substr(0, name.find('.'));
    out += static_cast<char>(label.size());
    out += label;
    name.remove_prefix(label.size() == name.size() ? label.size() : label.size() + 1);
  }
  out += '\0';
  return out;
}

Record a_record(std::string_view name, uint32_t ttl_s, uint32_t address) {
  Record record{std::string(name), kTypeA, ttl_s, ""};
  put32(record.data, address);
  return record;
}

Record aaaa_loopback_record(std::string_view name, uint32_t ttl_s) {
  Record record{std::string(name), kTypeAaaa, ttl_s, std::string(15, '\0')};
  record.data += '\1';
  return record;
}

Record mx_record(std::string_view name, uint32_t ttl_s, uint16_t preference,
                 std::string_view host) {
  Record record{std::string(name), kTypeMx, ttl_s, ""};
  put16(record.data, preference);
  record.data += wire_name(host);
  return record;
}

Record cname_record(std::string_view name, uint32_t ttl_s, std::string_view target) {
  return {std::string(name), kTypeCname, ttl_s, wire_name(target)};
}

Record soa_record(std::string_view name, uint32_t ttl_s) {
  Record record{std::string(name), kTypeSoa, ttl_s, wire_name("ns.mxsim.example")};
  record.data += wire_name("hostmaster.mxsim.example");
  for (uint32_t value : {1u, 3600u, 600u, 86400u, ttl_s}) put32(record.data, value);
  return record;
}

std::string write_answer(const Question& question, const Answer& answer, size_t limit) {
  std::string out;
  put16(out, question.id);
  uint32_t flags = 0x8480 | static_cast<uint32_t>(answer.rcode);  // response, AA, RA
  if (question.recursion_desired) flags |= 0x0100;
  put16(out, flags);
  put16(out, 1);
  put16(out, static_cast<uint32_t>(answer.answers.size()));
  put16(out, static_cast<uint32_t>(answer.authority.size()));
  put16(out, question.edns ? 1 : 0);
  out += question.asked;
  for (const Record& record : answer.answers) put_record(out, record);
  for (const Record& record : answer.authority) put_record(out, record);
  if (question.edns) {
    out += '\0';
    put16(out, kTypeOpt);
    put16(out, 1232);
    put32(out, 0);
    put16(out, 0);
  }
  if (out.size() <= limit) return out;
  out.resize(kHeader);
  out[2] = static_cast<char>(out[2] | 2);  // TC
  for (size_t i = 6; i < kHeader; ++i) out[i] = 0;
  return out + question.asked;
}

}  // namespace mxsim
