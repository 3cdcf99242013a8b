#include "smtp/client.h"

#include <charconv>

#include "base/check.h"
#include "base/mark.h"
#include "mail/utf8.h"
#include "smtp/command_text.h"

namespace postring::smtp {
namespace {

void append_number(std::string& out, uint64_t number) {
  char digits[20];
  auto end = std::to_chars(digits, digits + sizeof(digits), number);
  out.append(digits, end.ptr);
}

Reply own_reply(uint8_t subject, uint8_t detail, std::string text) {
  Reply reply;
  reply.enhanced[0] = 5;
  reply.enhanced[1] = subject;
  reply.enhanced[2] = detail;
  reply.text = std::move(text);
  return reply;
}

}  // namespace

SessionOptions SessionOptions::plain() const {
  SessionOptions options = *this;
  options.pipelining = Pipelining::off;
  options.chunking = false;
  options.mail_parameters = false;
  return options;
}

Client::Client(SessionOptions options) : options_(std::move(options)) {
  CHECK(is_sayable_name(options_.ehlo_name), "the EHLO name must be a domain or address literal");
  expected_.push_back({.what = State::greeting});
}

void Client::advance(Transaction& transaction, Step step) {
  CHECK(step > transaction.step, "a transaction never goes back");
  transaction.step = step;
}

void Client::advance(Phase phase) {
  CHECK(phase > phase_, "a session never goes back");
  phase_ = phase;
}

// ---------------------------------------------------------------------------------------- messages

bool Client::may_offer_behind() const {
  if (pipelining_ != Pipelining::across || next_ != kNone) return false;
  Step step = slots_[current_].step;
  return step == Step::content_due || step == Step::content_sent;
}

bool Client::wants_message() const {
  if (phase_ != Phase::running || finishing_ || stopping_) return false;
  // What is offered must be able to leave: its owner may be told to hold it back a moment later.
  if (pipelining_ == Pipelining::off && (needs_rset_ || expecting())) return false;
  return current_ == kNone || may_offer_behind();
}

std::optional<uint64_t> Client::content_due() const {
  if (phase_ != Phase::running || current_ == kNone) return std::nullopt;
  const Transaction& t = slots_[current_];
  if (t.step != Step::content_due || t.unjudged == 0) return std::nullopt;
  return t.message;
}

void Client::offer(const Envelope& envelope) {
  CHECK(wants_message(), "a message was offered that is not wanted");
  CHECK(!envelope.recipients.empty());
  CHECK(envelope.recipients.size() <= kRecipientsMax);
  int slot = current_ == 0 ? 1 : 0;
  Transaction& transaction = slots_[slot];
  CHECK(transaction.step == Step::done);
  if (!compose(transaction, envelope)) return;
  (current_ == kNone ? current_ : next_) = slot;
}

// Prepares the commands; false where no recipient is left to ask for.
bool Client::compose(Transaction& t, const Envelope& envelope) {
  t.message = envelope.message;
  t.size_bytes = envelope.size_bytes;
  t.commands.clear();
  t.command_ends.clear();
  t.rcpts.clear();
  t.judged.assign(envelope.recipients.size(), false);
  t.unjudged = static_cast<uint32_t>(envelope.recipients.size());
  t.rcpts_accepted = t.commands_sent = t.commands_answered = 0;
  t.mail_accepted = t.data_sent = t.behind_content = t.parameters = false;
  t.chunked = chunking_;
  if (!refuse_unsendable(t, envelope)) return false;

  bool utf8 = envelope.smtputf8 || !mail::is_ascii(envelope.sender);
  for (uint32_t i : t.rcpts) utf8 = utf8 || !mail::is_ascii(envelope.recipients[i]);
  t.commands.append("MAIL FROM:<").append(envelope.sender) += '>';
  size_t bare_bytes = t.commands.size();
  if (peer_.size && options_.mail_parameters) {
    t.commands += " SIZE=";
    append_number(t.commands, envelope.size_bytes);
  }
  if (envelope.content_8bit && peer_.eight_bit) t.commands += " BODY=8BITMIME";
  if (utf8) t.commands += " SMTPUTF8";
  t.parameters = t.commands.size() > bare_bytes;
  t.commands += "\r\n";
  t.command_ends.push_back(static_cast<uint32_t>(t.commands.size()));
  for (uint32_t i : t.rcpts) {
    t.commands.append("RCPT TO:<").append(envelope.recipients[i]) += ">\r\n";
    t.command_ends.push_back(static_cast<uint32_t>(t.commands.size()));
  }
  t.step = Step::offered;
  return true;
}

// Judges what this peer cannot be asked at all; fills `rcpts` with the others. False where none is
// left.
bool Client::refuse_unsendable(Transaction& t, const Envelope& envelope) {
  auto refuse_all = [&](Reply reply) {
    judge_rest(t, Verdict::refused, Stage::mail, keep(reply), false);
    return false;
  };
  if (!envelope.sender.empty() && !is_sayable_address(envelope.sender))
    return refuse_all(own_reply(1, 7, "the sender's address cannot be said in SMTP"));
  if (!peer_.smtputf8 && (envelope.smtputf8 || !mail::is_ascii(envelope.sender)))
    return refuse_all(own_reply(6, 7, "the mail server does not offer SMTPUTF8"));
  if (envelope.content_8bit && !peer_.eight_bit && !options_.ignore_8bit)
    return refuse_all(own_reply(6, 3, "the mail server does not offer 8BITMIME"));
  if (peer_.size && peer_.size_bytes_max > 0 && envelope.size_bytes > peer_.size_bytes_max) {
    std::string text = "the message has ";
    append_number(text, envelope.size_bytes);
    text += " bytes, the mail server takes at most ";
    append_number(text, peer_.size_bytes_max);
    return refuse_all(own_reply(3, 4, std::move(text)));
  }
  for (uint32_t i = 0; i < envelope.recipients.size(); ++i) {
    std::string_view address = envelope.recipients[i];
    if (!is_sayable_address(address)) {
      Reply reply = own_reply(1, 3, "the recipient's address cannot be said in SMTP");
      judge(t, i, Verdict::refused, Stage::rcpt, keep(reply), false);
    } else if (!peer_.smtputf8 && !mail::is_ascii(address)) {
      Reply reply = own_reply(6, 7, "the mail server does not offer SMTPUTF8");
      judge(t, i, Verdict::refused, Stage::rcpt, keep(reply), false);
    } else {
      t.rcpts.push_back(i);
    }
  }
  return !t.rcpts.empty();
}

void Client::finish() {
  finishing_ = true;
}

void Client::stop() {
  if (phase_ == Phase::closed || stopping_) return;
  stopping_ = true;
  Reply reply;
  reply.text = "taken back: the session was asked to stop";
  if (phase_ == Phase::greeting)
    return end_session(EndCause::stopped, Stage::greeting, reply, true);
  for (int slot : {next_, current_}) {
    if (slot == kNone) continue;
    Transaction& t = slots_[slot];
    if (t.step == Step::content_sent) continue;
    // Behind a 354 only the content or the end of the connection may follow.
    if (t.step == Step::content_due && !t.chunked && t.unjudged > 0)
      return end_session(EndCause::stopped, Stage::data, reply, true);
    if (t.unjudged > 0) judge_rest(t, Verdict::unsent, Stage::mail, keep(reply), false);
    if (t.commands_sent == t.commands_answered && !t.data_sent) {
      advance(t, Step::done);
      (slot == next_ ? next_ : current_) = kNone;
    }
  }
}

void Client::clear_results() {
  results_.clear();
  replies_used_ = 0;
}

// ----------------------------------------------------------------------------------------- flights

void Client::flight_sent() {
  CHECK(flight_open_, "no flight is being sent");
  flight_open_ = flight_body_ = false;
  ++progress_;
}

bool Client::take_flight(Flight& flight) {
  if (flight_open_ || phase_ == Phase::closed) return false;
  out_.clear();
  flight = Flight{};
  if (phase_ == Phase::ehlo || phase_ == Phase::helo) say_hello();
  if (phase_ == Phase::running) say_transactions(flight);
  say_quit_where_due();
  if (out_.empty() && !flight.body) return false;
  // Whoever wrote a body left the length of the head in `head`; the views are made once `out_` is
  // whole, as it may move while it grows.
  size_t head_bytes = flight.body ? flight.head.size() : out_.size();
  flight.head = std::string_view(out_).substr(0, head_bytes);
  flight.tail = std::string_view(out_).substr(head_bytes);
  flight_open_ = true;
  flight_body_ = flight.body;
  ++progress_;
  return true;
}

void Client::say(std::string_view text, State expected) {
  out_ += text;
  if (expected_head_ == expected_.size()) {
    expected_.clear();
    expected_head_ = 0;
  }
  expected_.push_back({.what = expected, .pipelined = !expected_.empty()});
}

void Client::say_hello() {
  if (hello_said_ || stopping_ || finishing_) return;
  hello_said_ = true;
  out_ += phase_ == Phase::ehlo ? "EHLO " : "HELO ";
  out_ += options_.ehlo_name;
  say("\r\n", phase_ == Phase::ehlo ? State::ehlo : State::helo);
}

void Client::say_transactions(Flight& flight) {
  if (current_ == kNone) return reset_ahead();
  if (slots_[current_].step == Step::content_due) {
    say_content(flight);
  } else if (slots_[current_].step < Step::content_due) {
    say_commands(current_);
  }
  if (next_ != kNone && slots_[current_].step == Step::content_sent) say_commands(next_);
}

// Where the reply to RSET must be awaited, no message waits with it.
void Client::reset_ahead() {
  if (pipelining_ != Pipelining::off || !needs_rset_ || expecting()) return;
  if (finishing_ || stopping_) return;
  mark(Mark::reset_awaited);
  needs_rset_ = false;
  say("RSET\r\n", State::rset);
}

// The content goes out only here: once the peer has agreed to at least one recipient.
void Client::say_content(Flight& flight) {
  Transaction& t = slots_[current_];
  if (t.unjudged == 0) {
    // 354 though nobody is left to deliver to: a lone dot (RFC 2920 3.1).
    mark(Mark::lone_dot);
    say(".\r\n", State::final);
  } else {
    flight.body = true;
    flight.message = t.message;
    if (t.chunked) {
      flight.form = Flight::Form::plain;
      out_ += "BDAT ";
      append_number(out_, t.size_bytes);
      say(" LAST\r\n", State::final);
      flight.head = out_;
    } else {
      flight.head = out_;
      flight.tail_ends_content_bytes = 3;
      say(".\r\n", State::final);
    }
  }
  expected_.back().slot = static_cast<uint8_t>(current_);
  advance(t, Step::content_sent);
}

// As many commands of the transaction as pipelining lets leave now.
void Client::say_commands(int slot) {
  Transaction& t = slots_[slot];
  bool one_by_one = pipelining_ == Pipelining::off;
  auto must_wait = [&] { return one_by_one && expecting(); };
  if (t.step == Step::offered) {
    if (must_wait()) return;
    if (needs_rset_) {
      needs_rset_ = false;
      say("RSET\r\n", State::rset);
      expected_.back().slot = static_cast<uint8_t>(slot);
    }
    if (must_wait()) return;
    t.behind_content = slot == next_;
    mail_said_ = true;
    advance(t, Step::commands);
  }
  while (t.commands_sent < t.command_ends.size() && t.unjudged > 0 && !must_wait()) {
    uint32_t i = t.commands_sent++;
    uint32_t begin = i == 0 ? 0 : t.command_ends[i - 1];
    std::string_view text = std::string_view(t.commands).substr(begin, t.command_ends[i] - begin);
    say(text, i == 0 ? State::mail : State::rcpt);
    expected_.back().slot = static_cast<uint8_t>(slot);
    expected_.back().command = i == 0 ? 0 : i - 1;
  }
  bool all_said = t.commands_sent == t.command_ends.size();
  if (t.step == Step::commands && all_said && !t.chunked && t.unjudged > 0 && !must_wait()) {
    say("DATA\r\n", State::data);
    expected_.back().slot = static_cast<uint8_t>(slot);
    t.data_sent = true;
    advance(t, Step::data);
  }
}

void Client::say_quit_where_due() {
  if (quit_said_ || !(finishing_ || stopping_)) return;
  switch (phase_) {
    case Phase::greeting:
    case Phase::quitting:
    case Phase::closed:
      return;
    case Phase::ehlo:
    case Phase::helo:
      // Nothing may follow EHLO before its reply (RFC 2920 section 3.1).
      if (expecting()) return;
      break;
    case Phase::running:
      if (next_ != kNone || (pipelining_ == Pipelining::off && expecting())) return;
      if (current_ != kNone &&
          (pipelining_ != Pipelining::across || slots_[current_].step != Step::content_sent))
        return;
      break;
  }
  quit_said_ = true;
  say("QUIT\r\n", State::quit);
  advance(Phase::quitting);
}

// --------------------------------------------------------------------------------------- questions

State Client::state() const {
  if (phase_ == Phase::closed) return State::closed;
  if (flight_open_ && flight_body_) return State::body;
  if (expecting()) return expected().what;
  switch (phase_) {
    case Phase::ehlo:
      return State::ehlo;
    case Phase::helo:
      return State::helo;
    default:
      return State::idle;
  }
}

Duration Client::timeout() const {
  return options_.timeouts[state()];
}

}  // namespace postring::smtp
