// What a session takes as a message's content, and how it judges it.
#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "sim/smtp_session.h"

namespace postring::sim {
namespace {

constexpr size_t kLineMax = 1'000;  // RFC 5321 4.5.3.1.6, its end included

// Quoted-printable undone as far as it matters here: soft line breaks and dots.
std::string unquoted(std::string_view content) {
  std::string plain;
  for (size_t at = 0; at < content.size(); ++at) {
    std::string_view three = content.substr(at, 3);
    if (three == "=\r\n") {
      at += 2;
    } else if (three == "=2E") {
      plain += '.';
      at += 2;
    } else {
      plain += content[at];
    }
  }
  return plain;
}

}  // namespace

bool SmtpSession::read_chunk() {
  size_t count = static_cast<size_t>(std::min<uint64_t>(chunk_left_, inbox_.size()));
  content_.append(inbox_, 0, count);
  inbox_.erase(0, count);
  chunk_left_ -= count;
  if (chunk_left_ > 0) return false;
  state_ = State::rcpt;
  if (!host_.pipelining_ && !inbox_.empty()) broke("ahead of the reply to a chunk");
  if (chunk_refused_) {
    end_transaction();
    state_ = State::greeted;
    refused_ = true;
    reply("503 5.5.1 no valid recipients\r\n");
    return true;
  }
  if (!chunk_last_) {
    reply("250 2.0.0 ok\r\n");
    return true;
  }
  take_content(std::move(content_), false);
  return true;
}

bool SmtpSession::read_data() {
  size_t end = inbox_.starts_with(".\r\n") ? 0 : inbox_.find("\r\n.\r\n");
  if (end == std::string::npos) return false;
  size_t body = end == 0 ? 0 : end + 2;
  std::string content = inbox_.substr(0, body);
  inbox_.erase(0, body + 3);
  take_content(std::move(content), true);
  return true;
}

// The connection goes while a content comes, or nobody reads it any more.
void SmtpSession::lose_content() {
  Step before = std::exchange(step_, Step::content);
  if (goes_silent()) return;
  if (!met(host_.faults_.options.smtp_drop_content)) return void(step_ = before);
  bool reset = host_.random_.chance(1, 2);
  count(reset ? HostFault::reset : HostFault::close);
  close_now(reset);
}

void SmtpSession::take_content(std::string content, bool dotted) {
  step_ = Step::dot;
  said_ahead_ = behind_dot_ = !inbox_.empty();
  if (recipients_.empty()) {
    if (!content.empty()) broke("a content for nobody");
    end_transaction();
    refused_ = true;
    return reply("554 5.5.1 no valid recipients\r\n");
  }
  content_.clear();
  for (size_t at = 0; at < content.size();) {
    size_t end = content.find("\r\n", at);
    if (end == std::string::npos) {
      broke("a content that does not end with CRLF");
      break;
    }
    if (dotted && content[at] == '.') {
      if (content[at + 1] != '.') broke("a dot that is not doubled");
      ++at;
    }
    if (end + 2 - at > kLineMax) broke("a content line of " + std::to_string(end + 2 - at));
    content_.append(content, at, end + 2 - at);
    at = end + 2;
  }
  for (size_t i = 0; i < content_.size(); ++i) {
    bool cr = content_[i] == '\r', lf = content_[i] == '\n';
    if (cr && (i + 1 == content_.size() || content_[i + 1] != '\n')) broke("a bare CR");
    if (lf && (i == 0 || content_[i - 1] != '\r')) broke("a bare LF");
  }
  if (size_ != 0 && size_ != content_.size()) broke("a SIZE that is not the content's");
  check_shared();
  for (const std::string& address : recipients_) {
    host_.ledger_.content_arrived(address, hash64(sender_ + "\n" + content_));
  }
  const Options& o = host_.faults_.options;
  ++judged_;
  std::string text = judge_content();
  bool taken = text.starts_with('2');
  std::vector<std::shared_ptr<Instant>> seen;
  for (const std::string& address : recipients_) {
    if (!taken) continue;
    seen.push_back(std::make_shared<Instant>(Instant::never()));
    host_.ledger_.delivered(address, seen.back());
  }
  seen.insert(seen.end(), unanswered_.begin(), unanswered_.end());
  end_transaction();
  if (taken && lose(o.smtp_drop_dot)) return;
  if (goes_silent()) return;
  marks_ = std::move(seen);
  reply(text, text.starts_with("421"));
}

// Those whose content is the same for all may share a transaction, and are refused alike.
std::string SmtpSession::content_key(const std::string& address) {
  const Person* person = host_.ledger_.find(address);
  return person == nullptr || person->shared.empty() ? address : person->shared;
}

void SmtpSession::check_shared() {
  for (const std::string& address : recipients_) {
    bool alike = content_key(address) == content_key(recipients_[0]);
    if (!alike) broke(address + " is told the content of " + recipients_[0]);
  }
}

// In the text and in the HTML.
bool SmtpSession::greets(const std::string& plain, const std::string& address) {
  const Person* person = host_.ledger_.find(address);
  if (person == nullptr) return true;
  std::string greeting = "Dear " + person->name + ",";
  return plain.find(greeting + "\r\n") != std::string::npos &&
         plain.find("<p>" + greeting + "</p>") != std::string::npos;
}

std::string SmtpSession::judge_content() {
  const Options& o = host_.faults_.options;
  for (const std::string& address : recipients_) {
    std::string one = content_key(address);
    std::string mark = "mark:" + one + ":end";
    std::string plain = unquoted(content_);
    if (plain.find(mark) == std::string::npos) broke("a content without its recipient " + address);
    if (!greets(plain, address)) broke("a content without the name of " + address);
    if (plain.find("\r\n.a line that begins with a dot\r\n") == std::string::npos) {
      broke("a content without its dot for " + address);
    }
  }
  // One for all of them: they have the same content.
  if (host_.of_people(content_key(recipients_[0]), "content", o.smtp_refuse_content)) {
    count(HostFault::unwanted);
    for (const std::string& address : recipients_) host_.ledger_.refused_for_ever(address);
    return "554 5.7.1 not wanted here\r\n";
  }
  if (drawn(o.smtp_defer)) {
    count(HostFault::deferred);
    return "451 4.3.0 later\r\n";
  }
  if (drawn(o.smtp_421)) {
    count(HostFault::closing_421);
    return "421 4.3.2 going down\r\n";
  }
  return "250 2.0.0 taken\r\n";
}

}  // namespace postring::sim
