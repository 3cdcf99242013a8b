#include "http/router.h"

#include <gtest/gtest.h>

#include "http/problem.h"
#include "http/url.h"

namespace postring::http {
namespace {

class FakeExchange final : public Exchange {
 public:
  FakeExchange(Method method, std::string path) {
    request_.method = method;
    request_.path = std::move(path);
  }
  const Request& request() const override { return request_; }
  Request& edit_request() override { return request_; }
  void receive_body(uint64_t, std::shared_ptr<BodySink>) override {}
  void pause_body() override {}
  void resume_body() override {}
  void collect_body(uint64_t, std::function<void(std::string)>) override {}
  void respond(Response response) override { answer = std::move(response); }
  void begin_stream(Response) override {}
  bool write(std::string) override { return true; }
  void when_drained(std::function<void()>) override {}
  void end() override {}
  bool answered() const override { return true; }
  bool gone() const override { return false; }

  Response answer;

 private:
  Request request_;
};

class RouterTest : public testing::Test {
 protected:
  RouterTest() {
    add(Method::get, "/v1/campaigns");
    add(Method::post, "/v1/campaigns");
    add(Method::get, "/v1/campaigns/{id}");
    add(Method::post, "/v1/campaigns/{id}/start");
    add(Method::get, "/v1/campaigns/mine");
    add(Method::get, "/v1/recipients/{address}");
  }
  void add(Method method, std::string pattern) {
    router_.add(method, pattern, [pattern](const ExchangePtr& exchange) {
      Response response;
      response.body = pattern;
      for (const Header& name : exchange->request().parameters) {
        response.body += " " + name.first + "=" + name.second;
      }
      exchange->respond(std::move(response));
    });
  }
  Response get(std::string path, Method method = Method::get) {
    auto exchange = std::make_shared<FakeExchange>(method, std::move(path));
    router_.route(exchange);
    return exchange->answer;
  }

  Router router_;
};

TEST_F(RouterTest, FindsWhatFits) {
  EXPECT_EQ(get("/v1/campaigns").body, "/v1/campaigns");
  EXPECT_EQ(get("/v1/campaigns/7").body, "/v1/campaigns/{id} id=7");
  EXPECT_EQ(get("/v1/campaigns/mine").body, "/v1/campaigns/mine");
  EXPECT_EQ(get("/v1/campaigns/mine/start", Method::post).body, "/v1/campaigns/{id}/start id=mine");
  EXPECT_EQ(get("/v1/recipients/a%2Fb%40x.org").body, "/v1/recipients/{address} address=a/b@x.org");
  EXPECT_EQ(get("/v1/campaigns/7", Method::head).status, 200);
}

TEST_F(RouterTest, SaysWhatIsNotThere) {
  for (const char* path : {"/", "/v1", "/v1/campaigns/", "/v1/campaigns/7/", "/v1//campaigns",
                           "/v1/campaigns/7/start/x", "*", ""}) {
    EXPECT_EQ(get(path).status, 404) << path;
  }
  EXPECT_EQ(get("/v1/recipients/%4").status, 400);
  Response response = get("/v1/campaigns", Method::remove);
  EXPECT_EQ(response.status, 405);
  ASSERT_FALSE(response.headers.empty());
  EXPECT_EQ(response.headers[0], Header("Allow", "GET, HEAD, POST"));
}

TEST_F(RouterTest, ListsItsRoutes) {
  EXPECT_EQ(router_.routes()[3], "POST /v1/campaigns/{id}/start");
  EXPECT_EQ(router_.routes().size(), 6u);
}

TEST(Problem, IsADocument) {
  Response response = problem({.status = 503,
                               .type = "busy",
                               .title = "Busy",
                               .detail = "say \"later\"",
                               .retry_after = Duration::milliseconds(1'500),
                               .extra = "\"line\":3"});
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.content_type, "application/problem+json");
  EXPECT_EQ(response.body, R"({"type":"urn:postring:problem:busy","title":"Busy","status":503,)"
                           R"("detail":"say \"later\"","line":3})");
  EXPECT_EQ(response.headers[0], Header("Retry-After", "2"));
  EXPECT_EQ(problem({.status = 404}).body,
            R"({"type":"urn:postring:problem:not-found","title":"Not Found","status":404})");
}

TEST(Url, DecodesAndEncodes) {
  EXPECT_EQ(percent_decode("a%20b+c"), "a b+c");
  EXPECT_EQ(percent_decode("%"), std::nullopt);
  EXPECT_EQ(percent_decode("%4"), std::nullopt);
  EXPECT_EQ(percent_encode("a b@c/d"), "a%20b%40c%2Fd");
  auto query = parse_query("a=1&b=x+y%26&&c&a=2");
  ASSERT_TRUE(query.has_value());
  std::vector<Header> expected = {{"a", "1"}, {"b", "x y&"}, {"c", ""}, {"a", "2"}};
  EXPECT_EQ(*query, expected);
  EXPECT_FALSE(parse_query("a=%x").has_value());
}

}  // namespace
}  // namespace postring::http
