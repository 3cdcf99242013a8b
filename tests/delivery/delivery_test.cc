// The whole of one worker's delivery against mail servers on loopback.
#include <gtest/gtest.h>

#include <algorithm>

#include "io/clock.h"
#include "mail/content_source.h"
#include "world.h"

namespace postring::delivery {
namespace {

std::string address_of(int i, std::string_view domain = "example.com") {
  return "user" + std::to_string(i) + "@" + std::string(domain);
}

WorldOptions to(const SmtpHost& host) {
  WorldOptions options;
  options.settings = quick_settings();
  options.routes = {{"*", {host.address()}}};
  return options;
}

TEST(Delivery, DeliversEveryMessageOnce) {
  SmtpHost host;
  World world(to(host));
  for (int i = 0; i < 200; ++i) world.homes().add(address_of(i));
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.count(Outcome::delivered), 200u);
  auto mails = host.mails();
  ASSERT_EQ(mails.size(), 200u);
  std::vector<std::string> recipients;
  for (const ReceivedMail& mail : mails) {
    ASSERT_EQ(mail.recipients.size(), 1u);
    recipients.push_back(mail.recipients[0]);
    EXPECT_EQ(mail.sender, "sender@out.example");
    EXPECT_NE(mail.content.find(mail.recipients[0]), std::string::npos) << mail.content;
  }
  std::ranges::sort(recipients);
  EXPECT_EQ(std::ranges::unique(recipients).begin(), recipients.end());
  EXPECT_LE(host.connections_at_once(), 4);
  const queue::Report& report = world.homes().settled[0].report;
  EXPECT_EQ(report.reply.code, 250);
  EXPECT_EQ(report.source, "default");
  EXPECT_EQ(report.remote_address, "127.0.0.1");
  EXPECT_GT(report.bytes, 100u);
}

TEST(Delivery, ARawMessageArrivesByteForByteByDataAndByBdat) {
  HostBehaviour without;
  without.chunking = false;
  SmtpHost data_host(without);
  SmtpHost bdat_host;
  WorldOptions options;
  options.settings = quick_settings();
  options.routes = {{"data.example", {data_host.address()}},
                    {"bdat.example", {bdat_host.address()}}};
  mail::ContentSource source;
  source.raw =
      "From: sender@out.example\r\nDate: Sun, 01 Mar 2026 09:30:00 +0000\r\n"
      "Message-ID: <1@out.example>\r\nSubject: dots\r\n\r\n.\r\n..\r\n.dot\r\n";
  source.unsubscribe = "none";
  auto compiled = mail::compile_content(source);
  ASSERT_TRUE(compiled.has_value());
  options.content = *compiled;
  World world(options);
  world.homes().add("a@data.example");
  world.homes().add("a@bdat.example");
  ASSERT_TRUE(world.run_dry());
  ASSERT_EQ(data_host.mail_count(), 1u);
  ASSERT_EQ(bdat_host.mail_count(), 1u);
  EXPECT_FALSE(data_host.mails()[0].by_bdat);
  EXPECT_TRUE(bdat_host.mails()[0].by_bdat);
  EXPECT_EQ(data_host.mails()[0].content, source.raw);
  EXPECT_EQ(bdat_host.mails()[0].content, source.raw);
}

TEST(Delivery, PipeliningOffSaysOneCommandAtATime) {
  HostBehaviour behaviour;
  SmtpHost host(behaviour);
  WorldOptions options = to(host);
  options.settings.pipelining = traffic::Pipelining::off;
  options.settings.chunking = false;
  World world(options);
  for (int i = 0; i < 10; ++i) world.homes().add(address_of(i));
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(host.mail_count(), 10u);
}

TEST(Delivery, KeepsConnectionsForAWhileAndClosesThem) {
  SmtpHost host;
  World world(to(host));
  world.homes().add(address_of(1));
  ASSERT_TRUE(world.run_dry());
  world.homes().add(address_of(2));
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(host.connections(), 1);
  ASSERT_TRUE(world.run_until([&] { return world.counters().connections == 0; }));
  EXPECT_EQ(host.commands().back(), "QUIT");
  // A lane without demand is gone.
  EXPECT_EQ(world.counters().lanes, 0u);
}

TEST(Delivery, QuitsAfterSoManyMessages) {
  SmtpHost host;
  WorldOptions options = to(host);
  options.settings.connections = 1;
  options.settings.messages_per_connection = 3;
  World world(options);
  for (int i = 0; i < 10; ++i) world.homes().add(address_of(i));
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(host.mail_count(), 10u);
  EXPECT_EQ(host.connections(), 4);
}

TEST(Delivery, TheRateHolds) {
  SmtpHost host;
  WorldOptions options = to(host);
  options.settings.rate = throttle::Rate::per_second(50);
  options.settings.burst = 5;
  World world(options);
  Instant begin = clock_now();
  for (int i = 0; i < 100; ++i) world.homes().add(address_of(i));
  world.run_for(Duration::milliseconds(500));
  size_t sent = host.mail_count();
  int64_t elapsed_ms = (clock_now() - begin).whole_ms();
  EXPECT_LE(static_cast<int64_t>(sent), 5 + 1 + elapsed_ms * 50 / 1'000);
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(host.mail_count(), 100u);
}

TEST(Delivery, WhatIsPastItsDeadlineIsNotSent) {
  SmtpHost host;
  World world(to(host));
  world.homes().add("late@example.com", MailClass::bulk, 0, WallTime::from_seconds(1));
  world.homes().add("soon@example.com");
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.count(Outcome::expired), 1u);
  EXPECT_EQ(world.count(Outcome::delivered), 1u);
  EXPECT_EQ(host.mail_count(), 1u);
}

TEST(Delivery, APausedCampaignsMailGoesBack) {
  SmtpHost host;
  World world(to(host));
  queue::CampaignInfo info;
  info.id = 7;
  info.state = queue::CampaignState::paused;
  world.campaigns().put(info);
  world.homes().keeps_given_back = true;
  world.homes().add("a@example.com", MailClass::bulk, 7);
  world.homes().add("b@example.com");
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.homes().given_back.size(), 1u);
  EXPECT_EQ(host.mail_count(), 1u);
}

TEST(Delivery, TransactionalMailOvertakes) {
  HostBehaviour behaviour;
  SmtpHost host(behaviour);
  WorldOptions options = to(host);
  options.settings.connections = 1;
  World world(options);
  for (int domain = 0; domain < 20; ++domain)
    for (int i = 0; i < 100; ++i)
      world.homes().add(address_of(i, "d" + std::to_string(domain) + ".example"));
  ASSERT_TRUE(world.run_until([&] { return host.mail_count() > 100; }));
  size_t before = world.settled_count();
  world.homes().add("urgent@d19.example", MailClass::transactional);
  auto done = [&] {
    auto all = world.settled();
    return std::ranges::any_of(all,
                               [](const Settled& s) { return s.address.starts_with("urgent"); });
  };
  ASSERT_TRUE(world.run_until(done));
  EXPECT_LE(world.settled_count() - before, 40u);
  ASSERT_TRUE(world.run_dry());
}

TEST(Delivery, AStopWaitsForTheReplyToWhatWasSent) {
  HostBehaviour behaviour;
  behaviour.holds_content_replies = true;
  SmtpHost host(behaviour);
  WorldOptions options = to(host);
  options.settings.connections = 1;
  World world(options);
  for (int i = 0; i < 30; ++i) world.homes().add(address_of(i));
  ASSERT_TRUE(world.run_until([&] { return host.mail_count() == 1; }));
  world.homes().keeps_given_back = true;
  world.dispatch().stop();
  world.run_for(Duration::milliseconds(50));
  EXPECT_FALSE(world.dispatch().stopped());
  host.release();
  ASSERT_TRUE(world.run_until([&] { return world.dispatch().stopped(); }));
  EXPECT_EQ(host.mail_count(), 1u);
  EXPECT_EQ(world.count(Outcome::delivered), 1u);
  EXPECT_EQ(world.homes().leased.size(), 0u);
  EXPECT_EQ(host.commands().back(), "QUIT");
}

TEST(Delivery, AReloadChangesLimitsAndLosesNothing) {
  SmtpHost host;
  WorldOptions options = to(host);
  options.settings.connections = 1;
  options.settings.rate = throttle::Rate::per_second(20);
  options.settings.burst = 1;
  World world(options);
  for (int i = 0; i < 300; ++i) world.homes().add(address_of(i));
  ASSERT_TRUE(world.run_until([&] { return world.settled_count() >= 2; }));
  world.options.settings = quick_settings();
  world.dispatch().reconfigure(world.config());
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.count(Outcome::delivered), 300u);
  EXPECT_EQ(host.mail_count(), 300u);
}

TEST(Delivery, AReloadWithAnotherSourceMovesToIt) {
  SmtpHost host;
  WorldOptions options = to(host);
  options.settings.rate = throttle::Rate::per_second(50);
  options.settings.burst = 1;
  World world(options);
  for (int i = 0; i < 60; ++i) world.homes().add(address_of(i));
  ASSERT_TRUE(world.run_until([&] { return world.settled_count() >= 5; }));
  world.options.sources = {{"other", *IpAddress::parse("127.0.0.9"), "other.example"}};
  world.dispatch().reconfigure(world.config());
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.count(Outcome::delivered), 60u);
  EXPECT_EQ(host.mail_count(), 60u);
  EXPECT_EQ(world.homes().settled.back().report.source, "other");
}

TEST(Delivery, WorkersShareTheWork) {
  SmtpHost hosts[4];
  WorldOptions options;
  options.settings = quick_settings();
  options.workers = 3;
  for (int i = 0; i < 4; ++i)
    options.routes.push_back({"d" + std::to_string(i) + ".example", {hosts[i].address()}});
  World world(options);
  for (uint32_t worker = 0; worker < 3; ++worker)
    for (int i = 0; i < 4; ++i)
      for (int k = 0; k < 50; ++k)
        world.homes(worker).add(address_of(k, "d" + std::to_string(i) + ".example"));
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.count(Outcome::delivered), 600u);
  for (uint32_t worker = 0; worker < 3; ++worker)
    EXPECT_EQ(world.homes(worker).settled.size(), 200u);
}

TEST(Delivery, ATrialShowsTheConversation) {
  SmtpHost host;
  World world(to(host));
  std::optional<TrialResult> result;
  world.dispatch().attempt({"me@example.com", World::content(), "", WallTime::from_seconds(1)},
                           [&](TrialResult r) { result = std::move(r); });
  ASSERT_TRUE(world.run_until([&] { return result.has_value(); }));
  EXPECT_EQ(result->report.outcome, Outcome::delivered);
  EXPECT_EQ(host.mail_count(), 1u);
  auto has = [&](std::string_view line) {
    return std::ranges::any_of(result->transcript, [&](const std::string& l) {
      return l.find(line) != std::string::npos;
    });
  };
  EXPECT_TRUE(has("< 220 host.example ready"));
  EXPECT_TRUE(has("> EHLO out.example"));
  EXPECT_TRUE(has("> RCPT TO:<me@example.com>"));
  EXPECT_TRUE(has("> QUIT"));
}

std::string content_for_all() {
  mail::ContentSource source;
  source.from = "sender@out.example";
  source.to = "list@out.example";
  source.subject = "to all";
  source.text = "the same for everybody\n";
  auto compiled = mail::compile_content(source);
  EXPECT_TRUE(compiled.has_value());
  return *compiled;
}

TEST(Delivery, OneMessageOfSeveralRecipientsGoesInFewTransactions) {
  for (auto pipelining : {traffic::Pipelining::across, traffic::Pipelining::off}) {
    HostBehaviour behaviour;
    behaviour.on_rcpt = [](const std::string& recipient) {
      if (recipient.starts_with("user3@")) return "550 5.1.1 nobody";
      if (recipient.starts_with("user5@")) return "450 4.2.1 later";
      return "";
    };
    SmtpHost host(behaviour);
    WorldOptions options = to(host);
    options.content = content_for_all();
    options.settings.pipelining = pipelining;
    World world(options);
    std::vector<std::string> addresses;
    for (int i = 0; i < 60; ++i)
      addresses.push_back(address_of(i, i % 2 == 1 ? "a.example" : "b.example"));
    world.homes().add_message(addresses);
    ASSERT_TRUE(world.run_dry());
    EXPECT_EQ(world.count(Outcome::delivered), 58u);
    for (const Settled& settled : world.settled()) {
      Outcome expected = settled.address.starts_with("user3@")   ? Outcome::bounced
                         : settled.address.starts_with("user5@") ? Outcome::deferred
                                                                 : Outcome::delivered;
      EXPECT_EQ(settled.report.outcome, expected) << settled.address;
      EXPECT_GT(settled.report.bytes, 0u);
    }
    auto mails = host.mails();
    EXPECT_LE(mails.size(), 20u);
    std::vector<std::string> reached;
    for (const ReceivedMail& mail : mails) {
      EXPECT_EQ(mail.content, mails[0].content);
      reached.insert(reached.end(), mail.recipients.begin(), mail.recipients.end());
    }
    std::ranges::sort(reached);
    EXPECT_EQ(reached.size(), 58u);
    EXPECT_EQ(std::ranges::unique(reached).begin(), reached.end());
  }
}

TEST(Delivery, WhatDiffersByRecipientGoesByItself) {
  SmtpHost host;
  World world(to(host));
  std::vector<std::string> addresses;
  for (int i = 0; i < 12; ++i) addresses.push_back(address_of(i));
  world.homes().add_message(addresses);
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(host.mail_count(), 12u);
}

TEST(Delivery, AHostThatTakesFewRecipientsGetsFew) {
  HostBehaviour behaviour;
  behaviour.recipients_max = 3;
  SmtpHost host(behaviour);
  WorldOptions options = to(host);
  options.content = content_for_all();
  options.settings.connections = 1;
  World world(options);
  std::vector<std::string> addresses;
  for (int i = 0; i < 30; ++i) addresses.push_back(address_of(i));
  world.homes().add_message(addresses);
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.count(Outcome::delivered), 30u);
  EXPECT_EQ(world.count(Outcome::deferred), 0u);
}

TEST(Delivery, TheRateCountsEveryRecipient) {
  SmtpHost host;
  WorldOptions options = to(host);
  options.content = content_for_all();
  options.settings.rate = throttle::Rate::per_second(50);
  options.settings.burst = 5;
  World world(options);
  Instant begin = clock_now();
  std::vector<std::string> addresses;
  for (int i = 0; i < 40; ++i) addresses.push_back(address_of(i));
  world.homes().add_message(addresses);
  ASSERT_TRUE(world.run_dry());
  EXPECT_EQ(world.count(Outcome::delivered), 40u);
  // 35 beyond the burst take 0.7 s at least.
  EXPECT_GE((clock_now() - begin).whole_ms(), 600);
}

}  // namespace
}  // namespace postring::delivery
