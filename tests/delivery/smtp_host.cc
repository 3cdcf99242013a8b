#include "smtp_host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "io/socket.h"

namespace postring::delivery {

struct SmtpHost::Conversation {
  int socket = -1;
  int number = 0;
  std::string buffer;
  int messages = 0;
  std::string sender;
  std::vector<std::string> recipients;
  bool open = true;
  bool stumbles = false;

  bool fill() {
    char bytes[65'536];
    ssize_t n = recv(socket, bytes, sizeof(bytes), 0);
    if (n <= 0) return open = false;
    buffer.append(bytes, static_cast<size_t>(n));
    return true;
  }
  std::string line() {
    size_t end;
    while ((end = buffer.find("\r\n")) == std::string::npos)
      if (!fill()) return {};
    std::string text = buffer.substr(0, end);
    buffer.erase(0, end + 2);
    return text;
  }
  std::string bytes(size_t count) {
    while (buffer.size() < count)
      if (!fill()) return {};
    std::string text = buffer.substr(0, count);
    buffer.erase(0, count);
    return text;
  }
  // Until the other side has had enough.
  bool listen_only() {
    while (fill()) buffer.clear();
    return false;
  }
  void say(const std::string& text) {
    std::string out = text + "\r\n";
    if (send(socket, out.data(), out.size(), MSG_NOSIGNAL) < 0) open = false;
  }
};

SmtpHost::SmtpHost(HostBehaviour behaviour, std::string ip) : behaviour_(std::move(behaviour)) {
  auto listener = listen_on({*IpAddress::parse(ip), 0}, false);
  CHECK(listener.has_value());
  listener_ = *listener;
  address_ = local_address(listener_);
  accepter_ = std::thread([this] { accept_all(); });
}

SmtpHost::~SmtpHost() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    is_released_ = true;
    for (int socket : sockets_) shutdown(socket, SHUT_RDWR);
  }
  released_.notify_all();
  shutdown(listener_, SHUT_RDWR);
  accepter_.join();
  for (std::thread& thread : threads_) thread.join();
  close(listener_);
}

void SmtpHost::accept_all() {
  for (;;) {
    pollfd waiting{listener_, POLLIN, 0};
    poll(&waiting, 1, -1);
    int socket = accept(listener_, nullptr, nullptr);
    std::lock_guard lock(mutex_);
    if (stopping_ || (socket < 0 && errno != EAGAIN)) {
      if (socket >= 0) close(socket);
      return;
    }
    if (socket < 0) continue;
    int one = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    sockets_.push_back(socket);
    at_once_ = std::max(at_once_, static_cast<int>(sockets_.size()));
    int number = ++accepted_;
    threads_.emplace_back([this, socket, number] { serve(socket, number); });
  }
}

void SmtpHost::serve(int socket, int number) {
  Conversation c;
  c.socket = socket;
  c.number = number;
  bool too_many;
  {
    std::lock_guard lock(mutex_);
    too_many = static_cast<int>(sockets_.size()) > behaviour_.connections_max ||
               number <= behaviour_.greeting_refused_first;
  }
  c.say(too_many ? "421 4.7.0 too many connections" : behaviour_.greeting);
  if (too_many || !behaviour_.greeting.starts_with("220")) c.open = false;
  while (c.open && serve_mail(c)) {
  }
  std::lock_guard lock(mutex_);
  sockets_.remove(socket);
  close(socket);
}

// One command; false: the end.
bool SmtpHost::serve_mail(Conversation& c) {
  std::string command = c.line();
  if (!c.open) return false;
  std::unique_lock lock(mutex_);
  commands_.push_back(command);
  auto falls_silent = [&](std::string_view at) {
    return behaviour_.falls_silent && behaviour_.falls_silent(c.number, at);
  };
  if (falls_silent(command)) return lock.unlock(), c.listen_only();
  auto argument = [&] {
    size_t begin = command.find('<') + 1;
    return command.substr(begin, command.find('>') - begin);
  };
  ReceivedMail mail;
  if (command.starts_with("EHLO")) {
    std::string reply = "250-host.example";
    if (behaviour_.pipelining) reply += "\r\n250-PIPELINING";
    if (behaviour_.chunking) reply += "\r\n250-CHUNKING";
    c.say(behaviour_.ehlo_reply.empty() ? reply + "\r\n250 8BITMIME" : behaviour_.ehlo_reply);
    return true;
  }
  if (command.starts_with("MAIL")) {
    if (std::exchange(c.stumbles, false)) return c.say("503 5.5.1 out of order"), true;
    if (behaviour_.drops_at_mail && behaviour_.drops_at_mail(argument())) return false;
    if (++c.messages > behaviour_.messages_per_connection) {
      c.say("421 4.7.0 enough for now");
      return false;
    }
    c.sender = argument();
    c.recipients.clear();
    c.say("250 2.1.0 ok");
    return true;
  }
  if (command.starts_with("RCPT")) {
    if (c.recipients.size() >= behaviour_.recipients_max)
      return c.say("452 4.5.3 too many recipients"), true;
    std::string reply = behaviour_.on_rcpt ? behaviour_.on_rcpt(argument()) : "";
    if (reply.empty() || reply.starts_with("2")) c.recipients.push_back(argument());
    c.say(reply.empty() ? "250 2.1.5 ok" : reply);
    return true;
  }
  if (command == "QUIT") {
    c.say("221 2.0.0 bye");
    return false;
  }
  if (command == "RSET") {
    c.say("250 2.0.0 ok");
    return true;
  }
  lock.unlock();
  if (command == "DATA") {
    if (c.recipients.empty()) return c.say("503 5.5.1 no recipients"), true;
    c.say("354 go ahead");
    for (std::string text = c.line(); c.open && text != "."; text = c.line())
      mail.content += (text.starts_with('.') ? text.substr(1) : text) + "\r\n";
  } else if (command.starts_with("BDAT")) {
    mail.by_bdat = true;
    mail.content = c.bytes(static_cast<size_t>(std::stoul(command.substr(5))));
    if (c.recipients.empty()) return c.say("503 5.5.1 no recipients"), true;
  } else {
    return c.say("500 5.5.2 what?"), true;
  }
  if (!c.open) return false;
  mail.sender = c.sender;
  mail.recipients = c.recipients;
  mail.connection = c.number;
  lock.lock();
  std::string reply = behaviour_.on_content ? behaviour_.on_content(mail) : "";
  bool drops = behaviour_.drops_after_content && behaviour_.drops_after_content(mail);
  if (reply.empty() || reply.starts_with("2")) mails_.push_back(std::move(mail));
  if (drops) return false;
  if (falls_silent(".")) return lock.unlock(), c.listen_only();
  if (behaviour_.holds_content_replies) released_.wait(lock, [this] { return is_released_; });
  c.stumbles = behaviour_.stumbles_over_pipelining && !c.buffer.empty();
  c.say(reply.empty() ? "250 2.0.0 taken" : reply);
  return true;
}

std::vector<ReceivedMail> SmtpHost::mails() const {
  std::lock_guard lock(mutex_);
  return mails_;
}

size_t SmtpHost::mail_count() const {
  std::lock_guard lock(mutex_);
  return mails_.size();
}

int SmtpHost::connections() const {
  std::lock_guard lock(mutex_);
  return accepted_;
}

int SmtpHost::connections_at_once() const {
  std::lock_guard lock(mutex_);
  return at_once_;
}

int SmtpHost::connections_open() const {
  std::lock_guard lock(mutex_);
  return static_cast<int>(sockets_.size());
}

std::vector<std::string> SmtpHost::commands() const {
  std::lock_guard lock(mutex_);
  return commands_;
}

void SmtpHost::release() {
  std::lock_guard lock(mutex_);
  is_released_ = true;
  released_.notify_all();
}

}  // namespace postring::delivery
