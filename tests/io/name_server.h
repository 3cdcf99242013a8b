// NameServer: a DNS server of one UDP socket, moved by hand: it gives each question back as its
// answer.
//
//   NameServer server;
//   ... ask server.address ...
//   while (!server.take()) turn();   // the question is here
//   server.answer_all();             // and is answered
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "base/check.h"
#include "io/socket.h"

namespace postring {

class NameServer {
 public:
  NameServer() {
    descriptor_ = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_storage any{};
    uint32_t length = SocketAddress::parse("127.0.0.1:0")->to_system(any);
    CHECK(bind(descriptor_, reinterpret_cast<sockaddr*>(&any), length) == 0);
    address = local_address(descriptor_);
  }
  ~NameServer() { close_descriptor(descriptor_); }
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;

  // Takes a question that came; false where none did.
  bool take() {
    Question question;
    char bytes[2'048];
    socklen_t length = sizeof question.from;
    ssize_t size = recvfrom(descriptor_, bytes, sizeof bytes, 0,
                            reinterpret_cast<sockaddr*>(&question.from), &length);
    if (size < static_cast<ssize_t>(kHeaderBytes)) return false;
    question.bytes.assign(bytes, static_cast<size_t>(size));
    asked.push_back(has_edns(question.bytes));
    questions_.push_back(std::move(question));
    return true;
  }

  // Answers what was taken.
  void answer_all() {
    for (Question& question : questions_) {
      turn_into_answer(question.bytes);
      sendto(descriptor_, question.bytes.data(), question.bytes.size(), 0,
             reinterpret_cast<sockaddr*>(&question.from), sizeof(sockaddr_in));
    }
    questions_.clear();
  }

  SocketAddress address;
  bool no_edns = false;     // a question with EDNS is a format error
  int rcode = 0;            // of the answers
  std::vector<bool> asked;  // whether with EDNS

 private:
  struct Question {
    sockaddr_storage from{};
    std::string bytes;
  };
  static constexpr size_t kHeaderBytes = 12;
  static constexpr size_t kOptBytes = 11;

  static bool has_edns(const std::string& question) { return question[11] == 1; }

  void turn_into_answer(std::string& bytes) const {
    bool refused = no_edns && has_edns(bytes);
    bytes[2] = static_cast<char>(bytes[2] | 0x80);
    bytes[3] = static_cast<char>(refused ? 1 : rcode);
    if (!refused) return;
    bytes[11] = 0;
    bytes.resize(bytes.size() - kOptBytes);
  }

  int descriptor_;
  std::vector<Question> questions_;
};

}  // namespace postring
