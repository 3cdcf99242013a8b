#include "cli/api_client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "io/socket.h"

namespace postring::cli {
namespace {

// Accepts one connection per script, reads a request and writes the script's bytes.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::vector<std::string> answers, int listener)
      : listener_(listener), thread_([this, answers = std::move(answers)] { serve(answers); }) {}
  ~ScriptedServer() {
    thread_.join();
    close_descriptor(listener_);
  }

  std::vector<std::string> requests;  // to be read after the last answer was seen

 private:
  void serve(const std::vector<std::string>& answers) {
    int client = -1;
    for (const std::string& answer : answers) {
      if (client < 0) client = accept_one();
      std::string request = read_request(client);
      if (request.empty()) {  // the client begins anew
        close_descriptor(client);
        client = accept_one();
        request = read_request(client);
      }
      requests.push_back(request);
      EXPECT_EQ(::send(client, answer.data(), answer.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(answer.size()));
      if (answer.find("close") != std::string::npos || answer.empty()) {
        close_descriptor(client);
        client = -1;
      }
    }
    if (client >= 0) close_descriptor(client);
  }

  int accept_one() {
    while (true) {
      int client = ::accept(listener_, nullptr, nullptr);
      if (client >= 0 || (errno != EAGAIN && errno != EINTR)) return client;
      std::this_thread::yield();
    }
  }

  static std::string read_request(int client) {
    std::string request;
    char buffer[4096];
    while (true) {
      size_t head = request.find("\r\n\r\n");
      if (head != std::string::npos) {
        size_t length = request.find("Content-Length: ");
        size_t body = length < head ? std::stoul(request.substr(length + 16)) : 0;
        if (request.size() >= head + 4 + body) return request;
      }
      ssize_t size = ::recv(client, buffer, sizeof buffer, 0);
      if (size <= 0) return {};
      request.append(buffer, static_cast<size_t>(size));
    }
  }

  int listener_;
  std::thread thread_;
};

struct Fixture {
  explicit Fixture(std::vector<std::string> answers)
      : listener(*listen_on({IpAddress::v4(127, 0, 0, 1), 0}, false)),
        url("http://" + local_address(listener).text()),
        server(std::move(answers), listener) {}

  int listener;
  std::string url;
  ScriptedServer server;
};

TEST(ServerAddress, Forms) {
  EXPECT_EQ(ServerAddress::parse("http://127.0.0.1:8025")->text(), "http://127.0.0.1:8025");
  EXPECT_EQ(ServerAddress::parse("http://localhost/")->port, 80);
  EXPECT_EQ(ServerAddress::parse("http://[::1]:25")->text(), "http://[::1]:25");
  EXPECT_EQ(ServerAddress::parse("http://[::1]")->host, "::1");
  EXPECT_TRUE(ServerAddress::parse("unix:/run/x.sock")->is_unix);
  for (const char* wrong : {"https://a.example", "a.example:80", "http://", "http://a:99999",
                            "http://a:0", "http://a/path", "http://a:x"})
    EXPECT_FALSE(ServerAddress::parse(wrong)) << wrong;
}

TEST(ApiClient, SendsHeadersAndBodyAndReadsTheAnswer) {
  Fixture world(
      {"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nRetry-After: 7\r\n"
       "Content-Length: 2\r\n\r\n{}",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"});
  {
    ApiClient client(*ServerAddress::parse(world.url), {{"Authorization", "Bearer k"}});
    auto first = client.call({.method = "POST",
                              .path = "/v1/campaigns",
                              .body = "{\"a\":1}",
                              .headers = {{"Idempotency-Key", "x"}}});
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_EQ(first->status, 201);
    EXPECT_EQ(first->body, "{}");
    EXPECT_EQ(first->retry_after, Duration::seconds(7));
    auto second = client.call({.path = "/x"});
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_EQ(second->body, "abc");
  }
  ASSERT_EQ(world.server.requests.size(), 2u);
  const std::string& request = world.server.requests[0];
  EXPECT_TRUE(request.starts_with("POST /v1/campaigns HTTP/1.1\r\n"));
  EXPECT_NE(request.find("\r\nAuthorization: Bearer k\r\n"), std::string::npos);
  EXPECT_NE(request.find("\r\nIdempotency-Key: x\r\n"), std::string::npos);
  EXPECT_TRUE(request.ends_with("\r\n\r\n{\"a\":1}"));
}

TEST(ApiClient, OpensAnotherConnectionAfterTheServerClosedOne) {
  Fixture world({"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na",
                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"});
  ApiClient client(*ServerAddress::parse(world.url), {});
  EXPECT_EQ(client.call({.path = "/1"})->body, "a");
  EXPECT_EQ(client.call({.path = "/2"})->body, "b");
}

TEST(ApiClient, SaysWhatIsWrongWithTheConnection) {
  {
    Fixture world({""});
    ApiClient client(*ServerAddress::parse(world.url), {});
    auto answer = client.call({.path = "/"});
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().message.find("closed the connection"), std::string::npos);
  }
  {
    Fixture world({"SSH-2.0-close\r\n\r\n"});
    ApiClient client(*ServerAddress::parse(world.url), {});
    auto answer = client.call({.path = "/"});
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().message.find("no HTTP"), std::string::npos) << answer.error().message;
  }
  int listener = *listen_on({IpAddress::v4(127, 0, 0, 1), 0}, false);
  std::string url = "http://" + local_address(listener).text();
  close_descriptor(listener);
  auto refused = ApiClient(*ServerAddress::parse(url), {}).call({.path = "/"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "cannot reach postring at " + url + ": Connection refused");
}

TEST(ApiClient, UnixSocket) {
  char folder[] = "/tmp/postring-cli-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  std::string path = std::string(folder) + "/s";
  {
    int listener = *listen_on_path(path, 0600);
    ScriptedServer server({"HTTP/1.1 204 No Content\r\n\r\n"}, listener);
    ApiClient client(ServerAddress::unix_socket(path), {});
    auto answer = client.call({.method = "DELETE", .path = "/operator/keys/1"});
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 204);
  }
  std::filesystem::remove_all(folder);
}

TEST(PercentEncoded, EverythingButTheUnreserved) {
  EXPECT_EQ(percent_encoded("a+b@x.example/\xc3\xa4~"), "a%2Bb%40x.example%2F%C3%A4~");
}

}  // namespace
}  // namespace postring::cli
