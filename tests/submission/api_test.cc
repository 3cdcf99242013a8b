// The API over a real loopback socket, with a backend in memory.
#include "submission/api.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>
#include <fstream>

#include "../http/client.h"
#include "base/json_writer.h"
#include "fake_backend.h"
#include "http/server.h"
#include "mail/id_text.h"

namespace postring::submission {
namespace {

std::unique_ptr<Ring> make_ring() {
  auto ring = Ring::create();
  CHECK(ring.has_value(), ring.has_value() ? "" : ring.error().message);
  return std::move(*ring);
}

std::string gzip(std::string_view text) {
  z_stream stream{};
  CHECK(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

struct Answered {
  int status = 0;
  std::string head;
  std::string body;
  bool has(std::string_view text) const { return body.find(text) != std::string::npos; }
};

class ApiTest : public testing::Test {
 protected:
  ApiTest() : loop_(make_ring(), 1), api_(loop_, backend_, {.uploads_max = 3}) {
    key_ = backend_.add_key(1, kScopeSubmit | kScopeRead);
    other_key_ = backend_.add_key(2, kScopeSubmit | kScopeRead);
    api_.add_routes(router_);
    api_.add_operator_routes(operators_);
    server_ = std::make_unique<http::Server>(loop_, router_, http::Limits{});
    operator_server_ = std::make_unique<http::Server>(loop_, operators_, http::Limits{});
    address_ = listen(*server_);
    operator_address_ = listen(*operator_server_);
  }
  ~ApiTest() override {
    int stopped = 0;
    server_->stop(Duration::milliseconds(50), [&] { ++stopped; });
    operator_server_->stop(Duration::milliseconds(50), [&] { ++stopped; });
    while (stopped < 2) loop_.turn(Instant::never());
    EXPECT_EQ(backend_.writers, 0);
  }

  SocketAddress listen(http::Server& server) {
    auto listener = listen_on(*SocketAddress::parse("127.0.0.1:0"), false);
    CHECK(listener.has_value());
    server.listen(*listener);
    return local_address(*listener);
  }

  static std::string request(std::string_view line, std::string_view headers,
                             std::string_view body) {
    std::string text = std::string(line) + " HTTP/1.1\r\nHost: h\r\n" + std::string(headers);
    if (line.starts_with("POST")) {
      text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    }
    return text + "\r\n" + std::string(body);
  }
  std::string bearer(const std::string& key) { return "Authorization: Bearer " + key + "\r\n"; }

  // Also written down for openapi_test.py, where it asks for that.
  static void note(std::string_view line, const Answered& answer) {
    const char* path = std::getenv("POSTRING_API_SAMPLES");
    if (path == nullptr) return;
    size_t type = answer.head.find("Content-Type: ");
    size_t end = answer.head.find("\r\n", type);
    JsonWriter json;
    json.object().field("request", line).field("status", answer.status);
    json.field("content_type", answer.head.substr(type + 14, end - type - 14));
    std::ofstream(path, std::ios::app) << json.field("body", answer.body).end().take() << '\n';
  }
  static Answered parse(const std::string& answer) {
    Answered result;
    if (answer.size() > 12) result.status = std::stoi(answer.substr(9, 3));
    result.head = answer.substr(0, answer.find("\r\n\r\n"));
    result.body = http::Client::body_of(answer);
    return result;
  }
  Answered ask(std::string_view line, std::string_view body = "", std::string headers = "") {
    http::Client client(loop_, address_);
    client.send(request(line, bearer(key_) + headers, body));
    Answered answer = parse(client.read_answer());
    note(line, answer);
    return answer;
  }
  Answered ask_raw(const SocketAddress& address, std::string_view line, std::string_view headers,
                   std::string_view body = "") {
    http::Client client(loop_, address);
    client.send(request(line, headers, body));
    Answered answer = parse(client.read_answer());
    if (address == address_) note(line, answer);
    return answer;
  }

  std::string create(std::string_view more = "", std::string headers = "") {
    Answered answer = ask("POST /v1/campaigns", campaign_json_text(more), headers);
    EXPECT_EQ(answer.status, 201) << answer.body;
    return answer.body.substr(7, 16);
  }
  static std::string campaign_json_text(std::string_view more = "") {
    return R"({"name":"spring","unsubscribe":"none","content":{"subject":"Hi {{name}}",)"
           R"("from":"a@b.org","text":"Hello {{name}}"})" +
           std::string(more) + "}";
  }
  static std::string lines(int count, int from = 0) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      text += R"({"address":"user)" + std::to_string(from + i) +
              R"(@example.org","data":{"name":"N)" + std::to_string(i) + "\"}}\n";
    }
    return text;
  }

  Loop loop_;
  FakeBackend backend_;
  Api api_;
  http::Router router_, operators_;
  std::unique_ptr<http::Server> server_, operator_server_;
  SocketAddress address_, operator_address_;
  std::string key_, other_key_;
};

const std::string kNdjson = "Content-Type: application/x-ndjson\r\n";

TEST_F(ApiTest, RoutesAreThoseOfTheDocumentation) {
  const char* path = std::getenv("POSTRING_API_SAMPLES");
  EXPECT_EQ(router_.routes().size(), 18u);
  EXPECT_EQ(operators_.routes(), router_.routes());
  if (path == nullptr) return;
  for (const std::string& route : router_.routes()) {
    JsonWriter json;
    std::ofstream(path, std::ios::app) << json.object().field("route", route).end().take() << '\n';
  }
}

TEST_F(ApiTest, NothingWithoutAKey) {
  for (const std::string& route : router_.routes()) {
    if (route.find("/v1/") == std::string::npos) continue;
    EXPECT_EQ(ask_raw(address_, route, "").status, 401) << route;
    EXPECT_EQ(ask_raw(address_, route, bearer(make_key())).status, 401) << route;
    EXPECT_EQ(ask_raw(address_, route, "Authorization: Basic eDp5\r\n").status, 401) << route;
  }
  Answered answer = ask_raw(address_, "GET /v1/campaigns", "");
  EXPECT_NE(answer.head.find("WWW-Authenticate: Bearer"), std::string::npos);
  EXPECT_EQ(ask_raw(address_, "GET /healthz", "").status, 200);
  EXPECT_EQ(ask_raw(address_, "GET /readyz", "").body, R"({"status":"ok"})");
  EXPECT_EQ(ask_raw(address_, "GET /metrics", "").body, "postring_up 1\n");
}

TEST_F(ApiTest, ScopesAreKept) {
  std::string reader = backend_.add_key(1, kScopeRead);
  std::string submitter = backend_.add_key(1, kScopeSubmit);
  std::string admin = backend_.add_key(1, kScopeAdmin);
  EXPECT_EQ(ask_raw(address_, "POST /v1/campaigns", bearer(reader), "{}").status, 403);
  EXPECT_EQ(ask_raw(address_, "POST /v1/campaigns", bearer(submitter), "{}").status, 422);
  EXPECT_EQ(ask_raw(address_, "POST /v1/campaigns", bearer(admin), "{}").status, 422);
  EXPECT_EQ(ask_raw(address_, "GET /v1/campaigns", bearer(submitter)).status, 403);
  EXPECT_EQ(ask_raw(address_, "GET /v1/campaigns", bearer(reader)).status, 200);
}

TEST_F(ApiTest, ATenantSeesItsOwnOnly) {
  std::string id = create();
  Answered batch = ask("POST /v1/campaigns/" + id + "/recipients", lines(3), kNdjson);
  std::string batch_id = batch.body.substr(10, 16);
  const std::string paths[] = {
      "GET /v1/campaigns/" + id,
      "GET /v1/campaigns/" + id + "/recipients",
      "GET /v1/batches/" + batch_id,
      "POST /v1/campaigns/" + id + "/start",
      "POST /v1/campaigns/" + id + "/close",
      "POST /v1/campaigns/" + id + "/pause",
      "POST /v1/campaigns/" + id + "/resume",
      "POST /v1/campaigns/" + id + "/cancel",
  };
  for (const std::string& path : paths) {
    EXPECT_EQ(ask_raw(address_, path, bearer(other_key_)).status, 404) << path;
    EXPECT_NE(ask_raw(address_, path, bearer(key_)).status, 404) << path;
  }
  EXPECT_EQ(ask_raw(address_, "POST /v1/campaigns/" + id + "/recipients",
                    bearer(other_key_) + kNdjson, lines(1))
                .status,
            404);
  EXPECT_EQ(ask_raw(address_, "GET /v1/campaigns", bearer(other_key_)).body, R"({"campaigns":[]})");
  std::string by_address = "GET /v1/recipients/user0@example.org";
  EXPECT_EQ(ask_raw(address_, by_address, bearer(other_key_)).body, R"({"recipients":[]})");
  EXPECT_TRUE(ask(by_address).has("user0@example.org"));
}

TEST_F(ApiTest, AnAddressIsErasedWithAnAdministratorsKeyOnly) {
  std::string path = "/v1/campaigns/" + create();
  EXPECT_EQ(ask("POST " + path + "/recipients", lines(2), kNdjson).status, 201);
  std::string user0 = "/v1/recipients/user0%40EXAMPLE.org";
  std::string writer = bearer(backend_.add_key(1, kScopeSubmit | kScopeRead));
  std::string admin = bearer(backend_.add_key(1, kScopeAdmin));
  EXPECT_EQ(ask_raw(address_, "DELETE " + user0, writer).status, 403);
  EXPECT_EQ(ask_raw(address_, "DELETE /v1/recipients/nobody", admin).status, 422);
  EXPECT_EQ(ask_raw(address_, "DELETE " + user0, admin).body, R"({"cancelled":1,"in_flight":0})");
  EXPECT_EQ(ask_raw(address_, "DELETE " + user0, admin).body, R"({"cancelled":0,"in_flight":0})");
  EXPECT_EQ(ask("GET " + user0).body, R"({"recipients":[]})");
  EXPECT_TRUE(ask("GET /v1/recipients/user1%40example.org").has("user1@example.org"));
}

TEST_F(ApiTest, CampaignsAreMadeAndCommanded) {
  Answered made = ask("POST /v1/campaigns", campaign_json_text());
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(made.body, R"({"id":"0000000000000001","state":"loading",)"
                       R"("created_at":"1970-01-01T00:16:40.000Z"})");
  EXPECT_NE(made.head.find("Location: /v1/campaigns/0000000000000001"), std::string::npos);
  EXPECT_TRUE(ask("GET /v1/campaigns/0000000000000001").has(R"("name":"spring")"));
  EXPECT_EQ(ask("POST /v1/campaigns/0000000000000001/pause").status, 409);
  EXPECT_TRUE(ask("POST /v1/campaigns/0000000000000001/start").has(R"("state":"running")"));
  EXPECT_TRUE(ask("POST /v1/campaigns/0000000000000001/pause").has(R"("stopped":0)"));
  EXPECT_TRUE(ask("POST /v1/campaigns/0000000000000001/resume").has(R"("state":"running")"));
  EXPECT_TRUE(ask("POST /v1/campaigns/0000000000000001/close").has(R"("closed":true)"));
  EXPECT_TRUE(ask("POST /v1/campaigns/0000000000000001/cancel").has(R"("state":"cancelled")"));
  EXPECT_EQ(ask("GET /v1/campaigns/0000000000000009").status, 404);
  EXPECT_EQ(ask("GET /v1/campaigns/x").status, 404);
  EXPECT_EQ(ask("DELETE /v1/campaigns/0000000000000001").status, 405);
  Answered wrong = ask("POST /v1/campaigns", campaign_json_text(R"(,"colour":"red")"));
  EXPECT_EQ(wrong.status, 422);
  EXPECT_TRUE(wrong.has(R"("field":"colour")")) << wrong.body;
  EXPECT_EQ(ask("POST /v1/campaigns", "x", "Content-Type: text/plain\r\n").status, 415);
}

TEST_F(ApiTest, LargeContentIsCompiledAside) {
  std::string text(100'000, 'x');
  for (size_t i = 60; i < text.size(); i += 60) text[i] = ' ';
  std::string body = R"({"name":"big","unsubscribe":"none","content":{"subject":"s",)"
                     R"("from":"a@b.org","text":")" +
                     text + R"("}})";
  EXPECT_EQ(ask("POST /v1/campaigns", body).status, 201);
  EXPECT_EQ(ask("POST /v1/campaigns", body + "x").status, 422);
}

TEST_F(ApiTest, CampaignsAreListedInPages) {
  for (int i = 0; i < 3; ++i) create();
  Answered first = ask("GET /v1/campaigns?limit=2");
  EXPECT_TRUE(first.has(R"("next":"0000000000000002")")) << first.body;
  Answered second = ask("GET /v1/campaigns?limit=2&after=0000000000000002");
  EXPECT_FALSE(second.has("next"));
  EXPECT_TRUE(second.has(R"("id":"0000000000000003")"));
  EXPECT_EQ(ask("GET /v1/campaigns?limit=0").status, 422);
  EXPECT_EQ(ask("GET /v1/campaigns?limit=x").status, 422);
  EXPECT_EQ(ask("GET /v1/campaigns?limits=1").status, 422);
}

TEST_F(ApiTest, ABatchIsCounted) {
  std::string path = "POST /v1/campaigns/" + create() + "/recipients";
  Answered answer = ask(path, lines(10) + "x\n" + lines(2), kNdjson);
  EXPECT_EQ(answer.status, 201);
  EXPECT_TRUE(answer.has(R"("accepted":10,"duplicate":2,"rejected":1,"rejections":[{"line":11,)"))
      << answer.body;
  EXPECT_EQ(ask("GET /v1/batches/" + answer.body.substr(10, 16)).status, 200);
  Answered table =
      ask(path, "address,name\na@b.org,A\n", "Content-Type: text/csv; charset=utf-8\r\n");
  EXPECT_TRUE(table.has(R"("accepted":1)")) << table.body;
  EXPECT_EQ(ask(path, lines(1), "Content-Type: application/json\r\n").status, 415);
  EXPECT_EQ(ask(path, lines(1), kNdjson + "Content-Encoding: br\r\n").status, 415);
  EXPECT_EQ(ask(path, "\n\n", kNdjson).status, 422);
  EXPECT_EQ(ask(path, "", kNdjson).status, 422);
  EXPECT_EQ(ask(path, "name\nx\n", "Content-Type: text/csv\r\n").status, 422);
}

TEST_F(ApiTest, ALargeBatchComesInSlices) {
  std::string path = "POST /v1/campaigns/" + create() + "/recipients";
  backend_.pause_every = 1'000;
  http::Client client(loop_, address_);
  std::string text = lines(20'000);
  std::string body = request(path, bearer(key_) + kNdjson, text);
  // The client sends as fast as it may; the backend lets it go on now and then.
  std::string_view left = body;
  std::string answer;
  while (answer.empty()) {
    for (auto& go_on : std::exchange(backend_.paused, {})) go_on();
    size_t size = std::min<size_t>(left.size(), 50'000);
    if (size > 0) {
      ssize_t sent = client.send_some(left.substr(0, size));
      left.remove_prefix(static_cast<size_t>(std::max<ssize_t>(sent, 0)));
    }
    client.turn();
    answer = client.read_now();
  }
  EXPECT_TRUE(left.empty());
  EXPECT_TRUE(parse(answer).has(R"("accepted":20000)")) << answer;
}

TEST_F(ApiTest, GzipIsUnpackedWithinReason) {
  std::string path = "POST /v1/campaigns/" + create() + "/recipients";
  std::string headers = kNdjson + "Content-Encoding: gzip\r\n";
  std::string packed = gzip(lines(5'000)) + gzip(lines(5'000, 5'000));
  EXPECT_TRUE(ask(path, packed, headers).has(R"("accepted":10000)"));
  EXPECT_EQ(ask(path, packed.substr(0, packed.size() - 3), headers).status, 400);
  EXPECT_EQ(ask(path, "no gzip", headers).status, 400);
  EXPECT_EQ(ask(path, "", headers).status, 400);
  std::string bomb = gzip(std::string(8u << 20, ' '));
  Answered refused = ask(path, bomb, headers);
  EXPECT_EQ(refused.status, 413);
  EXPECT_TRUE(refused.has("compressed-too-well"));
}

TEST_F(ApiTest, ABatchTooLargeIsRefused) {
  std::string path = "POST /v1/campaigns/" + create() + "/recipients";
  std::string many;
  for (uint32_t i = 0; i <= kBatchLinesMax; ++i) many += "x\n";
  EXPECT_EQ(ask(path, many, kNdjson).status, 413);
  http::Client client(loop_, address_);
  client.send("POST " + path.substr(5) + " HTTP/1.1\r\nHost: h\r\n" + bearer(key_) + kNdjson +
              "Content-Length: 67108865\r\n\r\n");
  EXPECT_EQ(parse(client.read_answer()).status, 413);
}

TEST_F(ApiTest, LimitsOfABatchCanBeSet) {
  std::string path = "POST /v1/campaigns/" + create() + "/recipients";
  api_.set_batch_limits({.lines = 10, .bytes = 5'000});
  EXPECT_TRUE(ask(path, lines(10), kNdjson).has(R"("accepted":10)"));
  Answered refused = ask(path, lines(11), kNdjson);
  EXPECT_EQ(refused.status, 413);
  EXPECT_TRUE(refused.has("at most 10 recipients")) << refused.body;
  EXPECT_EQ(ask(path, std::string(5'001, ' '), kNdjson).status, 413);
  std::string packed = gzip(std::string(5'001, ' '));
  refused = ask(path, packed, kNdjson + "Content-Encoding: gzip\r\n");
  EXPECT_EQ(refused.status, 413);
  EXPECT_TRUE(refused.has("at most 5000 bytes")) << refused.body;
}

TEST_F(ApiTest, AnUnfinishedBatchLeavesNothing) {
  std::string id = create();
  {
    http::Client client(loop_, address_);
    std::string text =
        request("POST /v1/campaigns/" + id + "/recipients", bearer(key_) + kNdjson, lines(100));
    client.send(std::string_view(text).substr(0, text.size() - 1));
    while (backend_.writers == 0) client.turn();
  }
  while (backend_.writers > 0) loop_.turn(Instant::never());
  EXPECT_TRUE(ask("GET /v1/campaigns/" + id + "/recipients").has(R"("recipients":[])"));
}

TEST_F(ApiTest, UploadsHaveALimit) {
  std::string path = "POST /v1/campaigns/" + create() + "/recipients";
  std::vector<std::unique_ptr<http::Client>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<http::Client>(loop_, address_));
    clients.back()->send(request(path, bearer(key_) + kNdjson, lines(10)).substr(0, 250));
  }
  while (backend_.writers < 3) clients[0]->turn();
  Answered answer = ask(path, lines(1), kNdjson);
  EXPECT_EQ(answer.status, 503);
  EXPECT_NE(answer.head.find("Retry-After: 1"), std::string::npos);
  clients.clear();
  while (backend_.writers > 0) loop_.turn(Instant::never());
  EXPECT_EQ(ask(path, lines(1), kNdjson).status, 201);
}

TEST_F(ApiTest, ARepeatGetsTheSameAnswer) {
  std::string keyed = "Idempotency-Key: k1\r\n";
  Answered first = ask("POST /v1/campaigns", campaign_json_text(), keyed);
  Answered again = ask("POST /v1/campaigns", campaign_json_text(), keyed);
  EXPECT_EQ(first.body, again.body);
  EXPECT_EQ(again.status, 201);
  EXPECT_EQ(ask("POST /v1/campaigns", campaign_json_text(" "), keyed).status, 422);
  EXPECT_EQ(backend_.campaigns.size(), 1u);

  std::string path = "POST /v1/campaigns/" + first.body.substr(7, 16) + "/recipients";
  std::string batch_key = kNdjson + "Idempotency-Key: k2\r\n";
  Answered batch = ask(path, lines(500) + "x", batch_key);
  EXPECT_EQ(batch.status, 201);
  EXPECT_EQ(ask(path, lines(500) + "x", batch_key).body, batch.body);
  EXPECT_EQ(ask(path, gzip(lines(500) + "x"), batch_key + "Content-Encoding: gzip\r\n").body,
            batch.body);
  Answered other = ask(path, lines(500), batch_key);
  EXPECT_EQ(other.status, 422);
  EXPECT_TRUE(other.has("idempotency-key-reused"));
  EXPECT_EQ(
      ask(path, lines(1), kNdjson + "Idempotency-Key: " + std::string(129, 'k') + "\r\n").status,
      422);
}

TEST_F(ApiTest, MessagesAreSent) {
  Answered answer =
      ask("POST /v1/messages",
          R"({"to":"a@b.org","content":{"subject":"s","from":"a@b.org","text":"t"}})");
  EXPECT_EQ(answer.status, 202) << answer.body;
  EXPECT_TRUE(answer.has(R"("recipients":["0000000000000002"])")) << answer.body;
  create();
  std::string stored = backend_.campaigns.begin()->second.info.content;
  answer = ask("POST /v1/messages", R"({"to":["a@b.org","c@d.org"],"data":{"name":"N"},)"
                                    R"("stored_content":")" +
                                        stored + R"("})");
  EXPECT_EQ(answer.status, 202) << answer.body;
  ASSERT_EQ(backend_.messages.size(), 2u);
  EXPECT_EQ(backend_.messages[1].to.size(), 2u);
  EXPECT_FALSE(backend_.messages[1].to[1].values.empty());
  std::string unknown(64, '0');
  EXPECT_EQ(
      ask("POST /v1/messages", R"({"to":"a@b.org","stored_content":")" + unknown + R"("})").status,
      404);
}

TEST_F(ApiTest, RecipientsAreListedAndFound) {
  std::string id = create();
  ask("POST /v1/campaigns/" + id + "/recipients", lines(5), kNdjson);
  std::string path = "GET /v1/campaigns/" + id + "/recipients";
  EXPECT_TRUE(ask(path + "?limit=2&state=waiting").has(R"("next":"2")"));
  EXPECT_FALSE(ask(path + "?limit=3&after=2").has("next"));
  EXPECT_EQ(ask(path + "?state=lost").status, 422);
  EXPECT_TRUE(ask("GET /v1/recipients/user3%40EXAMPLE.org").has("user3@example.org"));
  EXPECT_EQ(ask("GET /v1/recipients/nobody").status, 422);
}

TEST_F(ApiTest, EventsAreWaitedFor) {
  EXPECT_EQ(ask("GET /v1/events").body, R"({"events":[{"id":"e1"},{"id":"e2"}],"next":"c2"})");
  Answered gone = ask("GET /v1/events?after=old");
  EXPECT_EQ(gone.status, 410);
  EXPECT_TRUE(gone.has(R"("oldest_cursor":"c7","missed":12)")) << gone.body;
  EXPECT_EQ(ask("GET /v1/events?wait=61").status, 422);
  EXPECT_EQ(ask("GET /v1/events?campaign=zz").status, 422);
  http::Client client(loop_, address_);
  client.send(request("GET /v1/events?after=c2&wait=20s&type=delivered&limit=5", bearer(key_), ""));
  while (backend_.waiting_events.empty()) client.turn();
  EXPECT_EQ(backend_.queries.back().wait, Duration::seconds(20));
  EXPECT_EQ(backend_.queries.back().type, "delivered");
  EXPECT_EQ(backend_.queries.back().limit, 5u);
  backend_.give_events();
  EXPECT_TRUE(parse(client.read_answer()).has(R"("next":"c2")"));
}

TEST_F(ApiTest, RefusalsSayWhenToComeBack) {
  std::string path = "POST /v1/campaigns/" + create() + "/recipients";
  backend_.refusal = Refused{.why = Refusal::no_space, .retry_after = Duration::seconds(30)};
  Answered answer = ask(path, lines(1), kNdjson);
  EXPECT_EQ(answer.status, 507);
  EXPECT_NE(answer.head.find("Retry-After: 30"), std::string::npos);
  backend_.refusal = Refused{.why = Refusal::busy};
  EXPECT_EQ(ask("POST /v1/campaigns", campaign_json_text()).status, 503);
  backend_.refusal.reset();
  api_.stop_submission();
  EXPECT_EQ(ask(path, lines(1), kNdjson).status, 503);
  EXPECT_EQ(ask("GET /v1/campaigns").status, 200);
  EXPECT_EQ(ask_raw(address_, "GET /readyz", "").status, 503);
  EXPECT_EQ(ask_raw(address_, "GET /healthz", "").status, 200);
}

TEST_F(ApiTest, OperatorsSeeEveryTenant) {
  std::string id = create();
  Answered made =
      ask_raw(operator_address_, "POST /v1/campaigns?tenant=two", "", campaign_json_text());
  EXPECT_EQ(made.status, 201) << made.body;
  Answered all = ask_raw(operator_address_, "GET /v1/campaigns", "");
  EXPECT_TRUE(all.has(R"("tenant":"one")"));
  EXPECT_TRUE(all.has(R"("tenant":"two")"));
  EXPECT_FALSE(ask_raw(operator_address_, "GET /v1/campaigns?tenant=two", "").has("one"));
  EXPECT_EQ(ask_raw(operator_address_, "POST /v1/campaigns", "", campaign_json_text()).status, 422);
  EXPECT_EQ(ask_raw(operator_address_, "GET /v1/campaigns?tenant=x", "").status, 404);
  EXPECT_EQ(ask("GET /v1/campaigns?tenant=two").status, 422);
}

}  // namespace
}  // namespace postring::submission
