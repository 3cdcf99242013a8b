// Which events an erasure covers, what it leaves of them, and what its file says when.
#include "engine/erasures.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <optional>

#include "io/file.h"
#include "io/ring.h"
#include "queue/event_facts.h"

namespace postring::engine {
namespace {

class ErasuresTest : public testing::Test {
 protected:
  ErasuresTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "postring-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    auto ring = Ring::create();
    EXPECT_TRUE(ring.has_value());
    loop_ = std::make_unique<Loop>(std::move(*ring), 1);
    open();
  }
  ~ErasuresTest() override {
    erasures_.reset();
    loop_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string path() const { return folder_ + "/erased"; }
  void open() {
    erasures_.reset();
    auto opened = Erasures::open(*loop_, path());
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    erasures_ = std::move(*opened);
  }
  template <typename Condition>
  void turn_until(Condition condition) {
    auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << "the condition was never met";
      loop_->turn(loop_->now() + Duration::milliseconds(2));
    }
  }
  Erasure erase(TenantId tenant, const std::string& address) {
    std::optional<bool> durable;
    std::vector<RecipientId> ends = {make_recipient_id(0, 8), make_recipient_id(5, 100)};
    Erasure erasure =
        erasures_->add(tenant, address, std::move(ends), [&](bool ok) { durable = ok; });
    turn_until([&] { return durable.has_value(); });
    EXPECT_TRUE(durable.value_or(false));
    return erasure;
  }
  std::string file() const { return read_whole_file(path(), 1 << 20).value_or(""); }

  // The entry of an event of the address; its bytes are kept until the next.
  EventEntry entry(TenantId tenant, const std::string& address, RecipientId id = 7) {
    queue::EventFacts facts;
    facts.outcome = Outcome::bounced;
    facts.tenant = tenant;
    facts.tenant_name = "acme";
    facts.recipient = id;
    facts.batch = 6;
    facts.address = address;
    facts.ref = "mine: " + address;
    facts.meta = "\"" + address + "\"";
    facts.queued = now_;
    facts.logged = now_;
    facts.attempt = 2;
    facts.reply.code = 550;
    facts.reply.text = "no " + address;
    facts.remote_host = "mx.test";
    bytes_ = encode_event_entry(facts);
    return decode_event_entry(bytes_).value();
  }

  std::string folder_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Erasures> erasures_;
  WallTime now_ = WallTime::from_ms(1'700'000'000'123) + Duration::microseconds(456);
  std::string bytes_;
};

TEST_F(ErasuresTest, CoverWhatWasAcceptedBefore) {
  EXPECT_FALSE(erasures_->cover(entry(3, "a@x.test")));
  erase(3, "a@x.test");
  EXPECT_TRUE(erasures_->cover(entry(3, "a@x.test")));
  EXPECT_FALSE(erasures_->cover(entry(3, "a@x.test", 8))) << "came later";
  EXPECT_TRUE(erasures_->cover(entry(3, "a@x.test", make_recipient_id(5, 99))));
  EXPECT_FALSE(erasures_->cover(entry(3, "a@x.test", make_recipient_id(5, 100))));
  EXPECT_FALSE(erasures_->cover(entry(3, "a@x.test", make_recipient_id(6, 1)))) << "a later slice";
  EXPECT_FALSE(erasures_->cover(entry(4, "a@x.test")));
  EXPECT_FALSE(erasures_->cover(entry(3, "b@x.test")));
  erase(0, "b@x.test");
  EXPECT_TRUE(erasures_->cover(entry(3, "b@x.test")));
  EXPECT_TRUE(erasures_->cover(entry(9, "b@x.test")));
  open();
  EXPECT_TRUE(erasures_->cover(entry(3, "a@x.test")));
  EXPECT_FALSE(erasures_->cover(entry(3, "a@x.test", 8)));
  EXPECT_TRUE(erasures_->cover(entry(9, "b@x.test")));
}

TEST_F(ErasuresTest, AnErasedEventNamesNobody) {
  std::string erased = erased_event(entry(3, "a@x.test").json);
  EXPECT_EQ(erased.find("a@x.test"), std::string::npos) << erased;
  EXPECT_EQ(erased,
            R"({"id":"0000000000000007-2-bounced","type":"bounced",)"
            R"("queued":"2023-11-14T22:13:20.123Z","logged":"2023-11-14T22:13:20.123Z",)"
            R"("tenant":"acme","batch":"0000000000000006","recipient":"0000000000000007",)"
            R"("erased":true,"class":"bulk","attempt":2,"stage":"queue","code":550,)"
            R"("remote_host":"mx.test"})");
}

TEST_F(ErasuresTest, TheFileNamesTheAddressNoLongerThanTheSpool) {
  Erasure first = erase(3, "a@x.test");
  Erasure second = erase(3, "b@x.test");
  EXPECT_NE(file().find("a@x.test"), std::string::npos);
  erasures_->set_asked(first.id);
  open();
  ASSERT_EQ(erasures_->unfinished().size(), 2u);
  EXPECT_FALSE(erasures_->unfinished()[0].asked);
  erasures_->set_clean({first.id}, 100);
  turn_until([&] { return file().find("a@x.test") == std::string::npos; });
  EXPECT_NE(file().find("b@x.test"), std::string::npos);
  open();
  ASSERT_EQ(erasures_->unfinished().size(), 1u);
  EXPECT_EQ(erasures_->unfinished()[0].id, second.id);
  // Older events may be there still.
  erasures_->forget(99);
  EXPECT_TRUE(erasures_->cover(entry(3, "a@x.test")));
  erasures_->forget(100);
  EXPECT_FALSE(erasures_->cover(entry(3, "a@x.test")));
  EXPECT_TRUE(erasures_->cover(entry(3, "b@x.test")));
  EXPECT_GT(erase(3, "c@x.test").id, second.id);
}

TEST_F(ErasuresTest, ADamagedFileIsSaid) {
  erase(3, "a@x.test");
  std::string bytes = file();
  for (size_t size : {bytes.size() - 1, size_t{3}}) {
    ASSERT_TRUE(write_whole_file(path(), bytes.substr(0, size), 0600).has_value());
    auto opened = Erasures::open(*loop_, path());
    ASSERT_FALSE(opened.has_value());
    EXPECT_NE(opened.error().message.find("damaged"), std::string::npos);
  }
}

}  // namespace
}  // namespace postring::engine
