// The parts of delivery that need no socket.
#include <gtest/gtest.h>

#include "delivery/backoff.h"
#include "delivery/judge.h"
#include "delivery/message.h"
#include "delivery/outlets.h"
#include "delivery/targets.h"

namespace postring::delivery {
namespace {

queue::DestinationId id_of(uint32_t number) {
  return {1, number, 1};
}

Outlet outlet_of(uint32_t number, bool transactional = false) {
  Outlet outlet;
  outlet.id = id_of(number);
  outlet.transactional = transactional;
  return outlet;
}

TEST(Outlets, TakeTurns) {
  Outlets outlets;
  for (uint32_t i = 1; i <= 3; ++i) outlets.add(outlet_of(i));
  EXPECT_EQ(outlets.next()->id, id_of(1));
  EXPECT_TRUE(outlets.came_back(id_of(1), true, false));
  EXPECT_EQ(outlets.next()->id, id_of(2));
  EXPECT_FALSE(outlets.came_back(id_of(2), false, false));
  EXPECT_EQ(outlets.next()->id, id_of(3));
  EXPECT_EQ(outlets.next()->id, id_of(1));
  EXPECT_EQ(outlets.next(), nullptr);
  EXPECT_EQ(outlets.pulling(), 2u);
}

TEST(Outlets, TransactionalOnesGoFirst) {
  Outlets outlets;
  for (uint32_t i = 1; i <= 3; ++i) outlets.add(outlet_of(i));
  outlets.add(outlet_of(3, true));
  EXPECT_TRUE(outlets.next_is_transactional());
  EXPECT_EQ(outlets.next()->id, id_of(3));
  EXPECT_TRUE(outlets.came_back(id_of(3), true, false));
  EXPECT_EQ(outlets.next()->id, id_of(1));
  // While it is being pulled, for the pull after.
  outlets.hurry(id_of(1));
  EXPECT_TRUE(outlets.came_back(id_of(1), false, false));
  EXPECT_EQ(outlets.next()->id, id_of(1));
  // A pull that brought some may have left some.
  EXPECT_TRUE(outlets.came_back(id_of(1), true, true));
  EXPECT_EQ(outlets.next()->id, id_of(1));
}

TEST(Outlets, ADroppedOneIsGoneWhenItsPullComesBack) {
  Outlets outlets;
  outlets.add(outlet_of(1));
  outlets.add(outlet_of(2));
  ASSERT_EQ(outlets.next()->id, id_of(1));
  outlets.drop(id_of(1));
  outlets.drop(id_of(2));
  EXPECT_EQ(outlets.size(), 1u);
  EXPECT_FALSE(outlets.came_back(id_of(1), true, false));
  EXPECT_TRUE(outlets.empty());
}

TEST(ReadyQueue, GoesByClassAndThenInOrder) {
  MessagePool pool;
  ReadyQueue ready;
  auto message = [&](uint64_t id, MailClass mail_class) {
    queue::Lease lease;
    lease.id = id;
    lease.mail_class = mail_class;
    return pool.take(std::move(lease), 0);
  };
  ready.push_back(message(1, MailClass::bulk));
  ready.push_back(message(2, MailClass::bulk));
  ready.push_back(message(3, MailClass::transactional));
  ready.push_front(message(4, MailClass::standard));
  std::vector<RecipientId> order;
  while (Message* next = ready.front()) {
    ready.pop(next);
    order.push_back(next->lease.id);
    pool.give_back(next);
  }
  EXPECT_EQ(order, (std::vector<RecipientId>{3, 4, 1, 2}));
}

TEST(Backoff, DoublesUpToItsLongest) {
  Random random(1);
  Backoff backoff{Duration::seconds(1), Duration::seconds(60)};
  auto about = [&](uint32_t failures, int64_t seconds) {
    Duration wait = backoff.after(failures, random);
    EXPECT_GE(wait, Duration::milliseconds(seconds * 900));
    EXPECT_LE(wait, Duration::milliseconds(seconds * 1'100));
  };
  about(1, 1);
  about(2, 2);
  about(6, 32);
  about(7, 60);
  about(UINT32_MAX, 60);
}

dns::ResolutionPtr hosts_of(std::vector<std::pair<uint16_t, std::string>> hosts) {
  auto resolution = std::make_shared<dns::Resolution>();
  resolution->kind = dns::Resolution::Kind::hosts;
  for (auto& [preference, ip] : hosts)
    resolution->hosts.push_back({"mx", preference, 25, {*IpAddress::parse(ip)}});
  return resolution;
}

TEST(Targets, TheMostPreferredFirstAndTheNextWhenItFails) {
  Random random(1);
  Instant now{1'000'000};
  Targets targets(IpAddress::Family::none);
  targets.set(hosts_of({{10, "192.0.2.1"}, {10, "192.0.2.2"}, {20, "192.0.2.3"}}));
  std::map<std::string, int> seen;
  for (int i = 0; i < 200; ++i) ++seen[targets.pick(now, random)->address.ip.text()];
  EXPECT_GT(seen["192.0.2.1"], 50);
  EXPECT_GT(seen["192.0.2.2"], 50);
  EXPECT_EQ(seen["192.0.2.3"], 0);
  targets.failed({*IpAddress::parse("192.0.2.1"), 25}, now, random);
  EXPECT_EQ(targets.pick(now, random)->address.ip.text(), "192.0.2.2");
  targets.failed({*IpAddress::parse("192.0.2.2"), 25}, now, random);
  EXPECT_EQ(targets.pick(now, random)->address.ip.text(), "192.0.2.3");
  EXPECT_EQ(targets.next_at(now), now);
  targets.failed({*IpAddress::parse("192.0.2.3"), 25}, now, random);
  EXPECT_FALSE(targets.pick(now, random).has_value());
  EXPECT_GT(targets.next_at(now), now + Duration::milliseconds(800));
  EXPECT_TRUE(targets.pick(now + Duration::seconds(2), random).has_value());
}

TEST(Targets, OnlyTheFamilyOfTheSource) {
  Random random(1);
  Targets targets(IpAddress::Family::v6);
  targets.set(hosts_of({{10, "192.0.2.1"}}));
  EXPECT_FALSE(targets.reachable());
  EXPECT_EQ(targets.next_at(Instant{}), Instant::never());
  targets.set(hosts_of({{10, "192.0.2.1"}, {10, "2001:db8::1"}}));
  EXPECT_TRUE(targets.reachable());
  EXPECT_EQ(targets.pick(Instant{}, random)->address.ip.text(), "2001:db8::1");
}

TEST(Judge, AReplyOurWayMayHaveCausedIsNotBelievedAtOnce) {
  smtp::RecipientResult result;
  result.verdict = smtp::Verdict::refused;
  result.plain_retry = true;
  Reply reply;
  reply.code = 503;
  auto retry = traffic::LostFinalReply::retry;
  EXPECT_EQ(judge(result, reply, false, retry).action, Action::retry_plain);
  EXPECT_EQ(judge(result, reply, true, retry).outcome, Outcome::bounced);
}

TEST(Judge, TooManyRecipientsIsTemporary) {
  smtp::RecipientResult result;
  result.verdict = smtp::Verdict::refused;
  result.stage = Stage::rcpt;
  Reply reply;
  reply.code = 552;
  auto retry = traffic::LostFinalReply::retry;
  EXPECT_EQ(judge(result, reply, false, retry).outcome, Outcome::deferred);
  reply.enhanced[0] = 5;
  reply.enhanced[1] = 2;
  reply.enhanced[2] = 2;
  EXPECT_EQ(judge(result, reply, false, retry).outcome, Outcome::bounced);
}

TEST(ReadyQueue, GivesThoseThatGoTogether) {
  MessagePool pool;
  ReadyQueue ready;
  auto push = [&](uint64_t id, BatchId batch) {
    queue::Lease lease;
    lease.id = id;
    lease.batch = batch;
    ready.push_back(pool.take(std::move(lease), 0));
  };
  for (uint64_t id = 1; id <= 9; ++id) push(id, id % 3);
  auto taken = [&](BatchId batch, size_t most) {
    std::vector<RecipientId> ids;
    auto of_batch = [&](const Message& m) { return m.lease.batch == batch; };
    Message* next = ready.take_if(ready.front(), of_batch, most);
    while (Message* message = next) {
      next = std::exchange(message->next, nullptr);
      ids.push_back(message->lease.id);
      pool.give_back(message);
    }
    return ids;
  };
  using Ids = std::vector<RecipientId>;
  EXPECT_EQ(taken(0, 2), (Ids{3, 6}));
  EXPECT_EQ(taken(0, 2), (Ids{9})) << "the last one";
  EXPECT_EQ(taken(1, 9), (Ids{1, 4, 7}));
  EXPECT_EQ(taken(1, 9), Ids{});
  push(10, 1);
  EXPECT_EQ(ready.size(), 4u);
  EXPECT_EQ(taken(1, 9), (Ids{10}));
  EXPECT_EQ(taken(2, 9), (Ids{2, 5, 8}));
  EXPECT_EQ(ready.size(), 0u);
  push(11, 1);
  EXPECT_EQ(ready.front()->lease.id, 11u);
  EXPECT_EQ(taken(1, 9), (Ids{11}));
}

}  // namespace
}  // namespace postring::delivery
