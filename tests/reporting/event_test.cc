#include "reporting/event.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace postring::reporting {
namespace {

queue::EventFacts delivered() {
  queue::EventFacts facts;
  facts.outcome = Outcome::delivered;
  facts.queued = WallTime::from_ms(1'772'357'400'250);
  facts.logged = WallTime::from_ms(1'772'357'401'000);
  facts.tenant = 1;
  facts.tenant_name = "acme";
  facts.campaign = 42;
  facts.batch = make_recipient_id(1, 3);
  facts.recipient = make_recipient_id(1, 7);
  facts.ref = "customer-7";
  facts.address = "ann@example.com";
  facts.mail_class = MailClass::standard;
  facts.attempt = 2;
  facts.stage = Stage::done;
  facts.reply = {250, {2, 0, 0}, "2.0.0 ok"};
  facts.source = "a";
  facts.remote_host = "mx.example.com";
  facts.remote_address = "192.0.2.1";
  facts.bytes = 5'120;
  facts.duration = Duration::milliseconds(120);
  return facts;
}

TEST(Event, SaysEverythingThatIsKnown) {
  EXPECT_EQ(event_json(delivered()),
            "{\"id\":\"0001000000000007-2-delivered\",\"type\":\"delivered\","
            "\"queued\":\"2026-03-01T09:30:00.250Z\",\"logged\":\"2026-03-01T09:30:01.000Z\","
            "\"tenant\":\"acme\",\"campaign\":\"000000000000002a\",\"batch\":\"0001000000000003\","
            "\"recipient\":\"0001000000000007\",\"ref\":\"customer-7\","
            "\"address\":\"ann@example.com\",\"class\":\"standard\",\"attempt\":2,"
            "\"stage\":\"done\",\"code\":250,"
            "\"enhanced\":\"2.0.0\",\"reply\":\"2.0.0 ok\",\"source\":\"a\","
            "\"remote_host\":\"mx.example.com\",\"remote_address\":\"192.0.2.1\",\"bytes\":5120,"
            "\"duration_ms\":120}");
}

TEST(Event, LeavesOutWhatIsNotThere) {
  queue::EventFacts facts;
  facts.outcome = Outcome::expired;
  facts.queued = facts.logged = WallTime::from_seconds(1);
  facts.tenant_name = "t";
  facts.recipient = 1;
  facts.address = "a@b.example";
  EXPECT_EQ(event_json(facts),
            "{\"id\":\"0000000000000001-0-expired\",\"type\":\"expired\","
            "\"queued\":\"1970-01-01T00:00:01.000Z\",\"logged\":\"1970-01-01T00:00:01.000Z\","
            "\"tenant\":\"t\",\"recipient\":\"0000000000000001\",\"address\":\"a@b.example\","
            "\"class\":\"bulk\",\"attempt\":0,\"stage\":\"queue\"}");
}

TEST(Event, CampaignComplete) {
  queue::EventFacts facts;
  facts.logged = WallTime::from_seconds(1);
  facts.tenant_name = "t";
  facts.campaign = 42;
  EXPECT_EQ(event_json(facts),
            "{\"id\":\"000000000000002a-campaign-complete\",\"type\":\"campaign.complete\","
            "\"logged\":\"1970-01-01T00:00:01.000Z\",\"tenant\":\"t\","
            "\"campaign\":\"000000000000002a\"}");
}

TEST(Event, IdIsTheSameForTheSameAndAnotherForAnother) {
  queue::EventFacts facts = delivered();
  std::string id = event_id(facts);
  facts.logged = facts.logged + Duration::seconds(9);
  EXPECT_EQ(event_id(facts), id);
  facts.attempt = 3;
  EXPECT_NE(event_id(facts), id);
  facts.attempt = 2;
  facts.outcome = Outcome::deferred;
  EXPECT_NE(event_id(facts), id);
}

TEST(Event, LongRepliesAreCutBetweenCharacters) {
  queue::EventFacts facts = delivered();
  facts.reply.text = std::string(511, 'x') + "\xc3\xa4";
  std::string json = event_json(facts);
  EXPECT_NE(json.find("\"" + std::string(511, 'x') + "\""), std::string::npos);
}

// One event of every kind, written where the schema's test reads it.
TEST(Event, SamplesForTheSchema) {
  const char* path = std::getenv("POSTRING_EVENT_SAMPLES");
  if (path == nullptr) GTEST_SKIP() << "POSTRING_EVENT_SAMPLES names no file";
  std::ofstream out(path);
  queue::EventFacts facts = delivered();
  for (Outcome outcome : {Outcome::delivered, Outcome::deferred, Outcome::bounced, Outcome::expired,
                          Outcome::cancelled}) {
    facts.outcome = outcome;
    facts.next_attempt = outcome == Outcome::deferred ? WallTime::from_seconds(9) : WallTime{};
    facts.meta = "{\"k\":\"\xc3\xa4\"}";
    facts.possible_duplicate = outcome == Outcome::bounced;
    out << event_json(facts) << '\n';
    queue::EventFacts bare;
    bare.outcome = outcome;
    bare.queued = bare.logged = WallTime::from_seconds(1);
    bare.tenant_name = "t";
    bare.recipient = 1;
    bare.address = "a@b";
    bare.next_attempt = facts.next_attempt;
    for (int i = 0; i < 300; ++i) bare.reply.text += "\xc3\xa4";
    out << event_json(bare) << '\n';
  }
  queue::EventFacts complete;
  complete.logged = WallTime::from_seconds(1);
  complete.tenant_name = "t";
  complete.campaign = 1;
  out << event_json(complete) << '\n';
}

}  // namespace
}  // namespace postring::reporting
