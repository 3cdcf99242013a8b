#include "reporting/log.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace postring::reporting {
namespace {

constexpr WallTime kTime = {1'772'357'400'250'000};

TEST(LogLine, IsOneLineWhateverIsInIt) {
  EXPECT_EQ(log_line(kTime, LogLevel::info, "listening", {{"address", "127.0.0.1:8025"}}),
            "2026-03-01T09:30:00.250Z info  listening address=127.0.0.1:8025");
  EXPECT_EQ(log_line(kTime, LogLevel::error, "a\nb", {{"reply", "no \"x\"\r\n"}, {"none", ""}}),
            "2026-03-01T09:30:00.250Z error a\\nb reply=\"no \\\"x\\\"\\x0d\\n\" none=\"\"");
  EXPECT_EQ(log_line(kTime, LogLevel::warning, "w", {{"x", "a=b"}}),
            "2026-03-01T09:30:00.250Z warn  w x=\"a=b\"");
}

TEST(LogLine, LongValuesAreCut) {
  std::string line = log_line(kTime, LogLevel::info, "m", {{"x", std::string(5'000, 'y')}});
  EXPECT_LT(line.size(), kLogValueMax + 100);
  EXPECT_TRUE(line.ends_with("y..."));
}

struct Heard {
  std::vector<std::string> lines;
  Log log{[this](std::string_view line) { lines.emplace_back(line); }, [] { return kTime; },
          LogLevel::info};
};

TEST(Log, SaysWhatTheLevelAllows) {
  Heard heard;
  heard.log.debug("no");
  heard.log.info("yes");
  heard.log.set_level(LogLevel::error);
  heard.log.warning("no");
  heard.log.error("yes");
  ASSERT_EQ(heard.lines.size(), 2u);
  EXPECT_EQ(heard.lines[0], "2026-03-01T09:30:00.250Z info  yes\n");
}

TEST(Log, OnceIsOnceUntilForgotten) {
  Heard heard;
  heard.log.once(LogLevel::warning, "disk", "the disk is full");
  heard.log.once(LogLevel::warning, "disk", "the disk is full");
  heard.log.once(LogLevel::warning, "other", "x");
  EXPECT_EQ(heard.lines.size(), 2u);
  heard.log.forget("disk");
  heard.log.once(LogLevel::warning, "disk", "the disk is full");
  EXPECT_EQ(heard.lines.size(), 3u);
}

TEST(Log, OnceRemembersABoundedNumber) {
  Heard heard;
  for (size_t i = 0; i < Log::kOnceMax + 10; ++i)
    heard.log.once(LogLevel::info, std::to_string(i), "x");
  EXPECT_EQ(heard.lines.size(), Log::kOnceMax);
}

}  // namespace
}  // namespace postring::reporting
