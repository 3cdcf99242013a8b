// wire_floor: the least a sender can cost. Sends the same bytes in the same round trips as the
// daemon would, one message after the other on each connection, and does nothing else: no queue, no
// spool, no templates, no parsing beyond counting replies. What the daemon costs more than this is
// its engine.
//
//     wire_floor --address A --port P --connections N --messages N --size BYTES [--bdat]
//
// One round trip a message: the final dot and the next MAIL, RCPT and DATA leave in one send.
// Prints one JSON object: messages, seconds, rate, and CPU microseconds per message of the whole
// process.

#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Options {
  std::string address = "127.0.0.1";
  uint16_t port = 0;
  uint64_t connections = 32;
  uint64_t messages = 100'000;
  uint64_t size = 5'000;
  bool bdat = false;
};

// What the next complete reply means to a connection.
enum class Phase : uint8_t { kBanner, kHelo, kEnvelope, kMessage, kQuit };

struct Connection {
  int fd = -1;
  Phase phase = Phase::kBanner;
  uint32_t replies_due = 1;
  bool line_start = true;
  char code[4] = {};
  uint32_t column = 0;
  std::string output;
  char input[4096];
};

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "wire_floor: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

uint64_t cpu_us() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto us = [](timeval t) {
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000 + static_cast<uint64_t>(t.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

class Floor {
 public:
  explicit Floor(const Options& options) : options_(options), connections_(options.connections) {
    std::string line(76, 'x');
    body_ = "From: a@sender.example\r\nSubject: floor\r\n\r\n";
    while (body_.size() + 78 <= options_.size) body_ += line + "\r\n";
    if (body_.size() + 2 < options_.size)
      body_ += std::string(options_.size - body_.size() - 2, 'y') + "\r\n";
  }

  void run();

 private:
  void connect_all();
  void envelope(Connection& connection);
  void take(Connection& connection, std::string_view bytes);
  void next(Connection& connection);
  void send_and_receive(Connection& connection);
  void arm_receive(Connection& connection);
  bool reply_ends(Connection& connection, char c);

  Options options_;
  std::string body_;
  io_uring ring_{};
  std::vector<Connection> connections_;
  uint64_t begun_ = 0;
  uint64_t done_ = 0;
  uint64_t refused_ = 0;
  uint64_t open_ = 0;
};

void Floor::connect_all() {
  for (Connection& connection : connections_) {
    connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(options_.port);
    inet_pton(AF_INET, options_.address.c_str(), &address.sin_addr);
    if (connect(connection.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      die("connect");
    int one = 1;
    setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ++open_;
    arm_receive(connection);
  }
}

void Floor::arm_receive(Connection& connection) {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  io_uring_prep_recv(sqe, connection.fd, connection.input, sizeof connection.input, 0);
  io_uring_sqe_set_data(sqe, &connection);
}

void Floor::send_and_receive(Connection& connection) {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  io_uring_prep_send(sqe, connection.fd, connection.output.data(), connection.output.size(),
                     MSG_WAITALL | MSG_NOSIGNAL);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  io_uring_sqe_set_data(sqe, nullptr);
  arm_receive(connection);
}

// The next message's envelope, as far as it may be sent before its replies.
void Floor::envelope(Connection& connection) {
  char text[160];
  int size = std::snprintf(text, sizeof text,
                           "MAIL FROM:<bounce+%llu@sender.example>\r\n"
                           "RCPT TO:<user%llu@d%llu.example>\r\n",
                           static_cast<unsigned long long>(begun_),
                           static_cast<unsigned long long>(begun_),
                           static_cast<unsigned long long>(begun_ % 100));
  ++begun_;
  connection.output.append(text, static_cast<size_t>(size));
  connection.phase = Phase::kMessage;
  if (options_.bdat) {
    connection.output += "BDAT " + std::to_string(body_.size()) + " LAST\r\n";
    connection.output += body_;
  } else {
    connection.output += "DATA\r\n";
  }
  connection.replies_due += 3;
}

void Floor::next(Connection& connection) {
  connection.output.clear();
  switch (connection.phase) {
    case Phase::kBanner:
      connection.output = "EHLO floor.sender.example\r\n";
      connection.phase = Phase::kHelo;
      connection.replies_due = 1;
      break;
    case Phase::kHelo:
    case Phase::kEnvelope:
      connection.replies_due = 0;
      envelope(connection);
      break;
    case Phase::kMessage: {
      bool more = begun_ < options_.messages;
      connection.replies_due = 0;
      if (options_.bdat) {
        ++done_;
      } else {
        connection.output.append(body_).append(".\r\n");
        connection.replies_due = 1;
        ++done_;
      }
      if (more) {
        envelope(connection);
      } else {
        connection.output += "QUIT\r\n";
        connection.replies_due += 1;
        connection.phase = Phase::kQuit;
      }
      break;
    }
    case Phase::kQuit:
      close(connection.fd);
      --open_;
      return;
  }
  send_and_receive(connection);
}

// True when `c` ends the last line of a reply.
bool Floor::reply_ends(Connection& connection, char c) {
  if (connection.column < 4) connection.code[connection.column] = c;
  ++connection.column;
  if (c != '\n') return false;
  bool last = connection.code[3] != '-';
  if (last && connection.code[0] > '3') ++refused_;
  connection.column = 0;
  return last;
}

void Floor::take(Connection& connection, std::string_view bytes) {
  // Lines are short and begin with their code: only the first four bytes and the ends are looked
  // at.
  while (!bytes.empty()) {
    while (connection.column < 4 && !bytes.empty()) {
      if (reply_ends(connection, bytes[0])) --connection.replies_due;
      bytes.remove_prefix(1);
    }
    size_t end = bytes.find('\n');
    if (end == std::string_view::npos) break;
    bytes.remove_prefix(end + 1);
    connection.column = 4;
    if (reply_ends(connection, '\n')) --connection.replies_due;
  }
  if (connection.replies_due == 0)
    next(connection);
  else
    arm_receive(connection);
}

void Floor::run() {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
  params.cq_entries = 8192;
  if (int wrong = io_uring_queue_init_params(2048, &ring_, &params); wrong < 0) {
    errno = -wrong;
    die("io_uring");
  }
  uint64_t cpu_before = cpu_us();
  auto began = std::chrono::steady_clock::now();
  connect_all();
  while (open_ > 0) {
    io_uring_submit_and_wait(&ring_, 1);
    io_uring_cqe* cqe;
    unsigned head, seen = 0;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      ++seen;
      auto* connection = static_cast<Connection*>(io_uring_cqe_get_data(cqe));
      if (cqe->res < 0) {
        errno = -cqe->res;
        die(connection ? "receive" : "send");
      }
      if (connection == nullptr) continue;
      if (cqe->res == 0) die("the host closed the connection");
      take(*connection, std::string_view(connection->input, static_cast<size_t>(cqe->res)));
    }
    io_uring_cq_advance(&ring_, seen);
  }
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  double cpu = static_cast<double>(cpu_us() - cpu_before) / static_cast<double>(done_);
  std::printf(
      "{\"messages\":%llu,\"refused\":%llu,\"seconds\":%.3f,\"rate\":%.0f,"
      "\"cpu_us_per_message\":%.3f}\n",
      static_cast<unsigned long long>(done_), static_cast<unsigned long long>(refused_), seconds,
      static_cast<double>(done_) / seconds, cpu);
}

bool parse(int argc, char** argv, Options& options) {
  auto number = [](std::string_view text, auto& value) {
    auto end = std::from_chars(text.data(), text.data() + text.size(), value);
    return end.ec == std::errc() && end.ptr == text.data() + text.size();
  };
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    if (word == "--bdat") {
      options.bdat = true;
      continue;
    }
    if (++i >= argc) return false;
    std::string_view value = argv[i];
    bool good = word == "--address"       ? (options.address = value, true)
                : word == "--port"        ? number(value, options.port)
                : word == "--connections" ? number(value, options.connections)
                : word == "--messages"    ? number(value, options.messages)
                : word == "--size"        ? number(value, options.size)
                                          : false;
    if (!good) return false;
  }
  return options.port != 0 && options.connections > 0 && options.connections <= 1000 &&
         options.messages >= options.connections && options.size >= 64;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fputs(
        "usage: wire_floor --port P [--address A] [--connections N] [--messages N]\n"
        "                  [--size BYTES] [--bdat]\n",
        stderr);
    return 2;
  }
  Floor floor(options);
  floor.run();
  return 0;
}
