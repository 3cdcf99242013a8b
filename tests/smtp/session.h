// Session: a client under test, its flights as text and its results as lines.
//
//   session.hear("220 mx\r\n");
//   EXPECT_EQ(session.said(), "EHLO me\r\n");
//
// A flight's content shows as "{N}" for DATA and "{N plain}" for BDAT, N the message. A result
// shows as "N/RECIPIENT VERDICT STAGE CODE", followed by " plain" for plain_retry and " done" for
// the message's last.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "smtp/client.h"

namespace postring::smtp {

inline const char* name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::accepted:
      return "accepted";
    case Verdict::deferred:
      return "deferred";
    case Verdict::refused:
      return "refused";
    case Verdict::ambiguous:
      return "ambiguous";
    case Verdict::unsent:
      return "unsent";
  }
  return "?";
}

class Session {
 public:
  explicit Session(SessionOptions options = {}) : client(named(std::move(options))) {}

  void hear(std::string_view bytes) { client.receive(bytes); }

  // Greets, says EHLO and hears these extensions: the session then wants a message.
  void open(std::string_view extensions = "PIPELINING") {
    hear("220 mx ready\r\n");
    EXPECT_EQ(said(), "EHLO me.example\r\n");
    std::string reply = "250-mx\r\n";
    while (!extensions.empty()) {
      size_t end = std::min(extensions.find(','), extensions.size());
      reply += "250-" + std::string(extensions.substr(0, end)) + "\r\n";
      extensions.remove_prefix(std::min(end + 1, extensions.size()));
    }
    hear(reply + "250 HELP\r\n");
    EXPECT_EQ(said(), "");
    EXPECT_TRUE(client.wants_message());
  }

  void offer(uint64_t message, std::vector<std::string_view> recipients = {"to@b.example"}) {
    Envelope envelope;
    envelope.message = message;
    envelope.sender = "from@a.example";
    envelope.recipients = recipients;
    envelope.size_bytes = 1'000;
    client.offer(envelope);
  }

  // The next flight, left unsent. "" for none.
  std::string take() {
    Flight flight;
    if (!client.take_flight(flight)) return "";
    std::string text(flight.head);
    if (flight.body) {
      text += "{" + std::to_string(flight.message);
      text += flight.form == Flight::Form::plain ? " plain}" : "}";
      EXPECT_EQ(flight.tail_ends_content_bytes, flight.form == Flight::Form::plain ? 0u : 3u);
    }
    text += flight.tail;
    return text;
  }

  // All flights that can leave now, sent.
  std::string said() {
    std::string all;
    for (std::string text = take(); !text.empty(); text = take()) {
      all += text;
      client.flight_sent();
    }
    return all;
  }

  std::vector<std::string> results() {
    std::vector<std::string> lines;
    for (const RecipientResult& r : client.results()) {
      std::string line = std::to_string(r.message) + "/" + std::to_string(r.recipient) + " " +
                         name_of(r.verdict) + " " + postring::name_of(r.stage) + " " +
                         std::to_string(client.reply_of(r).code);
      if (r.plain_retry) line += " plain";
      if (r.message_done) line += " done";
      lines.push_back(line);
    }
    client.clear_results();
    return lines;
  }

  Client client;

 private:
  static SessionOptions named(SessionOptions options) {
    options.ehlo_name = "me.example";
    return options;
  }
};

using Lines = std::vector<std::string>;

}  // namespace postring::smtp
