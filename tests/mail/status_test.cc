#include "mail/status.h"

#include <gtest/gtest.h>

namespace postring::mail {
namespace {

TEST(status, parses_and_formats) {
  for (std::string_view text : {"2.0.0", "4.7.1", "5.1.10", "5.7.26", "5.255.255"}) {
    auto status = parse_enhanced(text);
    ASSERT_TRUE(status) << text;
    EXPECT_EQ(enhanced_text(*status), text);
  }
  for (std::string_view text : {"", "5", "5.", "5.1", "5.1.", "3.1.1", "5.01.1", "5.1.1 ",
                                "5.1.256", "5.1.1000", "5.1.1.1", "a.b.c", "5..1", "-5.1.1"}) {
    EXPECT_FALSE(parse_enhanced(text)) << text;
  }
  EXPECT_EQ(enhanced_text({}), "");
}

TEST(status, splits_a_reply) {
  StatusPrefix prefix = split_enhanced(550, "5.1.1 User unknown");
  EXPECT_EQ(prefix.status, (EnhancedStatus{5, 1, 1}));
  EXPECT_EQ(prefix.text, "User unknown");
  EXPECT_EQ(split_enhanced(250, "2.0.0").status, (EnhancedStatus{2, 0, 0}));
  EXPECT_EQ(split_enhanced(250, "2.0.0").text, "");
}

TEST(status, a_class_that_disagrees_with_the_reply_is_not_believed) {
  StatusPrefix prefix = split_enhanced(450, "5.1.1 User unknown");
  EXPECT_FALSE(prefix.status.is_set());
  EXPECT_EQ(prefix.text, "5.1.1 User unknown");
  EXPECT_FALSE(split_enhanced(550, "5.1.1x").status.is_set());
  EXPECT_FALSE(split_enhanced(550, "User unknown").status.is_set());
}

TEST(status, meanings) {
  EXPECT_EQ(enhanced_meaning({5, 1, 1}), "bad destination mailbox address");
  EXPECT_EQ(enhanced_meaning({4, 7, 99}), "security or policy status");
  EXPECT_EQ(enhanced_meaning({5, 99, 1}), "");
}

}  // namespace
}  // namespace postring::mail
