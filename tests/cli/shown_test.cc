#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

#include "cli/campaign_file.h"
#include "cli/check_system.h"
#include "cli/command_line.h"
#include "cli/json_document.h"
#include "cli/progress.h"
#include "cli/server.h"
#include "cli/shown.h"
#include "cli/table.h"

namespace postring::cli {
namespace {

TEST(Table, AlignsAndKeepsLinesWhole) {
  Table table({"NAME", "#COUNT"});
  table.row({"ab\nc", "1"});
  table.row({"\xc3\xa4", "1,000"});
  table.row({"", "20"});
  EXPECT_EQ(table.text(),
            "NAME  COUNT\n"
            "ab c      1\n"
            "\xc3\xa4     1,000\n"
            "-        20\n");
}

TEST(Texts, RepliesWithoutWhatIsNotThere) {
  EXPECT_EQ(reply_text("550", "5.1.1", "No such user"), "550 5.1.1 No such user");
  EXPECT_EQ(reply_text("250", "", "OK"), "250 OK");
  EXPECT_EQ(reply_text("0", "", "no such source"), "no such source");
  EXPECT_EQ(reply_text("", "4.4.1", ""), "4.4.1");
}

TEST(Texts, NumbersForPeople) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1'234'567), "1,234,567");
  EXPECT_EQ(grouped(-1'000), "-1,000");
  EXPECT_EQ(bytes_text(512), "512 B");
  EXPECT_EQ(bytes_text(1'536), "1.5 KiB");
  EXPECT_EQ(bytes_text(64u << 20), "64.0 MiB");
  EXPECT_EQ(seconds_text(59), "59s");
  EXPECT_EQ(seconds_text(3'700), "1h 1m");
  EXPECT_EQ(seconds_text(90'000), "1d 1h");
}

TEST(Progress, BarAndRate) {
  EXPECT_EQ(bar_text(1, 4, 8), "[##......]  25%");
  EXPECT_EQ(bar_text(9, 4, 4), "[####] 100%");
  EXPECT_EQ(bar_text(0, 0, 2), "[##] 100%");
  RateMeter rate;
  EXPECT_EQ(rate.per_second(), 0u);
  for (int second = 0; second <= 60; ++second)
    rate.add(Instant{} + Duration::seconds(second), static_cast<uint64_t>(second) * 100);
  EXPECT_EQ(rate.per_second(), 100u);
  for (int second = 61; second <= 80; ++second)
    rate.add(Instant{} + Duration::seconds(second), 6'000);
  EXPECT_EQ(rate.per_second(), 0u);
}

TEST(JsonDocument, ReadsWhatIsThere) {
  auto document = JsonDocument::parse(
      "{\"a\":{\"b\":7,\"t\":true,\"n\":null},\"l\":[\"x\",\"y\"],\"s\":\"t\"}");
  ASSERT_TRUE(document);
  JsonView root = document->root();
  EXPECT_EQ(root.number("a.b"), 7);
  EXPECT_EQ(root.text("a.b"), "7");
  EXPECT_TRUE(root.boolean("a.t"));
  EXPECT_TRUE(root.at("a.n").is_null());
  EXPECT_EQ(root.text("l"), "x,y");
  EXPECT_EQ(root.list("l").size(), 2u);
  EXPECT_EQ(root.text("none.b"), "");
  EXPECT_EQ(root.number("s"), 0);
  EXPECT_EQ(root.at("a").raw(), "{\"b\":7,\"t\":true,\"n\":null}");
  EXPECT_FALSE(JsonDocument::parse("{"));
}

TEST(Problem, IsASentence) {
  ApiAnswer answer{.status = 409,
                   .content_type = "application/problem+json",
                   .retry_after = {},
                   .body = "{\"title\":\"T\",\"detail\":\"the campaign is complete\"}"};
  EXPECT_EQ(problem_text(answer), "the campaign is complete (409)");
  answer.body =
      "{\"title\":\"T\",\"mistakes\":[{\"file\":\"f\",\"line\":3,\"key\":\"k\",\"message\":\"m\"}]"
      "}";
  EXPECT_EQ(problem_text(answer), "T\n  f:3: k: m (409)");
  answer.content_type = "text/html";
  EXPECT_EQ(problem_text(answer), "the server answered with status 409");
  EXPECT_EQ(query_of({{"a", "1"}, {"b", ""}, {"c", "x y"}}), "?a=1&c=x%20y");
}

class Folder {
 public:
  Folder() { EXPECT_NE(::mkdtemp(path_), nullptr); }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string write(const std::string& name, const std::string& text) const {
    std::string path = std::string(path_) + "/" + name;
    std::ofstream(path) << text;
    return path;
  }

 private:
  char path_[32] = "/tmp/postring-cli-XXXXXX";
};

TEST(CampaignFile, BecomesTheApisJson) {
  Folder folder;
  folder.write("body.html", "<p>{{name}}</p>\n");
  folder.write("a.bin", "abc");
  std::string path = folder.write("c.toml",
                                  "name = \"Spring\"\nstart_at = 2026-03-01T09:30:00Z\n"
                                  "sources = [\"a\"]\n[content]\nhtml_file = \"body.html\"\n"
                                  "subject = \"Hi\"\n[[content.attachments]]\nfile = \"a.bin\"\n");
  auto json = read_campaign_file(path);
  ASSERT_TRUE(json) << json.error().message;
  auto document = JsonDocument::parse(*json);
  ASSERT_TRUE(document) << *json;
  JsonView root = document->root();
  EXPECT_EQ(root.text("name"), "Spring");
  EXPECT_EQ(root.text("start_at"), "2026-03-01T09:30:00Z");
  EXPECT_EQ(root.text("sources"), "a");
  EXPECT_EQ(root.text("content.html"), "<p>{{name}}</p>\n");
  EXPECT_EQ(root.list("content.attachments").at(0).text("content"), "YWJj");
  EXPECT_EQ(root.list("content.attachments").at(0).text("filename"), "a.bin");
}

TEST(CampaignFile, SaysWhatIsWrongAndWhere) {
  Folder folder;
  auto error = [&](const std::string& text) {
    std::string path = folder.write("c.toml", text);
    auto json = read_campaign_file(path);
    if (json) return std::string("accepted: ") + *json;
    return json.error().message.substr(path.size());
  };
  EXPECT_TRUE(error("name = ").starts_with(":1: "));
  EXPECT_NE(error("\n[content]\ntext_file = \"none\"").find("No such file"), std::string::npos);
  EXPECT_TRUE(
      error("\n[content]\ntext_file = \"c.toml\"\ntext = \"x\"").starts_with(":3: there is"));
  EXPECT_TRUE(error("a = 09:30:00").starts_with(":1: a date or time alone"));
}

TEST(CheckSystem, JudgesKernels) {
  EXPECT_EQ(judge_kernel("6.1.0-18-amd64").state, Finding::State::good);
  EXPECT_EQ(judge_kernel("10.0.1").state, Finding::State::good);
  EXPECT_EQ(judge_kernel("6.0.9").state, Finding::State::wrong);
  EXPECT_EQ(judge_kernel("5.15.0-generic").state, Finding::State::wrong);
}

TEST(CheckSystem, EveryFaultHasItsFix) {
  EXPECT_EQ(judge_io_uring(0, 0).state, Finding::State::good);
  EXPECT_NE(judge_io_uring(EPERM, 2).fix.find("kernel.io_uring_disabled=0"), std::string::npos);
  EXPECT_NE(judge_io_uring(EPERM, 1).fix.find("io_uring_group"), std::string::npos);
  EXPECT_NE(judge_io_uring(EPERM, 0).fix.find("seccomp"), std::string::npos);
  EXPECT_NE(judge_io_uring(ENOSYS, -1).fix.find("CONFIG_IO_URING"), std::string::npos);
  EXPECT_NE(judge_open_files(1'024, 4'096, 20'000).fix.find("LimitNOFILE=20000"),
            std::string::npos);
  EXPECT_EQ(judge_open_files(1'024, 30'000, 20'000).state, Finding::State::good);
  EXPECT_EQ(judge_filesystem("/x", 0x01021994).state, Finding::State::wrong);    // tmpfs
  EXPECT_EQ(judge_filesystem("/x", 0xef53).state, Finding::State::good);         // ext4
  EXPECT_EQ(judge_filesystem("/x", 0x794c7630).state, Finding::State::warning);  // overlay
  EXPECT_EQ(judge_free_space("/x", 10, 11).state, Finding::State::wrong);
  EXPECT_EQ(judge_cpus(2, 3).state, Finding::State::warning);
}

TEST(CheckSystem, RunsOnThisMachine) {
  engine::Config config;
  config.spool.dir = "/tmp/postring-none/spool";
  auto found = check_system(config, true);
  EXPECT_GE(found.size(), 7u);
  for (const Finding& one : found)
    EXPECT_EQ(one.fix.empty(), one.state == Finding::State::good) << one.name;
}

int run_words(std::vector<std::string> words) {
  words.insert(words.begin(), "postring");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  int status = run(static_cast<int>(argv.size()), argv.data());
  testing::internal::GetCapturedStdout();
  testing::internal::GetCapturedStderr();
  return status;
}

TEST(CommandLine, ExitStatus) {
  EXPECT_EQ(run_words({"--help"}), 0);
  EXPECT_EQ(run_words({"--version"}), 0);
  EXPECT_EQ(run_words({"help", "config"}), 0);
  EXPECT_EQ(run_words({}), 2);
  EXPECT_EQ(run_words({"nonsense"}), 2);
  EXPECT_EQ(run_words({"serve"}), 2);
  EXPECT_EQ(run_words({"campaign", "pause"}), 2);
  EXPECT_EQ(run_words({"send", "x.toml", "--recipients", "y", "--batch", "0"}), 2);
  EXPECT_EQ(run_words({"key", "create"}), 2);
  EXPECT_EQ(run_words({"status", "--socket", "/nonexistent/s"}), 1);
  EXPECT_EQ(run_words({"check", "config", "/nonexistent"}), 1);
  EXPECT_EQ(run_words({"send", "/nonexistent", "--recipients", "y", "--key", "k"}), 1);
}

TEST(CommandLine, EveryCommandHasHelp) {
  for (const char* command :
       {"serve", "check", "send", "campaign", "events", "explain", "key", "status", "lanes",
        "reload", "stop", "retry", "dns", "try", "verp", "spool"})
    EXPECT_EQ(run_words({command, "--help"}), 0) << command;
}

TEST(CommandLine, CheckConfigFindsMistakes) {
  Folder folder;
  std::string good = folder.write("good.toml", "[spool]\ndir = \"/x\"\n");
  std::string bad = folder.write("bad.toml", "[nowhere]\n");
  EXPECT_EQ(run_words({"check", "config", good}), 0);
  EXPECT_EQ(run_words({"check", "config", good, "--json"}), 0);
  EXPECT_EQ(run_words({"check", "config", bad}), 1);
  EXPECT_EQ(run_words({"check", "config", bad, "--json"}), 1);
}

}  // namespace
}  // namespace postring::cli
