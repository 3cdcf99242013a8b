// What a simulated mail host or zone does: plain data, read from the configuration.
//
// A Rule covers the domains of one pattern. Everything that happens by share is decided by
// `choice.h`, so that a test can work out beforehand what will happen to whom.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace mxsim {

// Where in a conversation something happens.
// kContent is the first byte of a message, kBody the end of it.
enum class Stage : uint8_t {
  kConnect,
  kBanner,
  kHelo,
  kMail,
  kRcpt,
  kData,
  kContent,
  kBody,
  kQuit,
};
inline constexpr size_t kStages = 9;
inline constexpr std::array<std::string_view, kStages> kStageNames = {
    "connect", "banner", "helo", "mail", "rcpt", "data", "content", "body", "quit"};

// A share of cases, in ten-thousandths, for at most the first `times` attempts (0: for all).
struct Share {
  uint32_t of_10000 = 0;
  uint32_t times = 0;
};

struct StageFault {
  Share temporary;
  Share permanent;
  std::string temporary_text;
  std::string permanent_text;
};

// Something done to the conversation at one stage instead of the proper reply.
struct Mischief {
  bool on = false;
  Stage at = Stage::kBody;
  Share share{10000, 0};
};

enum class Malformed : uint8_t {
  kNul,         // a NUL inside the text
  kNoCrlf,      // the reply ends without CRLF, then the connection closes
  kBareLf,      // lines end in LF alone
  kBadCode,     // letters where the code belongs
  kMixedCodes,  // the lines of one reply carry different codes
  kLongLine,    // one line of 100,000 bytes
  kManyLines,   // 10,000 lines
  kBinary,      // bytes above 0x7f that are no UTF-8
  kEmpty,       // an empty line
};

enum class DnsMode : uint8_t {
  kMx,
  kImplicit,
  kNullMx,
  kNoData,
  kNxdomain,
  kServfail,
  kRefused,
  kTimeout,
  kCname,
};

struct Extensions {
  bool pipelining = true;
  bool chunking = true;
  bool size = true;
  bool eight_bit = true;
  bool smtputf8 = true;
  bool enhanced_codes = true;
};

struct Behaviour {
  Extensions extensions;
  bool ehlo = true;  // false: 502 to EHLO, so that the client must say HELO
  uint64_t size_limit = 64ull << 20;
  uint32_t max_recipients = 1000;

  std::array<uint32_t, kStages> delay_ms{};
  uint32_t latency_min_ms = 0;
  uint32_t latency_max_ms = 0;

  std::array<StageFault, kStages> faults;
  Mischief drop;
  bool drop_resets = false;   // RST instead of FIN
  bool drop_accepts = false;  // at body: the message counts as taken, only the reply is lost
  Mischief hang;
  Mischief malformed;
  Malformed malformed_kind = Malformed::kNul;

  uint32_t greylist_ms = 0;
  bool greylist_by_host = false;
  uint32_t close_after_messages = 0;
  std::string close_text;
  uint32_t max_connections = 0;
  bool max_connections_resets = false;

  uint32_t read_bytes_per_s = 0;
  uint32_t write_bytes = 0;  // bytes of a reply written at once; 0: all
  uint32_t write_gap_ms = 0;

  DnsMode dns = DnsMode::kMx;
  uint32_t dns_times = 0;  // the first queries of each name that `dns` applies to; 0: all
  uint32_t dns_delay_ms = 0;
  bool dns_truncate = false;  // UDP answers are cut, so that the client must ask over TCP
  uint32_t ttl_s = 300;
  std::string cname;
  bool ipv6 = false;          // hosts also have the address ::1
  std::string address;        // given out instead of the host's own address
  uint32_t refuse_hosts = 0;  // the first so many MX hosts reset every connection
};

struct Rule {
  // "prefix{first..last}suffix" or one plain name; lower case.
  std::string pattern;
  std::string prefix;
  std::string suffix;
  bool plain = false;
  uint32_t first = 0;
  uint32_t last = 0;

  // The hosts: `mx_hosts` a domain, or as many for all domains together where `provider` names
  // them.
  uint32_t mx_hosts = 1;
  std::string provider;
  uint32_t address_base = 0;  // offset of the first host from kFirstAddress
  uint32_t address_count = 0;

  Behaviour behaviour;

  uint32_t domain_count() const { return last - first + 1; }
};

// 127.1.0.0: the first address that hosts are given.
inline constexpr uint32_t kFirstAddress = 0x7f010000;
// 127.254.255.255
inline constexpr uint32_t kLastAddress = 0x7ffeffff;

}  // namespace mxsim
