#include "sim/smtp_session.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace postring::sim {
namespace {

constexpr size_t kCommandMax = 1'024;

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return out;
}

Step step_of(std::string_view line) {
  if (line.starts_with("EHLO ") || line.starts_with("HELO ")) return Step::ehlo;
  if (line.starts_with("MAIL ")) return Step::mail;
  if (line.starts_with("RCPT ")) return Step::rcpt;
  if (line == "RSET" || line == "NOOP") return Step::rset;
  return line == "QUIT" ? Step::quit : Step::data;
}

// "<a@b> SIZE=3" after "MAIL FROM:"; nothing where it is no path.
bool split_path(std::string_view text, std::string& path, std::string& parameters) {
  if (!text.starts_with('<')) return false;
  size_t end = text.find('>');
  if (end == std::string_view::npos) return false;
  path = text.substr(1, end - 1);
  parameters = text.substr(end + 1);
  return parameters.empty() || parameters[0] == ' ';
}

}  // namespace

void SmtpSession::broke(const std::string& what) {
  host_.ledger_.broke("protocol: " + host_.name_ + ": " + what);
}

void SmtpSession::trace(std::string_view line) const {
  if (!host_.ledger_.on_note) return;
  host_.ledger_.on_note(host_.name_ + " " + std::to_string(number_) + ": " + std::string(line));
}

void SmtpSession::on_open(Stream& stream) {
  stream_ = stream.shared_from_this();
  const Options& o = host_.faults_.options;
  if (lose(o.smtp_drop_early / 2) || goes_silent()) return;
  if (o.smtp_connections > 0 && host_.connections_ > static_cast<size_t>(o.smtp_connections)) {
    count(HostFault::too_many);
    return reply("421 4.7.0 too many connections\r\n", true);
  }
  reply("220 " + host_.name_ + " ESMTP\r\n");
}

void SmtpSession::on_bytes(Stream&, std::string_view bytes, Instant sent) {
  if (closed_) return;
  bool early = replying_ && !host_.pipelining_ && state_ != State::deaf;
  if (early) broke("ahead of the reply: " + std::string(bytes));
  inbox_ += bytes;
  arrived_ += bytes.size();
  arrivals_.emplace_back(arrived_, sent);
  read_more();
}

void SmtpSession::on_end(Stream&, bool) {
  trace("the client has closed");
  close_now(false);
}

void SmtpSession::close_now(bool reset) {
  if (closed_) return;
  closed_ = true;
  --host_.connections_;
  if (stream_ == nullptr) return;
  if (reset) stream_->abort();
  stream_->finish();
  stream_ = nullptr;
}

// The connection goes instead of a reply.
bool SmtpSession::lose(int64_t chance) {
  if (!drawn(chance)) return false;
  bool reset = host_.random_.chance(1, 2);
  count(reset ? HostFault::reset : HostFault::close);
  close_now(reset);
  return true;
}

// From now on nothing is answered, and what comes is as if unread.
bool SmtpSession::goes_silent() {
  if (!met(host_.faults_.options.smtp_silent)) return false;
  count(HostFault::silent);
  trace("(silence)");
  state_ = State::silent;
  return true;
}

// Whom the client had named is under way until it gives up.
void SmtpSession::ignore(std::string_view line) {
  std::string address, parameters;
  if (!line.starts_with("RCPT TO:") || !split_path(line.substr(8), address, parameters)) return;
  if (host_.ledger_.find(address) != nullptr) host_.ledger_.mail(address, mail_sent_);
}

void SmtpSession::multiline(std::string& text) {
  if (!drawn(host_.faults_.options.smtp_multiline) || text.find("\r\n") != text.size() - 2) return;
  count(HostFault::multiline);
  text = text.substr(0, 3) + "-and more than one line\r\n" + text;
}

void SmtpSession::spoil(std::string& text, bool& close) {
  const Options& o = host_.faults_.options;
  // Whoever gets this has not got the reply.
  if (met(o.smtp_malformed)) {
    marks_.clear();
    static constexpr std::string_view kNone[] = {"hello\r\n", "25\r\n", "999 what\r\n",
                                                 "250-first\r\n354 second\r\n"};
    count(HostFault::malformed);
    text = kNone[host_.random_.below(std::size(kNone))];
  } else if (met(o.smtp_cut)) {
    marks_.clear();
    count(HostFault::cut);
    text.resize(host_.random_.below(text.size()));
    close = true;
  }
}

void SmtpSession::reply(std::string text, bool close) {
  const Options& o = host_.faults_.options;
  multiline(text);
  spoil(text, close);
  replying_ = true;
  Duration wait = Duration::microseconds(host_.random_.between(1, o.smtp_us_max));
  if (drawn(o.smtp_tarpit)) {
    count(HostFault::tarpit);
    wait = Duration::seconds(host_.random_.between(1, 60));
  }
  host_.schedule_.after(wait, [self = shared_from_this(), text = std::move(text), close]() mutable {
    if (self->closed_) return;
    self->replying_ = false;
    self->trace(text);
    self->stream_->say(std::move(text));
    for (auto& seen : std::exchange(self->marks_, {})) {
      self->stream_->mark(self->stream_->said(), std::move(seen));
    }
    if (close) return self->close_now(false);
    self->read_more();
  });
}

// ---- reading -----------------------------------------------------------------------------------

Instant SmtpSession::sent_at_begin() {
  uint64_t read = arrived_ - inbox_.size();
  while (arrivals_.size() > 1 && arrivals_.front().first <= read) arrivals_.pop_front();
  return arrivals_.front().second;
}

void SmtpSession::read_more() {
  while (!replying_ && !closed_) {
    if (state_ == State::deaf) return inbox_.clear();
    if (state_ == State::data) {
      if (!read_data()) return lose_content();
      continue;
    }
    if (state_ == State::bdat) {
      if (!read_chunk()) return lose_content();
      continue;
    }
    size_t end = inbox_.find("\r\n");
    if (end == std::string::npos && state_ != State::silent && inbox_.size() > kCommandMax) {
      broke("a command without an end");
    }
    if (end == std::string::npos) return;
    std::string line = inbox_.substr(0, end);
    Instant sent = sent_at_begin();
    if (line.starts_with("MAIL ")) host_.mails_.push_back(mail_sent_ = sent);
    inbox_.erase(0, end + 2);
    if (state_ == State::silent) { ignore(line); continue; }
    ahead_ = std::exchange(said_ahead_, !inbox_.empty());
    if (line.size() + 2 > kCommandMax) broke("a command of " + std::to_string(line.size()));
    if (line.find_first_of("\r\n") != std::string::npos) broke("a bare CR or LF in a command");
    command(line);
  }
}

void SmtpSession::command(std::string_view line) {
  trace(line);
  if (state_ == State::fresh && !line.starts_with("EHLO ") && !line.starts_with("HELO ") &&
      line != "QUIT") {
    broke("before EHLO: " + std::string(line));
  }
  bool chunk = line.starts_with("BDAT ");
  step_ = step_of(line);
  if (!host_.pipelining_ && !inbox_.empty() && !chunk) broke("ahead of the reply: " + inbox_);
  const Options& o = host_.faults_.options;
  if (lose(state_ == State::fresh ? o.smtp_drop_early / 2 : o.smtp_drop)) return;
  if (goes_silent()) {
    if (step_ == Step::mail && !inbox_.starts_with("RCPT ")) {
      host_.ledger_.mail_unanswered(mail_sent_);
    }
    return ignore(line);
  }
  // Content follows a chunk's command: that is read first.
  if (!chunk && drawn(o.smtp_421)) {
    count(HostFault::closing_421);
    return reply("421 4.3.2 going down\r\n", true);
  }
  if (has_had_enough(line)) return reply("421 4.7.0 that was enough for one connection\r\n", true);
  if (refuses_ahead(line)) return reply("503 5.5.0 not ahead of my reply\r\n");
  if (line.starts_with("EHLO ") || line.starts_with("HELO ")) return ehlo(line);
  if (line.starts_with("MAIL FROM:")) return mail(line.substr(10));
  if (line.starts_with("RCPT TO:")) return rcpt(line.substr(8));
  if (line == "DATA") return begin_data();
  if (chunk) return begin_bdat(line.substr(5));
  if (line == "RSET" || line == "NOOP") {
    if (line == "RSET") end_transaction();
    return reply("250 2.0.0 ok\r\n");
  }
  if (line == "QUIT") return reply("221 2.0.0 bye\r\n", true);
  broke("no command: " + std::string(line));
  reply("500 5.5.2 what\r\n");
}

// Of messages on this connection.
bool SmtpSession::has_had_enough(std::string_view line) {
  int64_t most = host_.faults_.options.smtp_messages;
  if (most == 0 || judged_ < most || !line.starts_with("MAIL ")) return false;
  count(HostFault::closing_421);
  return true;
}

// A command that it invited to come early, and does not want early.
bool SmtpSession::refuses_ahead(std::string_view line) {
  bool of_transaction = line.starts_with("MAIL ") || line.starts_with("RCPT ") || line == "DATA";
  bool behind_dot = std::exchange(behind_dot_, false);
  if (host_.takes_ahead_ || !ahead_ || !of_transaction) return false;
  if (host_.takes_within_ && !behind_dot) return false;
  count(HostFault::not_ahead);
  if (line[0] == 'M') end_transaction();
  refused_ = true;
  return true;
}

void SmtpSession::ehlo(std::string_view line) {
  if (!host_.ehlo_ && line[0] == 'E') {
    count(HostFault::not_known);
    return reply("502 5.5.2 what\r\n");
  }
  state_ = State::greeted;
  extended_ = line[0] == 'E';
  if (!extended_) return reply("250 " + host_.name_ + "\r\n");
  std::string text = "250-" + host_.name_ + "\r\n";
  if (host_.pipelining_) text += "250-PIPELINING\r\n";
  if (host_.chunking_) text += "250-CHUNKING\r\n";
  reply(text + "250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 10000000\r\n");
}

// ---- a transaction -----------------------------------------------------------------------------

void SmtpSession::end_transaction() {
  if (state_ != State::fresh) state_ = State::greeted;
  recipients_.clear();
  unanswered_.clear();
  content_.clear();
  size_ = 0;
  refused_ = false;
}

void SmtpSession::mail(std::string_view rest) {
  std::string parameters;
  if (!split_path(rest, sender_, parameters)) broke("MAIL FROM:" + std::string(rest));
  if (state_ != State::greeted && !refused_) broke("MAIL within a transaction");
  end_transaction();
  if (size_t at = upper(parameters).find(" SIZE="); at != std::string::npos) {
    std::from_chars(parameters.data() + at + 6, parameters.data() + parameters.size(), size_);
  }
  state_ = State::mail;
  reply("250 2.1.0 ok\r\n");
}

void SmtpSession::rcpt(std::string_view rest) {
  std::string address, parameters;
  if (!split_path(rest, address, parameters)) broke("RCPT TO:" + std::string(rest));
  if (state_ != State::mail && state_ != State::rcpt) {
    if (!refused_) broke("RCPT without MAIL");
    return reply("503 5.5.1 not now\r\n");
  }
  const Options& o = host_.faults_.options;
  refused_ = true;
  host_.ledger_.mail(address, mail_sent_);
  if (host_.of_people(address, "unknown", o.smtp_unknown)) {
    count(HostFault::unknown);
    host_.ledger_.refused_for_ever(address);
    return reply("550 5.1.1 no such user here\r\n");
  }
  bool grey = host_.faults_.on && host_.of_people(address, "grey", o.smtp_greylist);
  if (grey && host_.greylisted_.insert(address).second) {
    count(HostFault::greylisted);
    return reply("451 4.7.1 try again later\r\n");
  }
  if (drawn(o.smtp_defer)) {
    count(HostFault::deferred);
    return reply("452 4.2.2 mailbox full\r\n");
  }
  if (o.smtp_recipients > 0 && recipients_.size() >= static_cast<size_t>(o.smtp_recipients)) {
    count(HostFault::too_many);
    refused_ = false;
    return reply("452 4.5.3 too many recipients\r\n");
  }
  refused_ = false;
  recipients_.push_back(address);
  unanswered_.push_back(host_.ledger_.transaction(address));
  state_ = State::rcpt;
  reply("250 2.1.5 ok\r\n");
}

void SmtpSession::begin_data() {
  if (state_ == State::rcpt) {
    state_ = State::data;
    return reply("354 go ahead\r\n");
  }
  if (!refused_) broke("DATA without RCPT");
  if (host_.always_354_ && state_ != State::fresh) {
    state_ = State::data;
    return reply("354 go ahead\r\n");
  }
  reply("503 5.5.1 no valid recipients\r\n");
}

void SmtpSession::begin_bdat(std::string_view rest) {
  if (!host_.chunking_) broke("BDAT was not offered");
  if (!host_.knows_bdat_) {
    // What follows it would be read as commands.
    count(HostFault::not_known);
    state_ = State::deaf;
    return reply("500 5.5.1 what\r\n");
  }
  size_t space = rest.find(' ');
  std::string_view number = rest.substr(0, space);
  auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), chunk_left_);
  if (error != std::errc{} || end != number.data() + number.size()) broke("BDAT size");
  chunk_last_ = space != std::string_view::npos && rest.substr(space) == " LAST";
  if (space != std::string_view::npos && !chunk_last_) broke("BDAT " + std::string(rest));
  chunk_refused_ = state_ != State::rcpt;
  if (chunk_refused_ && !refused_) broke("BDAT without RCPT");
  state_ = State::bdat;
}

}  // namespace postring::sim
