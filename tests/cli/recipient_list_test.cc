#include "cli/recipient_list.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace postring::cli {
namespace {

using Format = RecipientList::Format;

TEST(RecipientList, CsvRepeatsItsHeaderAndCountsLines) {
  auto list = RecipientList::of("address,name\na@x,A\nb@x,\"B\nb\"\nc@x,C\n", Format::csv);
  ASSERT_TRUE(list);
  auto first = list->next(2, 1 << 20);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->body, "address,name\na@x,A\nb@x,\"B\nb\"\n");
  EXPECT_EQ(first->recipients, 2u);
  EXPECT_EQ(first->first_line, 2u);
  EXPECT_EQ(first->line_in_file(3), 3u);
  auto second = list->next(2, 1 << 20);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->body, "address,name\nc@x,C\n");
  EXPECT_EQ(second->line_in_file(2), 5u);
  EXPECT_EQ(second->end, list->size());
  EXPECT_FALSE(list->next(2, 1 << 20));
}

TEST(RecipientList, NdjsonWithoutALastLineEnd) {
  auto list = RecipientList::of("{\"address\":\"a@x\"}\n\n{\"address\":\"b@x\"}", Format::ndjson);
  auto first = list->next(1, 1 << 20);
  EXPECT_EQ(first->body, "{\"address\":\"a@x\"}\n");
  EXPECT_EQ(first->line_in_file(1), 1u);
  auto second = list->next(1, 1 << 20);
  EXPECT_EQ(second->body, "\n{\"address\":\"b@x\"}");
  EXPECT_EQ(second->line_in_file(2), 3u);
  EXPECT_FALSE(list->next(1, 1 << 20));
}

TEST(RecipientList, BytesBoundABatchButOneRecordAlwaysFits) {
  std::string text = "address\n";
  for (int i = 0; i < 100; ++i) text += "somebody" + std::to_string(i) + "@x.example\n";
  auto list = RecipientList::of(text, Format::csv);
  uint64_t recipients = 0, batches = 0;
  std::string all = "address\n";
  while (auto batch = list->next(1'000, 64)) {
    recipients += batch->recipients;
    EXPECT_EQ(batch->number, batches++);
    EXPECT_LE(batch->body.size(), 64u);
    all += batch->body.substr(8);
  }
  EXPECT_EQ(recipients, 100u);
  EXPECT_EQ(all, text);
  auto tiny = RecipientList::of(text, Format::csv);
  EXPECT_EQ(tiny->next(10, 1)->recipients, 1u);
}

TEST(RecipientList, ByteOrderMarkIsLeftOut) {
  auto list = RecipientList::of(
      "\xef\xbb\xbf"
      "address\na@x\n",
      Format::csv);
  EXPECT_EQ(list->next(10, 100)->body, "address\na@x\n");
}

TEST(RecipientList, AHeaderWithoutAddressIsAMistake) {
  auto list = RecipientList::of("name,\"the ref\"\nA,1\n", Format::csv);
  ASSERT_FALSE(list);
  EXPECT_EQ(list.error().message,
            "line 1 must name the columns, one of them 'address'; it is 'name', 'the ref'");
  EXPECT_FALSE(RecipientList::of("ann@example.com,Ann\n", Format::csv));
  EXPECT_TRUE(RecipientList::of("name,\"address\"\r\n", Format::csv));
}

TEST(RecipientList, EmptyCsvIsAMistakeAndEmptyNdjsonIsNot) {
  EXPECT_FALSE(RecipientList::of("", Format::csv));
  auto list = RecipientList::of("", Format::ndjson);
  ASSERT_TRUE(list);
  EXPECT_FALSE(list->next(1, 1));
}

TEST(RecipientList, FilesByTheirName) {
  char folder[] = "/tmp/postring-cli-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  auto write = [&](const char* name, const char* text) {
    std::string path = std::string(folder) + "/" + name;
    std::ofstream(path) << text;
    return path;
  };
  EXPECT_EQ(RecipientList::open(write("a.csv", "address\n"))->format(), Format::csv);
  EXPECT_EQ(RecipientList::open(write("a.jsonl", ""))->format(), Format::ndjson);
  EXPECT_EQ(RecipientList::open(write("a", "{\"a\""))->format(), Format::ndjson);
  EXPECT_EQ(RecipientList::open(write("b", "address"))->format(), Format::csv);
  EXPECT_FALSE(RecipientList::open(std::string(folder) + "/none"));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace postring::cli
