// Client: one SMTP client session (RFC 5321, 1870, 2034, 2920, 3030, 6152, 6531) as a pure state
// machine. Bytes and events in, flights and results out; no I/O, no clock.
//
// How the owner of the socket uses it, after every event (connected, bytes came, a flight left, a
// message became ready, a timer fired, a wish to stop):
//
//   client.receive(bytes);                                      // or another event
//   for (const RecipientResult& r : client.results()) ...;      // each recipient exactly once
//   client.clear_results();
//   while (client.wants_message()) offer one, or break;         // rides in the next flight
//   Flight flight;
//   if (client.take_flight(flight)) send head, body, tail in one SENDMSG;  // then flight_sent()
//   if (client.must_close()) close; client.end() says how it ended;
//   rearm the timer to now + client.timeout() where client.progress() has changed
//
// One flight at a time: take_flight() gives none until flight_sent() was called for the last one;
// its views stay valid until then. A flight with `body` carries the content of that message between
// head and tail: dot-stuffed for DATA, plain (exactly Envelope::size_bytes) for BDAT, ended by CRLF
// either way. The steady flight of pipelining `across`: the content of one message, the final dot,
// and MAIL, RCPT, DATA of the next (RFC 2920 3.1).
//
// Results: a recipient of an offered message gets exactly one result, at the latest when the
// session is over; a message's last result has `message_done`. What fails before the first MAIL is
// one result of the session (end()), never of a recipient: no message is asked for before then.
//
// At most one message is ambiguous (content sent, reply not seen): the reply to a content is always
// awaited before the next content leaves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mail/outcome.h"
#include "smtp/limits.h"
#include "smtp/reply_parser.h"
#include "smtp/session_states.h"

namespace postring::smtp {

enum class Pipelining : uint8_t {
  off,     // one command, one reply
  within,  // MAIL, RCPT and DATA of one message together
  across   // and behind the final dot of the message before
};

struct SessionOptions {
  std::string ehlo_name;  // a domain or an address literal; checked
  Pipelining pipelining = Pipelining::across;
  bool chunking = true;         // BDAT where it is offered
  bool mail_parameters = true;  // SIZE where it is offered; BODY and SMTPUTF8 as needed
  bool ignore_8bit = false;     // send 8-bit content also to a peer without 8BITMIME
  Timeouts timeouts;

  // The same, with everything off that could make a peer stumble: for the attempt after a result
  // with `plain_retry`.
  SessionOptions plain() const;
};

// One message's way: one transaction. The views need to live only during offer().
struct Envelope {
  uint64_t message = 0;                          // the owner's name for it
  std::string_view sender;                       // without brackets; empty: the null reverse-path
  std::span<const std::string_view> recipients;  // 1 to kRecipientsMax
  uint64_t size_bytes = 0;                       // of the content, not dot-stuffed
  bool content_8bit = false;
  bool smtputf8 = false;
};

enum class Verdict : uint8_t {
  accepted,   // the peer took responsibility
  deferred,   // 4yz, or the session broke on this message
  refused,    // 5yz, or it cannot be sent to this peer at all (the reply is ours, with code 0)
  ambiguous,  // the content left, the reply was not seen
  unsent      // never judged, and no fault of its own: try again at once, it counts as no attempt
};

struct RecipientResult {
  uint64_t message = 0;
  uint32_t recipient = 0;  // index into Envelope::recipients
  Verdict verdict = Verdict::unsent;
  Stage stage = Stage::mail;
  // Our way of sending could have caused this: the next attempt must be made with
  // SessionOptions::plain() on a fresh connection, and a refusal is not believed before it.
  bool plain_retry = false;
  bool message_done = false;  // nothing more will be said about this message
  uint32_t reply = 0;         // for Client::reply_of()
};

struct Flight {
  enum class Form : uint8_t { stuffed, plain };

  std::string_view head;
  bool body = false;  // the content of `message` goes between head and tail
  Form form = Form::stuffed;
  uint64_t message = 0;
  std::string_view tail;
  // The first bytes of `tail` that end the content (".\r\n"). For lost(): the content was handed
  // over whole once head, body and these have left.
  size_t tail_ends_content_bytes = 0;
};

enum class EndCause : uint8_t {
  open,      // not ended
  finished,  // QUIT, as asked for
  refused,   // a greeting, EHLO or HELO reply, or one we cannot go on after
  closing,   // 421
  timed_out,
  lost,
  garbled,  // the peer does not speak SMTP
  stopped   // stop()
};

struct SessionEnd {
  EndCause cause = EndCause::open;
  bool before_mail = false;  // no MAIL was ever sent: the outcome of the lane
  bool permanent = false;    // 5yz
  Stage stage = Stage::greeting;
  Reply reply;  // the last one, or our own words with code 0
};

// What the peer offers, and what we learned that its owner should remember for the next session.
struct Peer {
  bool pipelining = false, chunking = false, size = false, eight_bit = false, smtputf8 = false;
  bool enhanced_codes = false, starttls = false, dsn = false;
  uint64_t size_bytes_max = 0;     // 0: no limit said
  bool helo_only = false;          // EHLO was refused
  bool chunking_failed = false;    // BDAT was offered, tried and not understood
  bool pipelining_failed = false;  // a pipelined command met a reply that suggests so
  uint32_t recipients_max = 0;     // of one message, as a reply to RCPT showed; 0: not known
};

class Client {
 public:
  explicit Client(SessionOptions options);

  // Events. The connection is up when the machine is made: it waits for the greeting.
  void receive(std::string_view bytes);
  void flight_sent();
  // Only while wants_message(). May give results at once (an address that cannot be said).
  void offer(const Envelope& envelope);
  // No message will follow: QUIT after those that run.
  void finish();
  // Take back what has not sent its content, wait for the reply to what has, then QUIT.
  void stop();
  // The timer fired, or the connection is gone (0: end of stream, else an errno). `content_left`:
  // whether the whole content of the flight that is still being sent may have left; where no flight
  // is being sent it does not matter.
  void timed_out(bool content_left = true);
  void lost(int error_number, bool content_left = true);

  // Questions.
  bool wants_message() const;
  // The message whose content the next flight carries.
  std::optional<uint64_t> content_due() const;
  bool take_flight(Flight& flight);
  std::span<const RecipientResult> results() const { return results_; }
  const Reply& reply_of(const RecipientResult& result) const { return replies_[result.reply]; }
  void clear_results();
  bool must_close() const { return phase_ == Phase::closed; }
  const SessionEnd& end() const { return end_; }
  const Peer& peer() const { return peer_; }
  State state() const;
  // How long to wait from the last progress on.
  Duration timeout() const;
  // Changes whenever the timer starts anew: a reply came whole, a flight was taken or left.
  uint64_t progress() const { return progress_; }
  // Messages whose content was answered.
  uint64_t messages_done() const { return messages_done_; }

 private:
  enum class Phase : uint8_t { greeting, ehlo, helo, running, quitting, closed };
  // What a transaction does next or waits for. Only ever grows.
  enum class Step : uint8_t { offered, commands, data, content_due, content_sent, done };

  struct Transaction {
    uint64_t message = 0;
    uint64_t size_bytes = 0;
    std::string commands;                // MAIL and the RCPTs, as they are said
    std::vector<uint32_t> command_ends;  // ends of MAIL and each RCPT in `commands`
    std::vector<uint32_t> rcpts;         // the recipient of each RCPT
    std::vector<bool> judged;            // by recipient
    uint32_t unjudged = 0;
    uint32_t rcpts_accepted = 0;
    uint32_t commands_sent = 0;  // of command_ends
    uint32_t commands_answered = 0;
    Step step = Step::done;
    bool mail_accepted = false;
    bool data_sent = false;
    bool chunked = false;
    bool behind_content = false;  // its MAIL left before the content ahead of it was answered
    bool parameters = false;      // MAIL carries SIZE, BODY or SMTPUTF8
  };

  struct Expected {
    State what = State::greeting;
    uint8_t slot = 0;        // the transaction
    bool pipelined = false;  // something ahead of it was unanswered when it left
    uint32_t command = 0;    // rcpt: index into Transaction::rcpts
  };

  // client.cc: what is said.
  bool compose(Transaction& transaction, const Envelope& envelope);
  bool refuse_unsendable(Transaction& transaction, const Envelope& envelope);
  void say(std::string_view text, State expected);
  void say_hello();
  void say_transactions(Flight& flight);
  void say_commands(int slot);
  void say_content(Flight& flight);
  void reset_ahead();
  void say_quit_where_due();
  bool may_offer_behind() const;

  // client_replies.cc: what is heard.
  void on_line(std::string_view text);
  void on_reply(const Reply& reply);
  void on_greeting(const Reply& reply);
  void on_hello(State what, const Reply& reply);
  void on_rset(const Reply& reply);
  void on_mail(Transaction& transaction, const Expected& heard, const Reply& reply);
  void on_rcpt(Transaction& transaction, const Expected& expected, const Reply& reply);
  void on_data(Transaction& transaction, const Expected& expected, const Reply& reply);
  void on_final(Transaction& transaction, const Reply& reply);
  void on_closing(const Reply& reply);
  void after_command(Transaction& transaction);
  bool our_way(const Transaction& transaction) const;

  void judge(Transaction& transaction, uint32_t recipient, Verdict verdict, Stage stage,
             uint32_t reply, bool plain_retry);
  void judge_rest(Transaction& transaction, Verdict verdict, Stage stage, uint32_t reply,
                  bool plain_retry);
  uint32_t keep(const Reply& reply);
  void finish_transaction();
  void advance(Transaction& transaction, Step step);
  void advance(Phase phase);
  void end_session(EndCause cause, Stage stage, const Reply& reply, bool content_left);
  void end_transaction_with_session(Transaction& transaction, bool asked, EndCause cause,
                                    Stage stage, uint32_t reply, bool content_left);
  void end_broken(EndCause cause, std::string text, bool content_left);
  bool expecting() const { return expected_head_ < expected_.size(); }
  const Expected& expected() const { return expected_[expected_head_]; }

  SessionOptions options_;
  ReplyParser parser_;
  Phase phase_ = Phase::greeting;
  Pipelining pipelining_ = Pipelining::off;
  bool chunking_ = false;
  bool hello_said_ = false;
  bool mail_said_ = false;
  bool quit_said_ = false;
  bool finishing_ = false;
  bool stopping_ = false;
  bool needs_rset_ = false;
  bool flight_open_ = false;
  bool flight_body_ = false;
  Peer peer_;
  SessionEnd end_;
  std::string out_;  // the flight's bytes
  std::vector<RecipientResult> results_;
  std::vector<Reply> replies_;  // the first replies_used_ are referred to by results_
  size_t replies_used_ = 0;
  uint64_t progress_ = 0;
  uint64_t messages_done_ = 0;
  uint64_t messages_judged_ = 0;  // by a reply of the peer, in any way
  Transaction slots_[2];
  int current_ = kNone;             // the transaction whose turn it is
  int next_ = kNone;                // the one that rides behind its content
  std::vector<Expected> expected_;  // from expected_head_ on, in the order of saying
  size_t expected_head_ = 0;

  static constexpr int kNone = -1;
};

}  // namespace postring::smtp
