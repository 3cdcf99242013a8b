#include <gtest/gtest.h>

#include <string>

#include "choice.h"
#include "config.h"
#include "dns_message.h"
#include "dns_server.h"
#include "dot_finder.h"
#include "grammar.h"
#include "ledger.h"
#include "session.h"
#include "world.h"

namespace mxsim {
namespace {

// Where the message ends when it comes in pieces of `piece` bytes; npos where it never does.
size_t end_of(const std::string& sent, size_t piece) {
  DotFinder finder;
  size_t at = 0;
  while (at < sent.size()) {
    size_t size = std::min(piece, sent.size() - at);
    size_t used = finder.feed(sent.data() + at, size);
    at += used;
    if (finder.done()) return at;
    EXPECT_EQ(used, size);
  }
  return std::string::npos;
}

TEST(DotFinder, FindsTheEndHoweverItIsCut) {
  std::string filler(200, 'x');
  const std::string texts[] = {
      ".\r\n",
      "a\r\n.\r\n",
      "a\r\n..\r\nb\r\n.\r\n",
      "a\n.\n.\r.\r\nb\r\n.\r\r\n.\r\n",
      filler + "\r\n" + filler + "\n." + filler + "\r\n..x\r\n" + filler + "\r\n.\r\n",
      "\r\r\n.\r\n",
      "x\r\n.a\r\n.\r\n",
  };
  for (const std::string& text : texts)
    for (size_t piece = 1; piece <= text.size() + 5; ++piece)
      ASSERT_EQ(end_of(text + "MAIL", piece), text.size()) << text << " in pieces of " << piece;
}

TEST(DotFinder, NeverEndsWithoutALineOfItsOwn) {
  for (const char* text : {"a.\r\n", "a\n.\n", "a\n.\r\n", "a\r.\r\n", "a\r\n.\n", "a\r\n. \r\n"})
    for (size_t piece = 1; piece <= 8; ++piece)
      EXPECT_EQ(end_of(text, piece), std::string::npos) << text;
}

TEST(Grammar, TakesGoodCommands) {
  MailCommand mail;
  EXPECT_EQ(parse_mail("MAIL FROM:<a.b@c.example> SIZE=12 BODY=8BITMIME", {}, mail).wrong, "");
  EXPECT_EQ(mail.sender, "a.b@c.example");
  EXPECT_EQ(mail.size, 12u);
  EXPECT_TRUE(mail.eight_bit);
  MailCommand null_sender;
  EXPECT_EQ(parse_mail("mail from:<>", {}, null_sender).wrong, "");
  std::string recipient;
  EXPECT_EQ(parse_rcpt("RCPT TO:<\"a b>\"@c.example>", false, recipient).wrong, "");
  EXPECT_EQ(recipient, "\"a b>\"@c.example");
  uint64_t size = 0;
  bool last = false;
  EXPECT_EQ(parse_bdat("BDAT 86 LAST", size, last).wrong, "");
  EXPECT_EQ(size, 86u);
  EXPECT_TRUE(last);
}

TEST(Grammar, NamesWhatIsWrong) {
  Extensions bare{false, false, false, false, false, false};
  MailCommand mail;
  EXPECT_EQ(parse_mail("MAIL FROM: <a@b.example>", {}, mail).wrong, "mail_syntax");
  EXPECT_EQ(parse_mail("MAIL FROM:<a@b.example> SIZE=1", bare, mail).wrong, "size_not_offered");
  EXPECT_EQ(parse_mail("MAIL FROM:<a b@c.example>", {}, mail).wrong, "local_part_syntax");
  EXPECT_EQ(parse_mail("MAIL FROM:<a@b.example>  ", {}, mail).wrong, "mail_parameter_unknown");
  std::string recipient;
  EXPECT_EQ(parse_rcpt("RCPT TO:<a@-b.example>", false, recipient).wrong, "domain_syntax");
  EXPECT_EQ(parse_rcpt("RCPT TO:<\xc3\xa4@b.example>", false, recipient).wrong,
            "local_part_syntax");
  EXPECT_EQ(parse_rcpt("RCPT TO:<\xc3\xa4@b.example>", true, recipient).wrong, "");
  uint64_t size = 0;
  bool last = false;
  EXPECT_EQ(parse_bdat("BDAT x", size, last).wrong, "bdat_syntax");
}

TEST(Grammar, UnwrapsTheSameMessageFromDataAndBdat) {
  std::string message = "Message-ID: <1@x>\r\n\r\n.dot\r\n..\r\nend\r\n";
  Received with_data = unwrap("Message-ID: <1@x>\r\n\r\n..dot\r\n...\r\nend\r\n.\r\n", true, false);
  Received with_bdat = unwrap(message, false, false);
  EXPECT_EQ(with_data.message, message);
  EXPECT_EQ(with_bdat.message, message);
  EXPECT_EQ(with_data.message_id, "<1@x>");
  EXPECT_TRUE(with_data.violations.empty());
  EXPECT_TRUE(with_bdat.violations.empty());
}

TEST(Grammar, SeesWhatIsWrongInAMessage) {
  auto violations = [](const std::string& sent, bool stuffed) {
    std::string all;
    for (const std::string& each : unwrap(sent, stuffed, false).violations) all += each + " ";
    return all;
  };
  EXPECT_EQ(violations("a\nb\r\n.\r\n", true), "body_bare_lf ");
  EXPECT_EQ(violations("a\rb\r\n.\r\n", true), "body_bare_cr ");
  EXPECT_EQ(violations(".a\r\n.\r\n", true), "body_dot_not_stuffed ");
  EXPECT_EQ(violations(std::string(999, 'a') + "\r\n.\r\n", true), "body_line_over_998 ");
  EXPECT_EQ(violations(std::string(998, 'a') + "\r\n.\r\n", true), "");
  EXPECT_EQ(violations("\xc3\xa4\r\n.\r\n", true), "body_8bit_undeclared ");
  EXPECT_EQ(violations("a", false), "body_without_final_crlf ");
}

TEST(Choice, IsTheHashThatTestsPredict) {
  EXPECT_EQ(draw("rcpt_4xx", "a@b.example", 0), 0xa193a2f086e797a6ull);
  EXPECT_TRUE(chosen({10000, 2}, "x", "y", 1));
  EXPECT_FALSE(chosen({10000, 2}, "x", "y", 2));
  EXPECT_FALSE(chosen({0, 0}, "x", "y", 0));
  uint32_t hits = 0;
  for (uint32_t i = 0; i < 10000; ++i) hits += chosen({1000, 0}, "x", std::to_string(i), 0);
  EXPECT_NEAR(hits, 1000, 150);
}

constexpr const char* kConfig = R"(
[default]
ttl_s = 60
[[domain]]
pattern = "d{0..99}.example"
mx_hosts = 2
[[domain]]
pattern = "Plain.example"
dns = "implicit"
[[domain]]
pattern = "c{5..6}.customers.example"
provider = "big.example"
mx_hosts = 3
rcpt_5xx = 1.0
)";

TEST(Config, MapsDomainsToHosts) {
  auto config = parse_config(kConfig);
  ASSERT_TRUE(config) << config.error();
  World world(*config);
  auto rules = world.rules();
  auto domain = rules->find_domain("d17.example");
  ASSERT_TRUE(domain);
  EXPECT_EQ(domain->index, 17u);
  EXPECT_EQ(rules->address_of(domain->rule, domain->index, 1), kFirstAddress + 35);
  HostRef host = rules->host_at(kFirstAddress + 35);
  EXPECT_EQ(host.rule, 0u);
  EXPECT_EQ(rules->number_of(host), 1u);
  EXPECT_FALSE(rules->find_domain("d100.example"));
  EXPECT_FALSE(rules->find_domain("d007.example"));
  EXPECT_TRUE(rules->find_domain("plain.example"));
  EXPECT_EQ(rules->host_at(kFirstAddress + 200).rule, 1u);
  auto shared = rules->find_host("mx3.big.example");
  ASSERT_TRUE(shared);
  EXPECT_EQ(shared->offset, 2u);
  EXPECT_EQ(rules->host_at(kFirstAddress + 204).rule, kNoRule);
  EXPECT_EQ(rules->host_at(0x7f000001).rule, kNoRule);
}

TEST(Config, ChangesAtRunTime) {
  World world(*parse_config(kConfig));
  EXPECT_EQ(world.change("d{0..99}.example", "rcpt_4xx", "0.25"), "");
  EXPECT_EQ(world.rules()->behaviour(0).faults[size_t(Stage::kRcpt)].temporary.of_10000, 2500u);
  EXPECT_NE(world.change("d{0..99}.example", "rcpt_4xx", "7"), "");
  EXPECT_NE(world.change("d{0..99}.example", "nonsense", "7"), "");
  EXPECT_NE(world.change("nowhere.example", "rcpt_4xx", "0.1"), "");
}

TEST(Config, RefusesWhatItDoesNotKnow) {
  EXPECT_FALSE(parse_config("[[domain]]\npattern = \"a.example\"\nbogus = 1\n"));
  EXPECT_FALSE(parse_config("[[domain]]\nmx_hosts = 1\n"));
  EXPECT_FALSE(parse_config("[[domain]]\npattern = \"d{5..1}.example\"\n"));
  EXPECT_FALSE(parse_config("[elsewhere]\n"));
}

std::string query(const std::string& name, uint16_t type) {
  std::string message("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
  message += wire_name(name);
  message += static_cast<char>(type >> 8);
  message += static_cast<char>(type & 255);
  return message + std::string("\x00\x01", 2);
}

TEST(Dns, AnswersForDomainsAndHosts) {
  World world(*parse_config(kConfig));
  Zone zone(world);
  auto ask = [&](const std::string& name, uint16_t type) {
    auto question = parse_question(query(name, type));
    EXPECT_TRUE(question);
    return zone.resolve(*question);
  };
  Answer mx = ask("D1.Example", kTypeMx);
  ASSERT_EQ(mx.answers.size(), 2u);
  EXPECT_EQ(mx.answers[0].data, std::string("\x00\x0a", 2) + wire_name("mx1.d1.example"));
  Answer a = ask("mx2.d1.example", kTypeA);
  ASSERT_EQ(a.answers.size(), 1u);
  EXPECT_EQ(a.answers[0].data, std::string("\x7f\x01\x00\x03", 4));
  EXPECT_EQ(ask("mx2.d1.example", kTypeAaaa).answers.size(), 0u);
  EXPECT_EQ(ask("plain.example", kTypeMx).answers.size(), 0u);
  EXPECT_EQ(ask("plain.example", kTypeA).answers.size(), 1u);
  EXPECT_EQ(ask("nothing.example", kTypeMx).rcode, Rcode::kNxDomain);
  world.change("plain.example", "dns", "\"servfail\"");
  world.change("plain.example", "dns_times", "1");
  EXPECT_EQ(ask("plain.example", kTypeMx).rcode, Rcode::kServFail);
  EXPECT_EQ(ask("plain.example", kTypeMx).answers.size(), 1u);
}

TEST(Dns, CutsWhatDoesNotFit) {
  auto question = parse_question(query("d1.example", kTypeMx));
  ASSERT_TRUE(question);
  World world(*parse_config(kConfig));
  Answer answer = Zone(world).resolve(*question);
  std::string whole = write_answer(*question, answer, 512);
  std::string cut = write_answer(*question, answer, 40);
  EXPECT_EQ(whole[2] & 2, 0);
  EXPECT_EQ(cut[2] & 2, 2);
  EXPECT_LE(cut.size(), 40u);
  EXPECT_FALSE(parse_question("short"));
}

// A session on one host, and all that it says to what the client sends.
class Talk : public testing::Test {
 protected:
  void open(const std::string& keys, bool with_ledger = true) {
    auto config = parse_config("[[domain]]\npattern = \"a.example\"\n" + keys);
    ASSERT_TRUE(config) << config.error();
    world_ = std::make_unique<World>(*config);
    site_ = {world_.get(), with_ledger ? &ledger_ : nullptr, &counters_, world_->rules(), true};
    session_ = std::make_unique<Session>(site_, kFirstAddress, 0x7f000002, 0);
    session_->start();
  }
  std::string say(const std::string& bytes) {
    session_->output().clear();
    session_->receive(bytes.data(), bytes.size());
    return session_->output();
  }
  std::string violations() {
    std::string all;
    for (const auto& [name, violation] : ledger_.violations()) all += name + " ";
    return all;
  }
  static constexpr const char* kEnvelope = "MAIL FROM:<s@x.example>\r\nRCPT TO:<r@A.example>\r\n";

  std::unique_ptr<World> world_;
  Ledger ledger_;
  Counters counters_;
  Site site_;
  std::unique_ptr<Session> session_;
};

TEST_F(Talk, TakesAMessageEitherWay) {
  open("");
  EXPECT_TRUE(say("EHLO me.example\r\n").starts_with("250-mxsim"));
  EXPECT_EQ(say(std::string(kEnvelope) + "DATA\r\n"),
            "250 2.1.0 OK\r\n250 2.1.5 OK\r\n354 End with a dot\r\n");
  EXPECT_EQ(say("A: b\r\n\r\n..x\r\n.\r\n" + std::string(kEnvelope) +
                "BDAT 3\r\nA: BDAT 10 LAST\r\n" + "b\r\n\r\n.x\r\n"),
            "250 2.0.0 OK taken\r\n250 2.1.0 OK\r\n250 2.1.5 OK\r\n250 2.0.0 chunk taken\r\n");
  EXPECT_EQ(say("!"), "250 2.0.0 OK taken\r\n");
  auto entry = ledger_.find("r@a.example");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->accepted, 2u);
  EXPECT_TRUE(entry->bytes_changed);
  EXPECT_EQ(violations(), "body_without_final_crlf ");
}

TEST_F(Talk, CatchesUnofferedPipeliningAndEarlyBodies) {
  open("extensions = []\n");
  say("EHLO me.example\r\n");
  say("MAIL FROM:<s@x.example>\r\nRCPT TO:<r@a.example>\r\n");
  EXPECT_EQ(violations(), "pipelined_unoffered ");
  say("DATA\r\nearly\r\n.\r\n");
  EXPECT_EQ(violations(), "pipelined_unoffered sent_before_354 ");
  say("MAIL FROM:<s@x.example> SIZE=10\r\n");
  EXPECT_EQ(violations(), "pipelined_unoffered sent_before_354 size_not_offered ");
}

TEST_F(Talk, RefusesByAttempt) {
  open("rcpt_4xx = 1.0\nrcpt_4xx_times = 1\nrcpt_4xx_text = \"450 4.2.0 later\"\n");
  say("EHLO me.example\r\n");
  EXPECT_EQ(say(kEnvelope), "250 2.1.0 OK\r\n450 4.2.0 later\r\n");
  say("RSET\r\n");
  EXPECT_EQ(say(kEnvelope), "250 2.1.0 OK\r\n250 2.1.5 OK\r\n");
  EXPECT_EQ(ledger_.find("r@a.example")->refused_4xx, 1u);
}

TEST_F(Talk, LosesTheReplyBehindTheDot) {
  open("drop_at = \"body\"\ndrop_times = 1\ndrop_accepts = true\n");
  say("EHLO me.example\r\n");
  say(std::string(kEnvelope) + "DATA\r\n");
  EXPECT_EQ(say("x\r\n.\r\n"), "");
  EXPECT_EQ(session_->ending(), Ending::kClose);
  auto entry = ledger_.find("r@a.example");
  EXPECT_EQ(entry->accepted, 1u);
  EXPECT_EQ(entry->reply_lost, 1u);
  EXPECT_EQ(ledger_.totals().unexplained, 0u);
}

TEST_F(Talk, WaitsBeforeItReplies) {
  open("mail_delay_ms = 50\n");
  say("EHLO me.example\r\n");
  std::string sent = kEnvelope;
  session_->output().clear();
  size_t used = session_->receive(sent.data(), sent.size());
  EXPECT_TRUE(session_->waiting());
  EXPECT_EQ(session_->wait_ms(), 50u);
  EXPECT_EQ(session_->output(), "");
  session_->resume();
  EXPECT_EQ(session_->output(), "250 2.1.0 OK\r\n");
  session_->receive(sent.data() + used, sent.size() - used);
  EXPECT_EQ(session_->output(), "250 2.1.0 OK\r\n250 2.1.5 OK\r\n");
}

TEST_F(Talk, CountsWithoutALedger) {
  open("", false);
  say("EHLO me.example\r\n");
  say(std::string(kEnvelope) + "DATA\r\n");
  EXPECT_EQ(say("x\r\n.\r\n"), "250 2.0.0 OK taken\r\n");
  say(std::string(kEnvelope));
  say("BDAT 100000 LAST\r\n");
  EXPECT_EQ(session_->skippable(), 100000u);
  session_->skip(100000);
  EXPECT_EQ(counters_.messages.load(), 2u);
}

}  // namespace
}  // namespace mxsim
