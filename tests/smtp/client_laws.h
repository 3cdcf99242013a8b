// The laws of the client, held against any order of events that bytes can describe. Used by the
// fuzzer and, with random bytes, by the unit tests.
//
// The laws: every recipient of an offered message gets exactly one result, none is missing when the
// session is closed; a content leaves at most once, only for a message with somebody left to
// deliver to, and never while another's is unanswered; only a message whose content left is
// accepted or ambiguous; nothing but visible ASCII in whole CRLF lines is said; a session that is
// told to finish and hears good replies ends.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "smtp/client.h"

namespace postring::smtp {

class ClientLaws {
 public:
  explicit ClientLaws(std::string_view input) : input_(input), client_(options_from(byte())) {}

  void run() {
    while (!input_.empty()) step();
    if (client_.must_close()) return check_end();
    client_.finish();
    constexpr int kStepsMax = 2'000;
    for (int i = 0; i < kStepsMax && !client_.must_close(); ++i) {
      settle();
      if (client_.must_close()) break;
      if (flight_out_) {
        sent();
        continue;
      }
      hear(good_reply(client_.state()));
    }
    CHECK(client_.must_close(), "a session with good replies ends");
    check_end();
  }

 private:
  struct Message {
    std::vector<int> results;
    bool content_left = false;
    bool done = false;
  };

  static SessionOptions options_from(uint8_t bits) {
    SessionOptions options;
    options.ehlo_name = "me.example";
    options.pipelining = static_cast<Pipelining>(bits % 3);
    options.chunking = (bits & 4) != 0;
    options.mail_parameters = (bits & 8) != 0;
    options.ignore_8bit = (bits & 16) != 0;
    return options;
  }

  uint8_t byte() {
    if (input_.empty()) return 0;
    auto value = static_cast<uint8_t>(input_.front());
    input_.remove_prefix(1);
    return value;
  }

  void step() {
    static constexpr std::string_view kReplies[] = {
        "220 mx\r\n",
        "250 ok\r\n",
        "250 2.0.0 ok\r\n",
        "354 go\r\n",
        "421 4.3.2 bye\r\n",
        "450 later\r\n",
        "550 5.1.1 no\r\n",
        "503 5.5.1 bad sequence\r\n",
        "554 no\r\n",
        "552 too many\r\n",
        "221 bye\r\n",
        "502 what\r\n",
        "250-",
        "\r\n",
        "25",
        "0 x\n",
        "250-mx\r\n250-PIPELINING\r\n250-SIZE 5000\r\n250-CHUNKING\r\n250 8BITMIME\r\n",
        "250-mx\r\n250-PIPELINING\r\n250 SMTPUTF8\r\n",
        "250-mx\r\n250 CHUNKING\r\n",
        "220 mx\r\n250-mx\r\n250 PIPELINING\r\n"};
    uint8_t op = byte();
    switch (op % 16) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        hear(kReplies[byte() % std::size(kReplies)]);
        break;
      case 5: {
        size_t size = byte() % 32;
        size = std::min(size, input_.size());
        hear(input_.substr(0, size));
        input_.remove_prefix(size);
        break;
      }
      case 6:
      case 7:
        offer();
        break;
      case 8:
      case 9:
        take();
        break;
      case 10:
        sent();
        break;
      case 11:
        settle();
        break;
      case 12:
        if (op < 32) client_.finish();
        break;
      case 13:
        if (op < 32) client_.stop();
        break;
      case 14:
        if (op < 32) client_.timed_out(op < 16);
        break;
      case 15:
        if (op < 32) client_.lost(op < 16 ? 0 : 104, byte() % 2 == 0);
        break;
    }
    if (op % 16 < 6) hear(good_reply(client_.state()));
    collect();
  }

  void hear(std::string_view bytes) { client_.receive(bytes); }

  void offer() {
    if (!client_.wants_message()) return;
    static constexpr std::string_view kAddresses[] = {
        "a@b.example", "\"x y\"@b.example", "j\xc3\xb6@b.example", "bad\r\nDATA@b", "", "c@d"};
    uint8_t bits = byte();
    std::vector<std::string_view> recipients;
    for (int i = 0; i <= bits % 4; ++i)
      recipients.push_back(kAddresses[byte() % std::size(kAddresses)]);
    Envelope envelope;
    envelope.message = ++offered_;
    envelope.sender = kAddresses[(bits & 64) != 0 ? byte() % std::size(kAddresses) : 5];
    envelope.recipients = recipients;
    envelope.size_bytes = (bits & 4) != 0 ? 10'000 : 100;
    envelope.content_8bit = (bits & 8) != 0;
    envelope.smtputf8 = (bits & 16) != 0;
    messages_[offered_].results.assign(recipients.size(), 0);
    client_.offer(envelope);
    collect();
  }

  void take() {
    Flight flight;
    if (!client_.take_flight(flight)) return;
    CHECK(!flight_out_);
    flight_out_ = true;
    check_lines(flight.head);
    check_lines(flight.tail);
    if (!flight.body) return;
    Message& message = messages_.at(flight.message);
    CHECK(!message.content_left, "a content leaves once");
    CHECK(!message.done, "a content is for somebody");
    for (auto& [number, other] : messages_)
      CHECK(!other.content_left || other.done, "one message at most is ambiguous");
    message.content_left = true;
  }

  void sent() {
    if (!flight_out_ || client_.must_close()) return;
    flight_out_ = false;
    client_.flight_sent();
  }

  void settle() {
    if (flight_out_) sent();
    while (!flight_out_ && !client_.must_close()) {
      take();
      if (!flight_out_) break;
      sent();
    }
    collect();
  }

  void collect() {
    for (const RecipientResult& result : client_.results()) {
      Message& message = messages_.at(result.message);
      CHECK(!message.done, "nothing is said of a message that is done");
      CHECK(++message.results.at(result.recipient) == 1, "a recipient has one result");
      bool all = std::count(message.results.begin(), message.results.end(), 0) == 0;
      CHECK(result.message_done == all);
      message.done = all;
      if (result.verdict == Verdict::accepted || result.verdict == Verdict::ambiguous)
        CHECK(message.content_left, "what was not sent is not accepted");
      CHECK(client_.reply_of(result).text.size() <= kReplyTextMax);
    }
    client_.clear_results();
  }

  void check_end() {
    collect();
    CHECK(!client_.wants_message());
    Flight flight;
    CHECK(!client_.take_flight(flight));
    CHECK(client_.end().cause != EndCause::open);
    for (auto& [number, message] : messages_)
      CHECK(message.done, "a session that is closed has judged every recipient");
  }

  static void check_lines(std::string_view text) {
    if (text.empty()) return;
    CHECK(text.ends_with("\r\n"), "whole lines are said");
    for (size_t i = 0; i < text.size(); ++i) {
      auto c = static_cast<uint8_t>(text[i]);
      if (c == '\r') CHECK(i + 1 < text.size() && text[i + 1] == '\n', "no bare CR");
      if (c == '\n') CHECK(i > 0 && text[i - 1] == '\r', "no bare LF");
      CHECK(c >= 0x20 || c == '\r' || c == '\n', "no controls");
    }
  }

  static std::string_view good_reply(State state) {
    switch (state) {
      case State::greeting:
        return "220 mx\r\n";
      case State::data:
        return "354 go\r\n";
      case State::quit:
        return "221 bye\r\n";
      case State::idle:
      case State::body:
      case State::closed:
        return "";
      default:
        return "250 ok\r\n";
    }
  }

  std::string_view input_;
  Client client_;
  uint64_t offered_ = 0;
  std::map<uint64_t, Message> messages_;
  bool flight_out_ = false;
};

}  // namespace postring::smtp
