#include "submission/batch_reader.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/time_text.h"
#include "fake_backend.h"

namespace postring::submission {
namespace {

const WallTime kNow = parse_rfc3339("2026-03-01T12:00:00Z").value();

struct Read {
  std::vector<Taken> taken;
  std::string rejections;
  uint64_t rejected = 0;
  uint16_t status = 0;  // of the problem; 0: none
  bool operator==(const Read&) const = default;
};

// Reads the text fed in pieces that end at `cuts` (ascending), with small steps.
Read read(BatchFormat format, std::string_view text, std::vector<size_t> cuts = {},
          std::string content = sample_content()) {
  CollectingWriter writer(std::move(content));
  BatchReader reader(format, writer, kNow);
  cuts.push_back(text.size());
  size_t at = 0, next = 0;
  Read result;
  while (true) {
    auto progress = reader.step(3, 1'000);
    if (progress == BatchReader::Progress::needs_bytes) {
      if (next == cuts.size()) {
        reader.feed_end();
        continue;
      }
      reader.feed(text.substr(at, cuts[next] - at));
      at = cuts[next++];
    } else if (progress == BatchReader::Progress::wrong) {
      result.status = reader.problem().status;
      break;
    } else if (progress == BatchReader::Progress::done) {
      break;
    }
  }
  result.taken = writer.taken;
  result.rejected = reader.rejected();
  result.rejections = reader.take_rejections();
  return result;
}

Read ndjson(std::string_view text) {
  return read(BatchFormat::ndjson, text);
}
Read csv(std::string_view text) {
  return read(BatchFormat::csv, text);
}

// The values of a recipient as "name=Ann;".
std::string values_of(const Taken& taken) {
  std::string bytes = sample_content();
  mail::Content content = mail::Content::load(bytes).value();
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  EXPECT_TRUE(mail::list_values(content, taken.values, pairs));
  std::string text;
  for (auto& [name, value] : pairs) text += std::string(name) + "=" + std::string(value) + ";";
  return text;
}

TEST(BatchReader, ReadsEveryField) {
  Read result = ndjson(
      R"({"address":"Ann@EXAMPLE.org","ref":"r1","meta":"m","source":"a","class":"standard",)"
      R"("not_before":"2026-03-02T00:00:00+01:00","expires_at":"2026-03-03T00:00:00Z",)"
      R"("time_zone":"Europe/Berlin","data":{"name":"Ann","code":12,"other":true}})"
      "\n");
  ASSERT_EQ(result.taken.size(), 1u) << result.rejections;
  const Taken& taken = result.taken[0];
  EXPECT_EQ(taken.address, "Ann@example.org");
  EXPECT_EQ(taken.ref, "r1");
  EXPECT_EQ(taken.meta, "m");
  EXPECT_EQ(taken.source, "a");
  EXPECT_EQ(taken.mail_class, MailClass::standard);
  EXPECT_EQ(rfc3339(taken.not_before), "2026-03-01T23:00:00.000Z");
  EXPECT_EQ(rfc3339(taken.expires_at), "2026-03-03T00:00:00.000Z");
  EXPECT_EQ(taken.time_zone, "Europe/Berlin");
  EXPECT_EQ(values_of(taken), "name=Ann;code=12;");
}

TEST(BatchReader, UnderstandsJson) {
  Read result = ndjson(
      "\xef\xbb\xbf"
      "  { \"address\" : \"a@b.org\" , \"data\" : { } , \"ref\":null } \r\n"
      "\n"
      R"({"data":{"name":"A\u00e9\ud83d\ude00\n\"\\\/","code":-1.5e+3},)"
      R"("address":"\u0061@b.org"})");
  ASSERT_EQ(result.taken.size(), 2u) << result.rejections;
  EXPECT_EQ(result.taken[0].line, 1u);
  EXPECT_EQ(result.taken[1].line, 3u);
  EXPECT_EQ(result.taken[1].address, "a@b.org");
  EXPECT_EQ(values_of(result.taken[1]), "name=A\xc3\xa9\xf0\x9f\x98\x80\n\"\\/;code=-1.5e+3;");
}

TEST(BatchReader, SaysWhatIsWrongWithALine) {
  struct Case {
    const char* line;
    const char* rejection;
  };
  const Case cases[] = {
      {"x", R"([{"line":1,"field":"","reason":"byte 0: expected '{'"}])"},
      {R"({"address":"a@b.org"} x)",
       R"([{"line":1,"field":"","reason":"byte 22: expected the end of the line"}])"},
      {R"({"address":"a@b.org")",
       R"([{"line":1,"field":"","reason":"byte 20: expected ',' or '}'"}])"},
      {R"({"address":"a@b.org",})", R"([{"line":1,"field":"","reason":"byte 21: expected '\"'"}])"},
      {R"({})", R"([{"line":1,"field":"address","reason":"is missing"}])"},
      {R"({"address":7})", R"([{"line":1,"field":"address","reason":"must be text"}])"},
      {R"({"adress":"a@b.org"})",
       R"([{"line":1,"field":"adress","reason":"is not a field of a recipient"}])"},
      {R"({"address":"a@b.org","address":"c@d.org"})",
       R"([{"line":1,"field":"address","reason":"is given twice"}])"},
      {R"({"address":"a@b.org","data":[]})",
       R"([{"line":1,"field":"","reason":"byte 28: expected an object"}])"},
      {R"({"address":"a@b.org","data":{"name":{}}})",
       R"([{"line":1,"field":"data.name",)"
       R"("reason":"must be text, a number, true, false or null"}])"},
      {R"({"address":"a@b.org","data":{"name":01}})",
       R"([{"line":1,"field":"","reason":"byte 37: expected no digit after a leading 0"}])"},
      {R"({"address":"a@b.org","data":{"name":"x","name":"y"}})",
       R"([{"line":1,"field":"data.name","reason":"is given twice"}])"},
      {R"({"address":"a@b.org","class":"fast"})",
       R"([{"line":1,"field":"class","reason":"must be transactional, standard or bulk"}])"},
      {R"({"address":"a@b.org","source":"z"})",
       R"([{"line":1,"field":"source","reason":"names no configured source"}])"},
      {R"({"address":"a@b.org","expires_at":"2026-03-01"})",
       R"([{"line":1,"field":"expires_at","reason":"must be an RFC 3339 time with an offset"}])"},
      {R"({"address":"a@b.org","expires_at":"2026-03-01T00:00:00Z"})",
       R"([{"line":1,"field":"expires_at","reason":"is in the past"}])"},
      {"{\"address\":\"a@b.org\",\"data\":{\"name\":\"\\ud800\"}}",
       R"([{"line":1,"field":"","reason":"byte 43: expected the low surrogate's escape"}])"},
      {"{\"address\":\"a@b.org\",\"data\":{\"name\":\"\t\"}}",
       R"([{"line":1,"field":"","reason":"byte 37: expected no control character in a string"}])"},
      {"{\"address\":\"a@b.org\",\"ref\":\"\xff\"}",
       R"([{"line":1,"field":"ref","reason":"is not UTF-8"}])"},
      {R"({"address":"a@b.org","meta":"a\u0000b"})",
       R"([{"line":1,"field":"meta","reason":"has a NUL byte"}])"},
  };
  for (const Case& one : cases) {
    Read result = ndjson(one.line);
    EXPECT_EQ(result.rejections, one.rejection) << one.line;
    EXPECT_EQ(result.rejected, 1u);
    EXPECT_TRUE(result.taken.empty());
  }
  EXPECT_NE(ndjson(R"({"address":"a.org"})").rejections.find("\"field\":\"address\""),
            std::string::npos);
}

TEST(BatchReader, AMissingFieldRejectsWhereTheContentSaysSo) {
  std::string text = R"({"address":"a@b.org","data":{"name":"A"}})";
  EXPECT_EQ(ndjson(text).taken.size(), 1u);
  Read result = read(BatchFormat::ndjson, text, {}, sample_content(true));
  EXPECT_EQ(result.rejections,
            R"([{"line":1,"field":"data.code","reason":"is missing and has no default"}])");
}

TEST(BatchReader, ReadsCsv) {
  Read result =
      csv("address,name,\"data.code\",ref,unused\r\n"
          "a@b.org,\"Ann, \"\"the\"\" first\",,r1,x\r\n"
          "\r\n"
          "c@d.org,\"two\nlines\",\"\",,\n"
          "e@f.org,x\n"
          "g@h.org,a\"b,c,,\n"
          "i@j.org,I,7,r3,");
  ASSERT_EQ(result.taken.size(), 3u) << result.rejections;
  EXPECT_EQ(result.taken[0].ref, "r1");
  EXPECT_EQ(result.taken[0].line, 2u);
  EXPECT_EQ(values_of(result.taken[0]), "name=Ann, \"the\" first;");
  EXPECT_EQ(result.taken[1].line, 4u);
  EXPECT_EQ(values_of(result.taken[1]), "name=two\nlines;code=;");
  EXPECT_EQ(result.taken[2].line, 8u);
  EXPECT_EQ(
      result.rejections,
      R"([{"line":6,"field":"","reason":"has 2 cells where the header has 5"},)"
      R"({"line":7,"field":"",)"
      R"("reason":"byte 9: a quote inside a cell that does not begin with one"}])");
}

TEST(BatchReader, CsvNeedsAHeader) {
  EXPECT_EQ(csv("").status, 422);
  EXPECT_EQ(csv("name,code\na,b\n").status, 422);
  EXPECT_EQ(csv("address,address\n").status, 422);
  EXPECT_EQ(csv("address,name,data.name\n").status, 422);
  EXPECT_EQ(csv("\"address\n").status, 422);
  EXPECT_EQ(csv("\"address\"\na@b.org\n").taken.size(), 1u);
}

TEST(BatchReader, AnOpenQuoteCostsOneLine) {
  Read result = csv("address,name\n\"a@b.org,x\nc@d.org,y\ne@f.org,z\n");
  EXPECT_EQ(result.taken.size(), 2u);
  EXPECT_EQ(result.rejections, R"([{"line":2,"field":"","reason":"a quote is not closed"}])");
}

TEST(BatchReader, OverlongLinesAreSkipped) {
  std::string good = R"({"address":"a@b.org"})";
  std::string text = good + "\n{\"x\":\"" + std::string(600'000, 'x') + "\"}\n" + good;
  Read whole = ndjson(text);
  EXPECT_EQ(whole.taken.size(), 2u);
  EXPECT_EQ(whole.taken[1].line, 3u);
  EXPECT_EQ(whole.rejections, R"([{"line":2,"field":"","reason":"is longer than 262144 bytes"}])");
  for (size_t piece : {1'000u, 65'536u, 262'144u, 262'145u}) {
    std::vector<size_t> cuts;
    for (size_t at = piece; at < text.size(); at += piece) cuts.push_back(at);
    EXPECT_EQ(read(BatchFormat::ndjson, text, cuts), whole) << piece;
  }
  std::string quoted = "address,name\na@b.org,\"" + std::string(10'000, 'x') + "\n";
  for (int i = 0; i < 30; ++i) quoted += "b@c.org," + std::string(10'000, 'y') + "\n";
  whole = csv(quoted);
  EXPECT_EQ(whole.taken.size(), 30u);
  EXPECT_EQ(whole.rejections, R"([{"line":2,"field":"","reason":"a quote is not closed"}])");
  std::vector<size_t> cuts;
  for (size_t at = 7'777; at < quoted.size(); at += 7'777) cuts.push_back(at);
  EXPECT_EQ(read(BatchFormat::csv, quoted, cuts), whole);
}

TEST(BatchReader, EveryCutGivesTheSame) {
  std::string lines =
      "\xef\xbb\xbf{\"address\":\"a@b.org\",\"data\":{\"name\":\"\xc3\xa9\\u00e9\"}}\r\n"
      "\r\n nonsense \n{\"address\":\"c@d.org\",\"ref\":\"\"}";
  Read whole = ndjson(lines);
  EXPECT_EQ(whole.taken.size(), 2u);
  for (size_t a = 0; a <= lines.size(); ++a) {
    for (size_t b = a; b <= lines.size(); ++b) {
      ASSERT_EQ(read(BatchFormat::ndjson, lines, {a, b}), whole) << a << " " << b;
    }
  }
  std::string table =
      "address,name\r\na@b.org,\"x\"\"\r\ny\"\r\n\r\nc@d.org,\"q\"z\ne@f.org,\"open\n";
  whole = csv(table);
  EXPECT_EQ(whole.taken.size(), 1u);
  EXPECT_EQ(whole.rejected, 2u);
  for (size_t a = 0; a <= table.size(); ++a) {
    for (size_t b = a; b <= table.size(); ++b) {
      ASSERT_EQ(read(BatchFormat::csv, table, {a, b}), whole) << a << " " << b;
    }
  }
}

TEST(BatchReader, RejectionsHaveALimit) {
  std::string text;
  for (int i = 0; i < 1'500; ++i) text += "x\n";
  Read result = ndjson(text);
  EXPECT_EQ(result.rejected, 1'500u);
  EXPECT_NE(result.rejections.find("\"line\":1000,"), std::string::npos);
  EXPECT_EQ(result.rejections.find("\"line\":1001,"), std::string::npos);
}

TEST(BatchReader, LinesHaveALimit) {
  std::string text;
  for (uint32_t i = 0; i < kBatchLinesMax; ++i) text += "\nx";
  EXPECT_EQ(ndjson(text).rejected, kBatchLinesMax);
  EXPECT_EQ(ndjson(text + "\nx").status, 413);
}

TEST(BatchReader, WaitsForItsWriter) {
  CollectingWriter writer;
  writer.pause_every = 2;
  BatchReader reader(BatchFormat::ndjson, writer, kNow);
  for (int i = 0; i < 5; ++i) reader.feed("{\"address\":\"a@b.org\"}\n");
  reader.feed_end();
  for (size_t expected : {2u, 4u}) {
    EXPECT_EQ(reader.step(100, 10'000), BatchReader::Progress::writer_full);
    EXPECT_EQ(writer.taken.size(), expected);
    writer.full = false;
  }
  EXPECT_EQ(reader.step(100, 10'000), BatchReader::Progress::done);
  EXPECT_EQ(writer.taken.size(), 5u);
}

// Random bytes made of what the grammars care about: the same however they are cut.
TEST(BatchReader, NonsenseIsReadTheSameWay) {
  const std::string_view parts[] = {"{",  "}",    "\"",      "\\",      ",",    ":",
                                    "\n", "\r\n", "address", "a@b.org", "data", "null",
                                    "1",  " ",    "\xff",    "\\u12",   "name"};
  Random random(7);
  for (int round = 0; round < 300; ++round) {
    std::string text = round % 2 == 0 ? "" : "address,name\n";
    for (int i = 0; i < 60; ++i) text += parts[random.below(std::size(parts))];
    auto format = round % 2 == 0 ? BatchFormat::ndjson : BatchFormat::csv;
    Read whole = read(format, text);
    for (int i = 0; i < 5; ++i) {
      std::vector<size_t> cuts = {random.below(text.size()), random.below(text.size())};
      if (cuts[0] > cuts[1]) std::swap(cuts[0], cuts[1]);
      ASSERT_EQ(read(format, text, cuts), whole) << text;
    }
  }
}

}  // namespace
}  // namespace postring::submission
