// The hearing half of the client: replies, results and ends.
#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/check.h"
#include "base/mark.h"
#include "smtp/client.h"

namespace postring::smtp {
namespace {

enum class ReplyClass : uint8_t { good, more, later, never };

ReplyClass class_of(const Reply& reply) {
  switch (reply.code / 100) {
    case 2:
      return ReplyClass::good;
    case 3:
      return ReplyClass::more;
    case 4:
      return ReplyClass::later;
    default:
      return ReplyClass::never;
  }
}

Verdict verdict_of(const Reply& reply) {
  return class_of(reply) == ReplyClass::never ? Verdict::refused : Verdict::deferred;
}

// Speaks of the conversation rather than of the mail: "bad sequence", "unknown command", a protocol
// error (RFC 3463 X.5.X), or a 554 that gives no reason.
bool blames_the_sequence(const Reply& reply) {
  if (reply.code == 500 || reply.code == 502 || reply.code == 503) return true;
  if (reply.enhanced[0] == 5 && reply.enhanced[1] == 5) return true;
  return reply.code == 554 && reply.enhanced[0] == 0;
}

bool blames_the_parameters(const Reply& reply) {
  return reply.code == 501 || reply.code == 504 || reply.code == 555;
}

// RFC 5321 4.5.3.1.10: 452 behind other recipients means "too many", and 552 is to be read as 452,
// unless the enhanced code says otherwise.
bool means_too_many_recipients(const Reply& reply) {
  if (reply.enhanced[0] != 0) return reply.enhanced[1] == 5 && reply.enhanced[2] == 3;
  return reply.code == 452 || reply.code == 552;
}

bool equals_ignoring_case(std::string_view a, std::string_view upper) {
  return a.size() == upper.size() &&
         std::equal(a.begin(), a.end(), upper.begin(), [](char x, char y) {
           return (x >= 'a' && x <= 'z' ? static_cast<char>(x - 'a' + 'A') : x) == y;
         });
}

}  // namespace

// ----------------------------------------------------------------------------------------- results

uint32_t Client::keep(const Reply& reply) {
  if (replies_used_ == replies_.size()) replies_.emplace_back();
  Reply& kept = replies_[replies_used_];
  kept.code = reply.code;
  std::copy(reply.enhanced, reply.enhanced + 3, kept.enhanced);
  kept.text.assign(reply.text);
  return static_cast<uint32_t>(replies_used_++);
}

void Client::judge(Transaction& t, uint32_t recipient, Verdict verdict, Stage stage, uint32_t reply,
                   bool plain_retry) {
  CHECK(!t.judged[recipient], "a recipient is judged once");
  CHECK(t.unjudged > 0);
  t.judged[recipient] = true;
  --t.unjudged;
  results_.push_back({.message = t.message,
                      .recipient = recipient,
                      .verdict = verdict,
                      .stage = stage,
                      .plain_retry = plain_retry,
                      .message_done = t.unjudged == 0,
                      .reply = reply});
}

void Client::judge_rest(Transaction& t, Verdict verdict, Stage stage, uint32_t reply,
                        bool plain_retry) {
  for (uint32_t i = 0; i < t.judged.size(); ++i)
    if (!t.judged[i]) judge(t, i, verdict, stage, reply, plain_retry);
}

// ------------------------------------------------------------------------------------------- input

void Client::receive(std::string_view bytes) {
  if (phase_ == Phase::closed) return;
  parser_.feed(bytes);
  while (true) {
    switch (parser_.next()) {
      case ReplyParser::Event::more:
        return;
      case ReplyParser::Event::line:
        on_line(parser_.line());
        break;
      case ReplyParser::Event::reply:
        on_line(parser_.line());
        on_reply(parser_.reply());
        break;
      case ReplyParser::Event::broken: {
        mark(Mark::garbled);
        std::string text = "not an SMTP reply while ";
        text.append(info_of(state()).waiting).append(": ").append(parser_.why());
        return end_broken(EndCause::garbled, std::move(text), true);
      }
    }
    if (phase_ == Phase::closed) return;
  }
}

// The extensions of an EHLO reply; all its lines carry 2yz or none does.
void Client::on_line(std::string_view text) {
  if (!expecting() || expected().what != State::ehlo || parser_.reply().code / 100 != 2) return;
  size_t end = std::min(text.find(' '), text.size());
  std::string_view keyword = text.substr(0, end);
  struct Keyword {
    std::string_view name;
    bool Peer::*flag;
  };
  static constexpr Keyword kKeywords[] = {
      {"PIPELINING", &Peer::pipelining},
      {"CHUNKING", &Peer::chunking},
      {"SIZE", &Peer::size},
      {"8BITMIME", &Peer::eight_bit},
      {"SMTPUTF8", &Peer::smtputf8},
      {"ENHANCEDSTATUSCODES", &Peer::enhanced_codes},
      {"STARTTLS", &Peer::starttls},
      {"DSN", &Peer::dsn},
  };
  for (const Keyword& known : kKeywords)
    if (equals_ignoring_case(keyword, known.name)) peer_.*known.flag = true;
  if (equals_ignoring_case(keyword, "SIZE") && end < text.size()) {
    uint64_t size = 0;
    auto parsed = std::from_chars(text.data() + end + 1, text.data() + text.size(), size);
    if (parsed.ec == std::errc{}) peer_.size_bytes_max = size;
  }
}

void Client::on_reply(const Reply& reply) {
  ++progress_;
  if (reply.code == 421) return on_closing(reply);
  if (!expecting()) return end_session(EndCause::garbled, info_of(State::idle).stage, reply, true);
  Expected heard = expected();
  ++expected_head_;
  Transaction& t = slots_[heard.slot];
  switch (heard.what) {
    case State::greeting:
      return on_greeting(reply);
    case State::ehlo:
    case State::helo:
      return on_hello(heard.what, reply);
    case State::rset:
      return on_rset(reply);
    case State::mail:
      return on_mail(t, heard, reply);
    case State::rcpt:
      return on_rcpt(t, heard, reply);
    case State::data:
      return on_data(t, heard, reply);
    case State::final:
      return on_final(t, reply);
    case State::quit:
      return end_session(stopping_ ? EndCause::stopped : EndCause::finished, Stage::done, reply,
                         true);
    case State::idle:
    case State::body:
    case State::closed:
      break;
  }
  CHECK(false, "nobody waits for a reply in this state");
}

void Client::on_greeting(const Reply& reply) {
  if (class_of(reply) != ReplyClass::good)
    return end_session(EndCause::refused, Stage::greeting, reply, true);
  advance(Phase::ehlo);
}

void Client::on_hello(State what, const Reply& reply) {
  if (phase_ == Phase::quitting) return;
  switch (class_of(reply)) {
    case ReplyClass::good:
      if (peer_.pipelining) pipelining_ = options_.pipelining;
      chunking_ = peer_.chunking && options_.chunking;
      return advance(Phase::running);
    case ReplyClass::never:
      if (what == State::ehlo) {
        peer_ = Peer{.helo_only = true};
        hello_said_ = false;
        mark(Mark::helo);
        return advance(Phase::helo);
      }
      break;
    case ReplyClass::more:
    case ReplyClass::later:
      break;
  }
  end_session(EndCause::refused, Stage::ehlo, reply, true);
}

void Client::on_rset(const Reply& reply) {
  // Without it nobody knows which transaction the peer is in.
  if (class_of(reply) != ReplyClass::good) end_session(EndCause::refused, Stage::mail, reply, true);
}

bool Client::our_way(const Transaction& t) const {
  return pipelining_ != Pipelining::off || t.chunked;
}

void Client::on_mail(Transaction& t, const Expected& heard, const Reply& reply) {
  ++t.commands_answered;
  switch (class_of(reply)) {
    case ReplyClass::good:
      t.mail_accepted = true;
      break;
    case ReplyClass::more:
      return end_session(EndCause::garbled, Stage::mail, reply, true);
    case ReplyClass::later:
    case ReplyClass::never: {
      if (t.behind_content) mark(Mark::behind_dot_refused);
      bool never = class_of(reply) == ReplyClass::never;
      bool too_early = never && heard.pipelined && blames_the_sequence(reply);
      if (too_early) peer_.pipelining_failed = true;
      bool ours = too_early || (never && t.behind_content) ||
                  (never && t.parameters && blames_the_parameters(reply));
      if (t.unjudged > 0) judge_rest(t, verdict_of(reply), Stage::mail, keep(reply), ours);
      ++messages_judged_;
    }
  }
  after_command(t);
}

void Client::on_rcpt(Transaction& t, const Expected& heard, const Reply& reply) {
  ++t.commands_answered;
  uint32_t recipient = t.rcpts[heard.command];
  if (class_of(reply) == ReplyClass::more)
    return end_session(EndCause::garbled, Stage::rcpt, reply, true);
  if (t.judged[recipient]) {
    // The answer to MAIL, or stop(), has already said all.
  } else if (class_of(reply) == ReplyClass::good) {
    ++t.rcpts_accepted;
  } else {
    // No word about this recipient: it goes in the next transaction.
    bool too_many = t.rcpts_accepted > 0 && means_too_many_recipients(reply);
    if (too_many) peer_.recipients_max = t.rcpts_accepted;
    bool ours = heard.pipelined && blames_the_sequence(reply);
    if (ours) peer_.pipelining_failed = true;
    Verdict verdict = too_many ? Verdict::unsent : verdict_of(reply);
    judge(t, recipient, verdict, Stage::rcpt, keep(reply), ours && verdict == Verdict::refused);
    if (t.unjudged == 0) ++messages_judged_;
  }
  after_command(t);
}

// After a reply to MAIL or RCPT: what the transaction may do now.
void Client::after_command(Transaction& t) {
  if (t.commands_answered < t.commands_sent || t.data_sent) return;
  if (t.unjudged == 0) {
    needs_rset_ = t.mail_accepted;
    return finish_transaction();
  }
  bool all_answered = t.commands_answered == t.command_ends.size();
  if (all_answered && t.chunked) advance(t, Step::content_due);
}

void Client::on_data(Transaction& t, const Expected& heard, const Reply& reply) {
  switch (class_of(reply)) {
    case ReplyClass::more:
      if (stopping_) return end_session(EndCause::stopped, Stage::data, reply, true);
      return advance(t, Step::content_due);
    case ReplyClass::good:
      return end_session(EndCause::garbled, Stage::data, reply, true);
    case ReplyClass::later:
    case ReplyClass::never:
      break;
  }
  if (t.unjudged > 0) {
    bool never = class_of(reply) == ReplyClass::never;
    bool ours = never && heard.pipelined && blames_the_sequence(reply);
    if (ours) peer_.pipelining_failed = true;
    judge_rest(t, verdict_of(reply), Stage::data, keep(reply), ours);
    ++messages_judged_;
  }
  needs_rset_ = t.mail_accepted;
  finish_transaction();
}

void Client::on_final(Transaction& t, const Reply& reply) {
  if (class_of(reply) == ReplyClass::more)
    return end_session(EndCause::garbled, Stage::body, reply, true);
  bool good = class_of(reply) == ReplyClass::good;
  bool understood = true;
  if (t.unjudged > 0) {
    bool never = class_of(reply) == ReplyClass::never;
    bool ours = never && our_way(t) && blames_the_sequence(reply);
    understood = !(ours && t.chunked);
    judge_rest(t, good ? Verdict::accepted : verdict_of(reply), good ? Stage::done : Stage::body,
               keep(reply), ours);
    ++messages_judged_;
    ++messages_done_;
  }
  // A failed BDAT leaves the transaction undefined (RFC 3030 2): RSET, unless the next MAIL has
  // already left.
  if (t.chunked && !good && next_ == kNone) needs_rset_ = true;
  finish_transaction();
  if (!understood) {
    // A peer that does not know BDAT reads the content as commands.
    peer_.chunking_failed = true;
    end_session(EndCause::refused, Stage::body, reply, true);
  }
}

void Client::finish_transaction() {
  Transaction& t = slots_[current_];
  CHECK(t.unjudged == 0, "a transaction ends with every recipient judged");
  advance(t, Step::done);
  current_ = next_;
  next_ = kNone;
}

// -------------------------------------------------------------------------------------------- ends

void Client::on_closing(const Reply& reply) {
  if (phase_ == Phase::quitting && (!expecting() || expected().what == State::quit))
    return end_session(EndCause::finished, Stage::done, reply, true);
  Stage stage = info_of(expecting() ? expected().what : State::idle).stage;
  // Said in place of a reply to the content: the content was not taken, nothing is ambiguous.
  if (expecting() && expected().what == State::final) {
    mark(Mark::closed_for_content);
    Transaction& t = slots_[expected().slot];
    if (t.unjudged > 0) judge_rest(t, Verdict::deferred, Stage::body, keep(reply), false);
    ++messages_judged_;
  }
  end_session(EndCause::closing, stage, reply, true);
}

void Client::timed_out(bool content_left) {
  if (phase_ == Phase::closed) return;
  State waiting = state();
  if (waiting == State::quit) {
    return end_session(stopping_ ? EndCause::stopped : EndCause::finished, Stage::done, Reply{},
                       true);
  }
  if (current_ != kNone && slots_[current_].chunked && waiting == State::final)
    peer_.chunking_failed = true;
  if (waiting == State::mail && slots_[expected().slot].behind_content)
    peer_.pipelining_failed = true;
  std::string text = "timed out while ";
  text += info_of(waiting).waiting;
  end_broken(EndCause::timed_out, std::move(text), content_left);
}

void Client::lost(int error_number, bool content_left) {
  if (phase_ == Phase::closed) return;
  State waiting = state();
  if (waiting == State::quit) {
    return end_session(stopping_ ? EndCause::stopped : EndCause::finished, Stage::done, Reply{},
                       true);
  }
  std::string text = error_number == 0 ? "the mail server closed the connection while "
                                       : "the connection was lost while ";
  text += info_of(waiting).waiting;
  if (error_number != 0) {
    const char* description = strerrordesc_np(error_number);
    text.append(": ").append(description != nullptr ? description : "unknown error");
  }
  end_broken(EndCause::lost, std::move(text), content_left);
}

void Client::end_broken(EndCause cause, std::string text, bool content_left) {
  Reply reply;
  reply.enhanced[0] = 4;
  reply.enhanced[1] = 4;
  reply.enhanced[2] = cause == EndCause::garbled ? 0 : 2;  // 4.4.2: bad connection
  reply.text = std::move(text);
  end_session(cause, info_of(state()).stage, reply, content_left);
}

void Client::end_session(EndCause cause, Stage stage, const Reply& reply, bool content_left) {
  CHECK(phase_ != Phase::closed);
  bool flight_cut = flight_open_ && flight_body_;
  uint32_t kept = 0;
  if (current_ != kNone) kept = keep(reply);
  bool asked = true;
  for (int slot : {current_, next_}) {
    if (slot == kNone) continue;
    Transaction& t = slots_[slot];
    if (t.unjudged > 0) {
      end_transaction_with_session(t, asked, cause, stage, kept, !flight_cut || content_left);
    }
    asked = false;
    advance(t, Step::done);
  }
  current_ = next_ = kNone;
  expected_.clear();
  expected_head_ = 0;
  end_ = {.cause = cause,
          .before_mail = !mail_said_,
          .permanent = cause == EndCause::refused && reply.code >= 500,
          .stage = stage,
          .reply = reply};
  advance(Phase::closed);
}

// `asked`: the session broke on this transaction and not on the one ahead of it.
void Client::end_transaction_with_session(Transaction& t, bool asked, EndCause cause, Stage stage,
                                          uint32_t reply, bool content_left) {
  if (t.step == Step::content_sent) {
    bool ambiguous = content_left;
    judge_rest(t, ambiguous ? Verdict::ambiguous : Verdict::deferred, Stage::body, reply,
               our_way(t) && !ambiguous);
    return;
  }
  bool untouched = t.commands_sent == 0 || !asked || cause == EndCause::stopped;
  // A session that ends between two messages, as many do after a number of them, is no fault of the
  // second. Its first message must count an attempt, else it could be tried in a circle for ever.
  bool between = !t.mail_accepted && messages_judged_ > 0;
  if (untouched || between) return judge_rest(t, Verdict::unsent, Stage::mail, reply, false);
  bool silent =
      cause == EndCause::lost || cause == EndCause::timed_out || cause == EndCause::garbled;
  // 5yz that ends a session (a refused RSET) is no word about this message.
  judge_rest(t, Verdict::deferred, stage, reply, silent && our_way(t));
}

}  // namespace postring::smtp
