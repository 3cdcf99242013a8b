// SmtpHost: a mail server on loopback for tests, one thread per connection, that does as it is
// told.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "io/socket_address.h"

namespace postring::delivery {

struct ReceivedMail {
  std::string sender;
  std::vector<std::string> recipients;
  std::string content;  // without dot-stuffing
  int connection = 0;   // the how-manieth
  bool by_bdat = false;
};

// What a host does; the functions are called with the host's lock held.
struct HostBehaviour {
  bool pipelining = true;
  bool chunking = true;
  std::string greeting = "220 host.example ready";
  std::string ehlo_reply;          // empty: 250 with the extensions
  int greeting_refused_first = 0;  // so many connections are greeted with 421
  // Answers 503 to MAIL where more commands lie behind the content.
  bool stumbles_over_pipelining = false;
  int connections_max = 1'000;              // the greeting is 421 beyond
  int messages_per_connection = 1'000'000;  // 421 to MAIL beyond
  size_t recipients_max = 1'000;            // of one message, 452 beyond
  // The reply to RCPT, to the end of the content; empty: 250.
  std::function<std::string(const std::string& recipient)> on_rcpt;
  std::function<std::string(const ReceivedMail& mail)> on_content;
  // True: closes instead of replying to the content, which counts as received.
  std::function<bool(const ReceivedMail& mail)> drops_after_content;
  std::function<bool(const std::string& sender)> drops_at_mail;
  // True: falls silent for good instead of replying to this command, "." for the content.
  std::function<bool(int connection, std::string_view command)> falls_silent;
  // The reply to the content waits until release() was called.
  bool holds_content_replies = false;
};

class SmtpHost {
 public:
  explicit SmtpHost(HostBehaviour behaviour = {}, std::string ip = "127.0.0.1");
  ~SmtpHost();
  SmtpHost(const SmtpHost&) = delete;
  SmtpHost& operator=(const SmtpHost&) = delete;

  SocketAddress address() const { return address_; }
  std::vector<ReceivedMail> mails() const;
  size_t mail_count() const;
  int connections() const;          // ever accepted
  int connections_at_once() const;  // the most
  int connections_open() const;
  std::vector<std::string> commands() const;  // all that came, in order
  void release();

 private:
  struct Conversation;

  void accept_all();
  void serve(int socket, int number);
  bool serve_mail(Conversation& conversation);

  HostBehaviour behaviour_;
  SocketAddress address_;
  int listener_ = -1;
  mutable std::mutex mutex_;
  std::condition_variable released_;
  bool is_released_ = false;
  bool stopping_ = false;
  std::vector<ReceivedMail> mails_;
  std::vector<std::string> commands_;
  std::list<int> sockets_;
  int accepted_ = 0;
  int at_once_ = 0;
  std::list<std::thread> threads_;
  std::thread accepter_;
};

}  // namespace postring::delivery
