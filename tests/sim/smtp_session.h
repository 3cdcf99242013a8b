// SmtpSession: one connection to an SmtpHost.
//
//   greeting -> EHLO -> [MAIL -> RCPT -> DATA or BDAT -> content] * -> QUIT
//
// A reply goes out after a while; commands that came meanwhile wait for it, in order, as in a host
// that reads one after the other.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "sim/smtp_host.h"

namespace postring::sim {

class SmtpSession final : public Actor, public std::enable_shared_from_this<SmtpSession> {
 public:
  SmtpSession(SmtpHost& host, uint64_t number) : host_(host), number_(number) {}

  void on_open(Stream& stream) override;
  void on_bytes(Stream& stream, std::string_view bytes, Instant sent) override;
  void on_end(Stream& stream, bool reset) override;

 private:
  enum class State : uint8_t { fresh, greeted, mail, rcpt, data, bdat, deaf, silent };

  // When the first of what is left to read was handed over.
  Instant sent_at_begin();
  void read_more();
  void command(std::string_view line);
  void ehlo(std::string_view line);
  void mail(std::string_view line);
  void rcpt(std::string_view line);
  void begin_data();
  void begin_bdat(std::string_view line);
  bool read_data();
  bool read_chunk();
  void take_content(std::string content, bool dotted);
  std::string content_key(const std::string& address);
  void check_shared();
  bool greets(const std::string& plain, const std::string& address);
  std::string judge_content();
  void end_transaction();

  // Says it after a while, then goes on reading. `close`: and nothing more.
  void reply(std::string text, bool close = false);
  void multiline(std::string& text);
  // Makes another of it; `close`: and then no more comes.
  void spoil(std::string& text, bool& close);
  bool refuses_ahead(std::string_view line);
  bool has_had_enough(std::string_view line);
  bool lose(int64_t chance);
  void lose_content();
  bool goes_silent();
  void ignore(std::string_view line);
  void close_now(bool reset);
  bool met(int64_t chance) { return host_.faults_.met(host_.random_, chance); }
  bool drawn(int64_t chance) { return host_.faults_.drawn(host_.random_, chance); }
  void count(HostFault fault) { host_.faults_.count(fault, step_); }
  // The client broke the protocol.
  void broke(const std::string& what);
  void trace(std::string_view line) const;

  SmtpHost& host_;
  uint64_t number_;  // of the host's connections
  StreamPtr stream_;
  State state_ = State::fresh;
  Step step_ = Step::greeting;  // what is answered now, or was answered last
  std::string inbox_;
  uint64_t arrived_ = 0;  // bytes
  // Up to which byte, and when they were handed over.
  std::deque<std::pair<uint64_t, Instant>> arrivals_;
  Instant mail_sent_;     // of the transaction
  bool replying_ = false;
  bool closed_ = false;
  bool ahead_ = false;    // what is read now had come before the reply to what was before it
  bool said_ahead_ = false;
  bool behind_dot_ = false;  // the next was said with a final dot
  bool extended_ = false;
  int64_t judged_ = 0;  // contents
  std::string sender_;
  std::vector<std::string> recipients_;
  uint64_t size_ = 0;     // as MAIL said it; 0: not
  bool refused_ = false;  // a command of this transaction was answered 4yz or 5yz
  std::string content_;
  uint64_t chunk_left_ = 0;
  bool chunk_last_ = false;
  bool chunk_refused_ = false;
  // Of the transaction's recipients, until the content is answered.
  std::vector<std::shared_ptr<Instant>> unanswered_;
  // Of the contents whose reply is on its way, and of what was taken with them.
  std::vector<std::shared_ptr<Instant>> marks_;
};

}  // namespace postring::sim
