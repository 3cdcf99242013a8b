// Single messages at a home: batches that bring their own content.
#include <gtest/gtest.h>

#include "rig.h"

namespace postring::queue {
namespace {

class HomeMessageTest : public testing::Test {
 protected:
  // Right after a start the first spare segment is still being made.
  BatchHandle begin(const NewBatch& batch) {
    auto begun = rig_.home().begin(batch);
    rig_.turn_until([&] {
      if (!begun) begun = rig_.home().begin(batch);
      return begun.has_value();
    });
    return begun.value_or(0);
  }

  TempFolder folder_;
  HomeRig rig_{folder_.path() + "/slice"};
};

TEST_F(HomeMessageTest, AMessageWithoutACampaignCarriesItsOwn) {
  rig_.start();
  NewBatch in;
  in.tenant = 3;
  in.tenant_name = "acme";
  in.mail_class = MailClass::transactional;
  in.inline_content = "the content";
  in.sources = {"s9"};
  in.retry.retry = {Duration::seconds(50)};
  BatchHandle batch = begin(in);
  RecipientId id = rig_.append(batch, {.address = "a@x.test", .values = "v"});
  rig_.commit(batch);
  for (int round = 0; round < 2; ++round) {
    auto offer = rig_.offer_of("x.test");
    ASSERT_TRUE(offer);
    EXPECT_TRUE(offer->transactional);
    EXPECT_EQ(offer->sources, std::vector<std::string>{"s9"});
    Pulled pulled = rig_.pull(offer->id);
    ASSERT_EQ(pulled.leases.size(), 1u);
    EXPECT_EQ(pulled.leases[0].inline_content(), "the content");
    EXPECT_EQ(pulled.leases[0].values(), "v");
    EXPECT_FALSE(pulled.leases[0].shares_message) << "it has one recipient";
    rig_.home().give_back(id);
    rig_.restart();
    rig_.turns(3);
  }
  rig_.pull(rig_.offer_of("x.test")->id);
  rig_.settle(id, Outcome::deferred);
  rig_.wait_for_events(1);
  Duration wait = rig_.events[0].next_attempt - rig_.events[0].logged;
  EXPECT_GE(wait, Duration::seconds(45));
  EXPECT_LE(wait, Duration::seconds(55));
  EXPECT_EQ(rig_.events[0].tenant_name, "acme");
}

// Reclaim meets a commit that cannot be read any more: who lives of the batch is not lost with it.
TEST_F(HomeMessageTest, WhoseCommitIsDamagedIsToldSo) {
  rig_.start();
  NewBatch in;
  in.tenant = 3;
  in.tenant_name = "spoilt";
  in.inline_content = "the content";
  BatchHandle own = begin(in);
  rig_.append(own, {.address = "a@x.test"});
  rig_.commit(own);
  in.inline_content = {};
  in.content[0] = std::byte{7};
  in.sources = {"s9"};
  BatchHandle stored = begin(in);
  rig_.append(stored, {.address = "b@y.test"});
  rig_.commit(stored);
  rig_.spoil("spoilt");
  std::optional<std::optional<Erased>> pass;
  rig_.home().erase("nobody@x.test", 0, rig_.home().next_id(),
                    [&](std::optional<Erased> erased) { pass = erased; });
  rig_.turn_until([&] {
    advance_clock(Duration::milliseconds(100));
    return pass.has_value() && !rig_.home().is_erasing();
  });
  rig_.restart();
  rig_.turns(3);
  auto offer = rig_.offer_of("y.test");
  ASSERT_TRUE(offer);
  EXPECT_EQ(offer->sources, std::vector<std::string>{"s9"});
  ASSERT_EQ(rig_.pull(offer->id).leases.size(), 1u);
  offer = rig_.offer_of("x.test");
  ASSERT_TRUE(offer);
  EXPECT_TRUE(rig_.pull(offer->id).leases.empty());
  rig_.wait_for_events(1);
  EXPECT_EQ(rig_.events[0].outcome, Outcome::bounced);
  EXPECT_EQ(rig_.events[0].address, "a@x.test");
}

TEST_F(HomeMessageTest, RecipientsOfOneMessageShareIt) {
  rig_.start();
  NewBatch in;
  in.tenant = 3;
  in.inline_content = "the content";
  BatchHandle batch = begin(in);
  for (const char* address : {"a@x.test", "b@x.test", "c@x.test"}) {
    rig_.append(batch, {.address = address});
  }
  rig_.commit(batch);
  for (int round = 0; round < 2; ++round) {
    auto offer = rig_.offer_of("x.test");
    ASSERT_TRUE(offer);
    Pulled pulled = rig_.pull(offer->id);
    ASSERT_EQ(pulled.leases.size(), 3u);
    for (const Lease& lease : pulled.leases) {
      EXPECT_TRUE(lease.shares_message);
      EXPECT_EQ(lease.batch, pulled.leases[0].batch);
      EXPECT_EQ(lease.accepted_at, pulled.leases[0].accepted_at);
      rig_.home().give_back(lease.id);
    }
    rig_.restart();
    rig_.turns(3);
  }
}

TEST_F(HomeMessageTest, AStoredContentIsNeededWhileItsMessageIsRemembered) {
  rig_.start();
  NewBatch in;
  in.tenant = 3;
  in.content = sha256("stored");
  BatchHandle first = begin(in);
  BatchHandle second = begin(in);
  RecipientId id = rig_.append(first, {.address = "a@x.test"});
  rig_.append(second, {.address = "b@x.test"});
  rig_.commit(first);
  rig_.home().discard(second);
  EXPECT_TRUE(rig_.home().needs_content(in.content));
  EXPECT_FALSE(rig_.home().needs_content(sha256("another")));
  rig_.restart();
  EXPECT_TRUE(rig_.home().needs_content(in.content));
  rig_.turns(3);
  rig_.pull(rig_.offer_of("x.test")->id);
  rig_.settle(id, Outcome::delivered);
  rig_.wait_for_events(1);
  EXPECT_TRUE(rig_.home().needs_content(in.content));
  for (int minute = 0; minute < 12; ++minute) rig_.pass(Duration::minutes(1));
  EXPECT_FALSE(rig_.home().needs_content(in.content));
}

}  // namespace
}  // namespace postring::queue
