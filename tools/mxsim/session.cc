#include "session.h"

#include <algorithm>
#include <cstring>

#include "choice.h"

namespace mxsim {
namespace {

constexpr size_t kCommandLimit = 512;
constexpr size_t kCommandLimitUtf8 = 1024;
constexpr size_t kLineBufferLimit = 65536;

std::string_view or_else(const std::string& text, std::string_view otherwise) {
  return text.empty() ? otherwise : std::string_view(text);
}

}  // namespace

Session::Session(Site& site, uint32_t host, uint32_t client, uint64_t number)
    : site_(site), host_(host), client_(client), number_(number) {
  rule_ = site_.rules->host_at(host).rule;
  const Behaviour& b = behaviour();
  by_recipient_ =
      site_.ledger != nullptr || b.drop.on || b.hang.on || b.malformed.on || b.greylist_ms != 0;
  for (Stage stage : {Stage::kRcpt, Stage::kData, Stage::kBody}) {
    const StageFault& fault = b.faults[static_cast<size_t>(stage)];
    by_recipient_ = by_recipient_ || fault.temporary.of_10000 || fault.permanent.of_10000;
  }
}

const Session::Recipient& Session::first() const {
  static const Recipient kNobody;
  return recipients_.empty() ? kNobody : recipients_.front();
}

const Behaviour& Session::behaviour_of(std::string_view recipient) const {
  auto domain = site_.rules->find_domain(domain_of(recipient));
  return site_.rules->behaviour(domain ? domain->rule : rule_);
}

std::string Session::domain_of(std::string_view recipient) {
  size_t at = recipient.rfind('@');
  std::string domain(at == std::string_view::npos ? recipient : recipient.substr(at + 1));
  for (char& c : domain)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return domain;
}

void Session::violate(std::string_view name, std::string_view example) {
  if (site_.ledger) site_.ledger->violated(name, example);
}

void Session::reply(Stage stage, std::string_view text) {
  if (text[0] == '4') Counters::add(site_.counters->replies_4xx);
  if (text[0] == '5') Counters::add(site_.counters->replies_5xx);
  uint32_t delay_ms = behaviour().delay_ms[static_cast<size_t>(stage)];
  std::string& to = delay_ms == 0 && !waiting() ? output_ : delayed_;
  to.append(text).append("\r\n");
  if (delay_ms != 0 && !waiting()) wait_ms_ = delay_ms;
}

void Session::resume() {
  if (wait_ms_ == kForever) return;
  output_.append(delayed_);
  banner_said_ = true;
  delayed_.clear();
  wait_ms_ = 0;
}

bool Session::has_mischief(Stage stage) const {
  const Behaviour& b = behaviour();
  return (b.drop.on && b.drop.at == stage) || (b.hang.on && b.hang.at == stage) ||
         (b.malformed.on && b.malformed.at == stage);
}

bool Session::misbehave(Stage stage, std::string_view whom, uint64_t attempt) {
  const Behaviour& b = behaviour();
  auto happens = [&](const Mischief& mischief, std::string_view what) {
    return mischief.on && mischief.at == stage && chosen(mischief.share, what, whom, attempt);
  };
  if (happens(b.hang, "hang")) {
    wait_ms_ = kForever;
    return true;
  }
  if (happens(b.drop, "drop")) {
    Counters::add(site_.counters->drops);
    ending_ = b.drop_resets ? Ending::kReset : Ending::kClose;
    return true;
  }
  if (happens(b.malformed, "malformed")) {
    send_garbage();
    return true;
  }
  return false;
}

void Session::send_garbage() {
  switch (behaviour().malformed_kind) {
    case Malformed::kNul:
      output_.append(std::string_view("250 O\0K\r\n", 9));
      break;
    case Malformed::kNoCrlf:
      output_.append("250 OK");
      ending_ = Ending::kClose;
      break;
    case Malformed::kBareLf:
      output_.append("250-OK\n250 OK\n");
      break;
    case Malformed::kBadCode:
      output_.append("abc what is this\r\n");
      break;
    case Malformed::kMixedCodes:
      output_.append("250-OK\r\n451 no\r\n");
      break;
    case Malformed::kLongLine:
      output_.append("250 ").append(100'000, 'x').append("\r\n");
      break;
    case Malformed::kManyLines:
      for (int i = 0; i < 9'999; ++i) output_.append("250-more\r\n");
      output_.append("250 end\r\n");
      break;
    case Malformed::kBinary:
      output_.append("250 \xff\xfe\x80 OK\r\n");
      break;
    case Malformed::kEmpty:
      output_.append("\r\n");
      break;
  }
}

bool Session::refuse(Stage stage, const Behaviour& behaviour, std::string_view whom,
                     uint64_t attempt) {
  const StageFault& fault = behaviour.faults[static_cast<size_t>(stage)];
  if (fault.permanent.of_10000 == 0 && fault.temporary.of_10000 == 0) return false;
  std::string name(kStageNames[static_cast<size_t>(stage)]);
  if (chosen(fault.permanent, name + "_5xx", whom, attempt)) {
    bool rcpt = stage == Stage::kRcpt;
    reply(stage, or_else(fault.permanent_text,
                         rcpt ? "550 5.1.1 No such user here" : "554 5.7.1 Refused by policy"));
    return true;
  }
  if (chosen(fault.temporary, name + "_4xx", whom, attempt)) {
    bool rcpt = stage == Stage::kRcpt;
    reply(stage, or_else(fault.temporary_text,
                         rcpt ? "450 4.2.1 Mailbox is busy" : "451 4.3.0 Try again later"));
    return true;
  }
  return false;
}

void Session::start() {
  std::string host = std::to_string(host_);
  if (misbehave(Stage::kConnect, host, number_)) return;
  if (refuse(Stage::kConnect, behaviour(), host, number_) ||
      refuse(Stage::kBanner, behaviour(), host, number_)) {
    ending_ = Ending::kClose;
    return;
  }
  if (misbehave(Stage::kBanner, host, number_)) return;
  reply(Stage::kBanner, "220 mail host of mxsim ESMTP");
  banner_said_ = !waiting();
}

void Session::reset_transaction() {
  in_transaction_ = chunked_ = chunk_refused_ = false;
  recipients_.clear();
  recipient_count_ = 0;
  body_.clear();
  body_size_ = 0;
}

void Session::helo(std::string_view line, bool extended) {
  std::string name;
  Parsed parsed = parse_helo(line, name);
  if (!parsed.ok()) violate(parsed.wrong, line);
  std::string host = std::to_string(host_);
  if (has_mischief(Stage::kHelo) && misbehave(Stage::kHelo, host, number_)) return;
  if (refuse(Stage::kHelo, behaviour(), host, number_)) return;
  const Behaviour& b = behaviour();
  if (extended && !b.ehlo) return reply(Stage::kHelo, "502 5.5.1 EHLO is not known here");
  reset_transaction();
  greeted_ = true;
  if (!extended) return reply(Stage::kHelo, "250 mxsim");
  const Extensions& e = b.extensions;
  std::string text = "250-mxsim";
  if (e.pipelining) text += "\r\n250-PIPELINING";
  if (e.chunking) text += "\r\n250-CHUNKING";
  if (e.eight_bit) text += "\r\n250-8BITMIME";
  if (e.smtputf8) text += "\r\n250-SMTPUTF8";
  if (e.enhanced_codes) text += "\r\n250-ENHANCEDSTATUSCODES";
  if (e.size) text += "\r\n250-SIZE " + std::to_string(b.size_limit);
  size_t last = text.rfind("250-");
  text[last + 3] = ' ';
  reply(Stage::kHelo, text);
}

void Session::mail(std::string_view line) {
  Counters::add(site_.counters->mail_commands);
  const Behaviour& b = behaviour();
  if (b.close_after_messages != 0 && messages_ >= b.close_after_messages) {
    reply(Stage::kMail, or_else(b.close_text, "421 4.7.0 Too many messages, closing"));
    ending_ = Ending::kClose;
    return;
  }
  if (site_.ledger) {
    Counters& counters = *site_.counters;
    counters.last_mail_ms.store(static_cast<uint64_t>(wall_ms()), std::memory_order_relaxed);
    if (!greeted_) violate("mail_before_helo", line);
    if (in_transaction_) {
      violate("mail_inside_transaction", line);
      return reply(Stage::kMail, "503 5.5.1 Nested MAIL");
    }
    MailCommand command;
    Parsed parsed = parse_mail(line, b.extensions, command);
    if (!parsed.ok()) {
      violate(parsed.wrong, line);
      return reply(Stage::kMail, "501 5.5.4 " + parsed.wrong);
    }
    mail_ = std::move(command);
  }
  const StageFault& fault = b.faults[static_cast<size_t>(Stage::kMail)];
  if (has_mischief(Stage::kMail) || fault.temporary.of_10000 || fault.permanent.of_10000) {
    uint32_t attempt = site_.world->count_up("mail " + mail_.sender);
    if (misbehave(Stage::kMail, mail_.sender, attempt)) return;
    if (refuse(Stage::kMail, b, mail_.sender, attempt)) return;
  }
  if (mail_.size && *mail_.size > b.size_limit)
    return reply(Stage::kMail, "552 5.3.4 Message is too big");
  in_transaction_ = true;
  reply(Stage::kMail, "250 2.1.0 OK");
}

void Session::rcpt(std::string_view line) {
  if (!in_transaction_) {
    // Legitimate behind a refused MAIL in one flight.
    return reply(Stage::kRcpt, "503 5.5.1 MAIL first");
  }
  if (!by_recipient_) {
    ++recipient_count_;
    return reply(Stage::kRcpt, "250 2.1.5 OK");
  }
  Recipient recipient;
  if (site_.ledger) {
    Parsed parsed = parse_rcpt(line, mail_.smtputf8, recipient.address);
    if (!parsed.ok()) {
      violate(parsed.wrong, line);
      return reply(Stage::kRcpt, "501 5.1.3 " + parsed.wrong);
    }
    std::string domain = domain_of(recipient.address);
    recipient.address.replace(recipient.address.size() - domain.size(), domain.size(), domain);
    recipient.attempt = site_.ledger->attempt(recipient.address, client_);
    if (recipients_.size() >= behaviour().max_recipients)
      return reply(Stage::kRcpt, "452 4.5.3 Too many recipients");
  } else {
    // Without a ledger nothing knows the attempt: the place in the session stands for it.
    recipient.address = line.substr(std::min<size_t>(line.size(), 9));
    recipient.attempt = static_cast<uint32_t>(messages_);
  }
  const Behaviour& b = site_.ledger ? behaviour_of(recipient.address) : behaviour();
  if (has_mischief(Stage::kRcpt) && misbehave(Stage::kRcpt, recipient.address, recipient.attempt))
    return;
  auto temporary = [&] {
    if (site_.ledger) site_.ledger->refused(recipient.address, false);
  };
  if (b.greylist_ms != 0) {
    std::string key = b.greylist_by_host ? "host " + std::to_string(host_)
                                         : mail_.sender + " " + recipient.address;
    if (site_.world->greylisted(key, b.greylist_ms)) {
      temporary();
      return reply(Stage::kRcpt, "451 4.7.1 Greylisted, come back later");
    }
  }
  uint64_t refused_before = site_.counters->replies_5xx.load(std::memory_order_relaxed);
  if (refuse(Stage::kRcpt, b, recipient.address, recipient.attempt)) {
    bool permanent = site_.counters->replies_5xx.load(std::memory_order_relaxed) != refused_before;
    if (site_.ledger) site_.ledger->refused(recipient.address, permanent);
    return;
  }
  ++recipient_count_;
  recipients_.push_back(std::move(recipient));
  reply(Stage::kRcpt, "250 2.1.5 OK");
}

size_t Session::receive(const char* bytes, size_t size) {
  size_t used = 0;
  while (used < size && !waiting() && ending_ == Ending::kNone) {
    if (state_ != State::kCommands) {
      used += take_body(bytes + used, size - used);
      bool ended = state_ == State::kCommands && used < size;
      if (ended && !behaviour().extensions.pipelining) violate("pipelined_unoffered", "a body");
      continue;
    }
    const void* end = std::memchr(bytes + used, '\n', size - used);
    if (end == nullptr) {
      if (size - used > kLineBufferLimit) {
        violate("command_without_end", std::string_view(bytes + used, 80));
        ending_ = Ending::kClose;
      }
      break;
    }
    size_t length = static_cast<size_t>(static_cast<const char*>(end) - (bytes + used));
    std::string_view line(bytes + used, length);
    used += length + 1;
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    else
      violate("command_bare_lf", line);
    command(line, size - used);
  }
  return used;
}

void Session::command(std::string_view line, size_t behind) {
  Verb verb = verb_of(line);
  if (site_.ledger) {
    size_t limit = behaviour().extensions.smtputf8 ? kCommandLimitUtf8 : kCommandLimit;
    if (line.size() + 2 > limit) violate("command_too_long", line);
    if (line.find_first_of(std::string_view("\r\0", 2)) != std::string_view::npos)
      violate("command_cr_or_nul", line);
    bool may_be_followed =
        verb == Verb::kMail || verb == Verb::kRcpt || verb == Verb::kRset || verb == Verb::kBdat;
    bool body_follows = verb == Verb::kBdat;
    if (behind > 0 && !body_follows && !behaviour().extensions.pipelining)
      violate("pipelined_unoffered", line);
    else if (behind > 0 && !may_be_followed && verb != Verb::kData)
      violate("pipelined_behind_last", line);
  }
  switch (verb) {
    case Verb::kEhlo:
    case Verb::kHelo:
      return helo(line, verb == Verb::kEhlo);
    case Verb::kMail:
      return mail(line);
    case Verb::kRcpt:
      return rcpt(line);
    case Verb::kData:
      return data(behind);
    case Verb::kBdat:
      return bdat(line);
    case Verb::kRset:
      reset_transaction();
      return reply(Stage::kMail, "250 2.0.0 OK");
    case Verb::kNoop:
      return reply(Stage::kMail, "250 2.0.0 OK");
    case Verb::kVrfy:
      return reply(Stage::kRcpt, "252 2.5.0 Try it");
    case Verb::kQuit:
      if (has_mischief(Stage::kQuit) && misbehave(Stage::kQuit, std::to_string(host_), number_))
        return;
      reply(Stage::kQuit, "221 2.0.0 Bye");
      ending_ = Ending::kClose;
      return;
    case Verb::kUnknown:
      violate("unknown_command", line);
      return reply(Stage::kMail, "500 5.5.2 What is that?");
  }
}

}  // namespace mxsim
