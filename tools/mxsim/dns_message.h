// DNS messages (RFC 1035, OPT of RFC 6891): reads a question, writes an answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mxsim {

enum DnsType : uint16_t {
  kTypeA = 1,
  kTypeCname = 5,
  kTypeSoa = 6,
  kTypeMx = 15,
  kTypeAaaa = 28,
  kTypeOpt = 41,
  kTypeAny = 255,
};

enum class Rcode : uint8_t {
  kNoError = 0,
  kFormErr = 1,
  kServFail = 2,
  kNxDomain = 3,
  kRefused = 5
};

struct Question {
  uint16_t id = 0;
  bool recursion_desired = false;
  bool edns = false;
  uint16_t udp_size = 512;
  std::string asked;  // the question section's bytes, to be sent back
  std::string name;   // lower case, no final dot
  uint16_t type = 0;
};

// Nothing for what is no query with one question of class IN.
std::optional<Question> parse_question(std::string_view message);

struct Record {
  std::string name;
  uint16_t type = 0;
  uint32_t ttl_s = 0;
  std::string data;  // as it goes on the wire, names uncompressed
};

std::string wire_name(std::string_view name);
Record a_record(std::string_view name, uint32_t ttl_s, uint32_t address);
Record aaaa_loopback_record(std::string_view name, uint32_t ttl_s);
Record mx_record(std::string_view name, uint32_t ttl_s, uint16_t preference, std::string_view host);
Record cname_record(std::string_view name, uint32_t ttl_s, std::string_view target);
// What makes an empty answer cacheable (RFC 2308).
Record soa_record(std::string_view name, uint32_t ttl_s);

struct Answer {
  Rcode rcode = Rcode::kNoError;
  bool silent = false;
  uint32_t delay_ms = 0;
  bool truncate_udp = false;
  std::vector<Record> answers;
  std::vector<Record> authority;
};

// Cut to an empty answer with TC where it is longer than `limit` bytes.
std::string write_answer(const Question& question, const Answer& answer, size_t limit);

}  // namespace mxsim
