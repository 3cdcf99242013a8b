#include "http/parser.h"

#include <gtest/gtest.h>

namespace postring::http {
namespace {

// What was parsed, in words. Feeds `text`, of which at first only `cut` bytes are there.
std::string run(std::string_view text, size_t cut, Limits limits = {}) {
  RequestParser parser(limits);
  std::string log, body;
  size_t at = 0, there = cut;
  while (true) {
    Parsed parsed = parser.put(text.substr(at, there - at));
    at += parsed.consumed;
    switch (parsed.stop) {
      case ParseStop::need_more:
        if (there == text.size()) return log + "more";
        there = text.size();
        break;
      case ParseStop::head: {
        Request request = parser.take_request();
        log += "head " + std::string(name_of(request.method)) + " " + request.path + ";";
        break;
      }
      case ParseStop::body:
        body += parser.body_piece();
        break;
      case ParseStop::end:
        log += "body " + body + ";end;";
        body.clear();
        parser.reset();
        if (at == text.size()) return log;
        break;
      case ParseStop::wrong:
        return log + "wrong " + std::to_string(parser.wrong_status());
    }
  }
}

std::string run(std::string_view text, Limits limits = {}) {
  return run(text, text.size(), limits);
}

TEST(Parser, EveryCutGivesTheSame) {
  std::string text =
      "POST /v1/x?a=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
      "POST /y HTTP/1.1\r\nhost:h\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
      "GET /z HTTP/1.1\r\nHost: h\r\n\r\n";
  std::string whole = run(text);
  EXPECT_EQ(whole,
            "head POST /v1/x;body hello;end;head POST /y;body abcde;end;head GET /z;body ;end;");
  for (size_t cut = 0; cut < text.size(); ++cut) EXPECT_EQ(run(text, cut), whole) << cut;
}

TEST(Parser, ManyRequestsOnOneConnectionAreEachMeasuredAlone) {
  std::string one = "POST /x HTTP/1.1\r\nHost: h\r\nX: " + std::string(1'000, 'x') +
                    "\r\nContent-Length: 2\r\n\r\nhi";
  std::string text, expected;
  for (int i = 0; i < 200; ++i) {
    text += one;
    expected += "head POST /x;body hi;end;";
  }
  EXPECT_EQ(run(text), expected);
}

TEST(Parser, RefusesWhatIsAmbiguous) {
  const char* host = "Host: h\r\n";
  auto post = [&](const std::string& headers) {
    return run("POST / HTTP/1.1\r\n" + std::string(host) + headers + "\r\n");
  };
  EXPECT_EQ(post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), "wrong 400");
  EXPECT_EQ(post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), "wrong 400");
  EXPECT_EQ(post("Content-Length: 1\r\nContent-Length: 2\r\n"), "wrong 400");
  EXPECT_EQ(post("Content-Length: -1\r\n"), "wrong 400");
  EXPECT_EQ(post("Content-Length: 99999999999999999999\r\n"), "wrong 400");
  EXPECT_EQ(post("Transfer-Encoding: gzip, chunked\r\n"), "wrong 501");
  EXPECT_EQ(post("Transfer-Encoding: identity\r\n"), "wrong 501");
  EXPECT_EQ(post("Host: other\r\n"), "wrong 400");
  EXPECT_EQ(post("Expect: miracles\r\n"), "wrong 417");
  EXPECT_EQ(post("X : y\r\n"), "wrong 400");
  EXPECT_EQ(run("GET / HTTP/1.1\r\n\r\n"), "wrong 400");
  EXPECT_EQ(run("GET / HTTP/1.1\r\nHost: h\n\n\r\n\r\n"), "wrong 400");
  EXPECT_EQ(run("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "wrong 505");
  EXPECT_EQ(run("GET x HTTP/1.1\r\nHost: h\r\n\r\n"), "wrong 400");
  EXPECT_EQ(run("GET /?a=%zz HTTP/1.1\r\nHost: h\r\n\r\n"), "wrong 400");
  EXPECT_EQ(run("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), "wrong 400");
}

TEST(Parser, TakesTheAbsoluteForm) {
  EXPECT_EQ(run("GET http://h:80/a?b HTTP/1.1\r\nHost: h\r\n\r\n"), "head GET /a;body ;end;");
  EXPECT_EQ(run("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n"), "head GET /;body ;end;");
}

TEST(Parser, HoldsItsLimits) {
  Limits limits;
  limits.header_bytes = 200;
  limits.headers = 3;
  std::string head = "GET / HTTP/1.1\r\nHost: h\r\n";
  EXPECT_EQ(run(head + "A: " + std::string(300, 'x') + "\r\n\r\n", limits), "wrong 431");
  EXPECT_EQ(run(head + "A: b\r\nC: d\r\n\r\n", limits), "head GET /;body ;end;");
  EXPECT_EQ(run(head + "A: b\r\nC: d\r\nE: f\r\n\r\n", limits), "wrong 431");
  std::string half(100, 'x');
  EXPECT_EQ(run(head + "A: " + half + "\r\nB: " + half + "\r\n\r\n", limits), "wrong 431");
  std::string chunks = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 1'000; ++i) chunks += "1;" + half + "\r\nx\r\n";
  EXPECT_TRUE(run(chunks + "0\r\n\r\n", limits).ends_with("wrong 400"));
}

}  // namespace
}  // namespace postring::http
