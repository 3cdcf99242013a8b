#include "submission/spec.h"

#include <gtest/gtest.h>

#include "base/base64.h"
#include "base/time_text.h"

namespace postring::submission {
namespace {

const WallTime kNow = parse_rfc3339("2026-03-01T12:00:00Z").value();

std::string campaign(std::string_view more = "") {
  return R"({"name":"spring","unsubscribe":"none","content":{"subject":"Hi {{name}}",)"
         R"("from":"a@b.org","text":"Hello {{name}}"})" +
         std::string(more) + "}";
}

std::string fault(const Spec<NewCampaign>& spec) {
  return spec ? "" : spec.error().field + " " + spec.error().reason;
}

TEST(Spec, ReadsACampaign) {
  auto spec = parse_campaign(
      campaign(R"(,"class":"standard","sources":["a","b"],"retry":["5m","1h"],"max_age":"2d",)"
               R"("start_at":"2026-03-02T00:00:00Z","return_path":"b+{{verp}}@b.org",)"
               R"("defaults":{"name":"you"},"missing_field":"reject")"),
      kNow);
  ASSERT_TRUE(spec.has_value()) << fault(spec);
  EXPECT_EQ(spec->name, "spring");
  EXPECT_EQ(spec->mail_class, MailClass::standard);
  EXPECT_EQ(spec->sources, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(spec->retry, (std::vector<Duration>{Duration::minutes(5), Duration::hours(1)}));
  EXPECT_EQ(spec->max_age, Duration::days(2));
  EXPECT_EQ(rfc3339(spec->start_at), "2026-03-02T00:00:00.000Z");
  auto content = mail::Content::load(spec->content);
  ASSERT_TRUE(content.has_value());
  EXPECT_TRUE(content->rejects_missing());
  EXPECT_TRUE(content->uses_verp());
}

TEST(Spec, SaysWhichFieldIsWrong) {
  auto of = [](const std::string& json) { return fault(parse_campaign(json, kNow)); };
  EXPECT_EQ(of("[]"), " must be a JSON object");
  EXPECT_TRUE(of("{").starts_with(" is not JSON: "));
  EXPECT_EQ(of(campaign(R"(,"nmae":1)")), "nmae is not a field here");
  EXPECT_EQ(of(campaign(R"(,"class":"slow")")), "class must be transactional, standard or bulk");
  EXPECT_EQ(of(campaign(R"(,"class":3)")), "class must be text");
  EXPECT_EQ(of(campaign(R"(,"sources":["a",3])")), "sources[1] must be text");
  EXPECT_EQ(of(campaign(R"(,"retry":["5 m"])")),
            "retry[0] must be a duration such as 5m or 1h, at most 30d");
  EXPECT_EQ(of(campaign(R"(,"max_age":"40d")")), "max_age is more than 30d");
  EXPECT_TRUE(of(campaign(R"(,"start_at":"2020-01-01T00:00:00Z")")).starts_with("start_at is in"));
  EXPECT_EQ(of(campaign(R"(,"defaults":{"name":[1]})")),
            "defaults.name must be text, a whole number, true, false or null");
  EXPECT_EQ(of(R"({"name":"x","unsubscribe":"none"})"), "content is missing");
  EXPECT_EQ(of(R"({"name":"x","unsubscribe":"none","content":{"text":1}})"),
            "content.text must be text");
  EXPECT_EQ(of(R"({"name":"x","unsubscribe":"none","content":{"message":"a","html":"b"}})"),
            "content.html cannot stand beside a whole message");
  std::string no_way_out =
      R"({"name":"x","content":{"subject":"s","from":"a@b.org","text":"t"},"class":"CLASS"})";
  std::string bulk = no_way_out;
  bulk.replace(bulk.find("CLASS"), 5, "bulk");
  EXPECT_TRUE(of(bulk).starts_with("unsubscribe is missing: bulk mail")) << of(bulk);
  std::string standard = no_way_out;
  standard.replace(standard.find("CLASS"), 5, "standard");
  EXPECT_EQ(of(standard), "");
  std::string broken = campaign();
  broken.replace(broken.find("Hello {{name}}"), 14, "Hello {{name");
  EXPECT_TRUE(of(broken).starts_with("content does not compile: text")) << of(broken);
}

TEST(Spec, ReadsAMessage) {
  std::string attachment = base64(std::string(1'000, 'a'));
  auto spec = parse_message(R"({"to":"Ann@B.org","ref":"r","meta":"m","data":{"name":"Ann","n":7},)"
                            R"("content":{"subject":"s {{name}}","from":"a@b.org","text":"{{n}}",)"
                            R"("attachments":[{"filename":"a.bin","content":")" +
                                attachment + R"("}]},"expires_at":"2026-03-01T13:00:00Z"})",
                            kNow);
  ASSERT_TRUE(spec.has_value()) << spec.error().field << spec.error().reason;
  EXPECT_EQ(spec->message.mail_class, MailClass::transactional);
  auto content = mail::Content::load(spec->message.content);
  ASSERT_TRUE(content.has_value());
  std::string compiled = spec->message.content;
  auto message = finish_message(std::move(*spec), mail::Content::load(compiled).value());
  ASSERT_TRUE(message.has_value());
  ASSERT_EQ(message->to.size(), 1u);
  EXPECT_EQ(message->to[0].address, "Ann@b.org");
  EXPECT_EQ(message->to[0].ref, "r");
  EXPECT_FALSE(message->to[0].values.empty());
}

TEST(Spec, AMessageMayHaveSeveralRecipients) {
  std::string name(64, 'a');
  auto spec =
      parse_message(R"({"to":[{"address":"a@b.org","data":{"name":"A"},"ref":"1"},"c@d.org"],)"
                    R"("data":{"name":"all","code":"x"},"stored_content":")" +
                        name + R"("})",
                    kNow);
  ASSERT_TRUE(spec.has_value()) << spec.error().field << spec.error().reason;
  EXPECT_EQ(spec->message.content_name, name);
  ASSERT_EQ(spec->data.size(), 2u);
  EXPECT_EQ(spec->data[0], (MessageSpec::Data{{"name", "A"}, {"code", "x"}}));
  EXPECT_EQ(spec->data[1], (MessageSpec::Data{{"name", "all"}, {"code", "x"}}));
}

TEST(Spec, SaysWhatIsWrongWithAMessage) {
  auto of = [](std::string_view json) {
    auto spec = parse_message(json, kNow);
    return spec ? std::string() : spec.error().field + " " + spec.error().reason;
  };
  std::string content = R"("content":{"subject":"s","from":"a@b.org","text":"t"})";
  EXPECT_EQ(of("{" + content + "}"), "to is missing");
  EXPECT_TRUE(of(R"({"to":"nobody",)" + content + "}").starts_with("to is no address: "));
  EXPECT_TRUE(of(R"({"to":[{"address":"@"}],)" + content + "}")
                  .starts_with("to[0].address is no address: "));
  EXPECT_EQ(of(R"({"to":"a@b.org"})"), "content is missing");
  EXPECT_EQ(of(R"({"to":"a@b.org","stored_content":"x"})"),
            "stored_content must be the 64 hexadecimal digits of a campaign's content");
  EXPECT_EQ(of(R"({"to":[{"address":"a@b.org"}],"ref":"x",)" + content + "}"),
            "ref belongs into the entries of to");
  EXPECT_EQ(of(R"({"to":"a@b.org","expires_at":"2026-03-01T11:00:00Z",)" + content + "}"),
            "expires_at is in the past, or before not_before");
  EXPECT_EQ(of(R"({"to":"a@b.org","content":{"from":"a@b.org","attachments":[{"content":"#"}]}})"),
            "content.attachments[0].content is not base64");
}

}  // namespace
}  // namespace postring::submission
