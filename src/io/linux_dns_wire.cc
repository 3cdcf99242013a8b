// The dns_wire seam on c-ares, its sockets watched by the ring.
//
// c-ares opens and closes its sockets itself and says through a callback what it waits for on each;
// a poll on the ring stands for each wish. It closes a socket right after saying that it no longer
// cares, and the number may come back at once as another socket: a Watch therefore belongs to one
// life of a number, and outlives it as an orphan until its poll has ended.
//
// Questions go out in order, a bounded number each turn, and never from within c-ares' reading: it
// reads until nothing is there, and a server that answers at once would keep it there for as long
// as each answer leads to another question.
#include <ares.h>
#include <poll.h>
#include <sys/time.h>

#include <algorithm>
#include <deque>
#include <map>
#include <vector>

#include "base/check.h"
#include "io/dns_wire.h"
#include "io/entropy.h"
#include "io/loop.h"

namespace postring {
namespace {

// What fits an IPv6 packet everywhere (DNS flag day 2020).
constexpr int kUdpAnswerBytesMax = 1'232;
constexpr int kClassIn = 1;
// One server that knows no EDNS makes c-ares forget it for all; it gets another chance after this.
constexpr Duration kEdnsRetry = Duration::minutes(10);
constexpr uint64_t kQueriesPerEdnsCheck = 1'000;
// Sent in one turn at most. A burst of more overflows the receive buffer of a server, or ours with
// its answers, and what is lost there costs a timeout.
constexpr size_t kQuestionsPerTurn = 64;
constexpr int kReceiveBufferBytes = 1 << 20;

class AresWire;

struct Watch {
  Completion completion;
  AresWire* wire = nullptr;  // null: an orphan, owned by its poll
  int descriptor = -1;
  uint32_t wanted = 0;
  uint32_t armed = 0;

  void on_ready(int32_t result);
};

struct Question {
  AresWire* wire = nullptr;
  std::string name;
  uint16_t type = 0;
  bool edns = true;
  DnsWire::Done done;
};

DnsWireError error_of(int status) {
  switch (status) {
    case ARES_ETIMEOUT:
      return DnsWireError::timeout;
    case ARES_ESERVFAIL:
    case ARES_EREFUSED:
    case ARES_ENOTIMP:
      return DnsWireError::server_failure;
    case ARES_ECONNREFUSED:
      return DnsWireError::unreachable;
    case ARES_EDESTRUCTION:
    case ARES_ECANCELLED:
      return DnsWireError::cancelled;
    case ARES_EBADNAME:
    case ARES_EBADRESP:
    case ARES_EBADQUERY:
    case ARES_EFORMERR:
      return DnsWireError::malformed;
    default:
      return DnsWireError::unreachable;
  }
}

class AresWire final : public DnsWire {
 public:
  AresWire(Loop& loop, DnsWireOptions options) : loop_(loop), options_(std::move(options)) {
    timer_.bind<&AresWire::on_timer>(this);
  }
  ~AresWire() override {
    closing_ = true;
    close();
    CHECK(in_flight_ == 0, "every question was answered");
  }

  Result<void> open();
  void query(const std::string& name, uint16_t type, Done done) override;
  void on_ready(Watch& watch, int32_t result);

 private:
  static void on_socket_state(void* self, ares_socket_t descriptor, int readable, int writable);
  static void on_result(void* question, int status, int timeouts, unsigned char* bytes, int size);

  int set_servers();
  void close();
  void send_waiting();
  void send(std::unique_ptr<Question> question);
  void finish(std::unique_ptr<Question> question, DnsWireAnswer answer);
  void renew_edns();
  bool channel_has_edns();
  void arm(Watch& watch);
  void drop(int descriptor);
  void process(int readable, int writable);
  void on_timer();
  void set_timer();

  Loop& loop_;
  DnsWireOptions options_;
  ares_channel channel_ = nullptr;
  std::map<int, std::unique_ptr<Watch>> watches_;
  Timer timer_;
  size_t in_flight_ = 0;
  std::deque<std::unique_ptr<Question>> waiting_;  // to be sent
  size_t sent_in_turn_ = 0;
  bool turn_end_wanted_ = false;
  std::shared_ptr<AresWire*> self_ = std::make_shared<AresWire*>(this);
  bool closing_ = false;
  bool sending_ = false;  // inside ares_send(): a result must wait
  bool processing_ = false;  // inside ares_process_fd(): a question must wait
  bool edns_ = true;
  Instant edns_lost_at_;
  uint64_t queries_since_check_ = 0;
};

void Watch::on_ready(int32_t result) {
  if (wire == nullptr) {
    delete this;
    return;
  }
  wire->on_ready(*this, result);
}

Result<void> AresWire::open() {
  ares_options options{};
  int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
             ARES_OPT_SOCK_STATE_CB | ARES_OPT_SOCK_RCVBUF;
  // Without the flag c-ares throws UDP answers of more than 512 bytes away and asks by TCP.
  options.flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
  options.ednspsz = kUdpAnswerBytesMax;
  options.timeout = static_cast<int>(std::clamp<int64_t>(options_.timeout.whole_ms(), 1, 60'000));
  options.tries = std::clamp(options_.tries, 1, 10);
  options.socket_receive_buffer_size = kReceiveBufferBytes;
  options.sock_state_cb = &AresWire::on_socket_state;
  options.sock_state_cb_data = this;
  int status = ares_init_options(&channel_, &options, mask);
  if (status == ARES_SUCCESS && !options_.servers.empty()) status = set_servers();
  if (status != ARES_SUCCESS)
    return fail(std::string("the DNS client cannot be set up: ") + ares_strerror(status));
  return {};
}

int AresWire::set_servers() {
  std::vector<ares_addr_port_node> nodes(options_.servers.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    const SocketAddress& server = options_.servers[i];
    ares_addr_port_node& node = nodes[i];
    node = {};
    node.next = i + 1 < nodes.size() ? &nodes[i + 1] : nullptr;
    node.udp_port = node.tcp_port = server.port;
    if (server.ip.family == IpAddress::Family::v4) {
      node.family = AF_INET;
      std::copy_n(server.ip.bytes.begin(), 4, reinterpret_cast<uint8_t*>(&node.addr.addr4));
    } else {
      node.family = AF_INET6;
      std::copy_n(server.ip.bytes.begin(), 16, reinterpret_cast<uint8_t*>(&node.addr.addr6));
    }
  }
  return ares_set_servers_ports(channel_, nodes.data());
}

// Answers every open question with `cancelled`.
void AresWire::close() {
  if (channel_ == nullptr) return;
  // What is asked from within the last answers finds no channel.
  ares_destroy(std::exchange(channel_, nullptr));
  while (!waiting_.empty()) {
    std::unique_ptr<Question> question = std::move(waiting_.front());
    waiting_.pop_front();
    finish(std::move(question), std::unexpected(DnsWireError::cancelled));
  }
  loop_.timers().disarm(timer_);
  while (!watches_.empty()) drop(watches_.begin()->first);
}

// --------------------------------------------------------------------------------------- questions

void AresWire::query(const std::string& name, uint16_t type, Done done) {
  renew_edns();
  auto question = std::make_unique<Question>();
  question->wire = this;
  question->name = name;
  question->type = type;
  question->edns = edns_;
  question->done = std::move(done);
  ++in_flight_;
  if (closing_) return send(std::move(question));
  waiting_.push_back(std::move(question));
  send_waiting();
}

void AresWire::send_waiting() {
  while (!waiting_.empty() && !processing_ && sent_in_turn_ < kQuestionsPerTurn) {
    ++sent_in_turn_;
    std::unique_ptr<Question> question = std::move(waiting_.front());
    waiting_.pop_front();
    send(std::move(question));
  }
  if (sent_in_turn_ == 0 || std::exchange(turn_end_wanted_, true)) return;
  loop_.defer([weak = std::weak_ptr<AresWire*>(self_)] {
    auto self = weak.lock();
    if (!self) return;
    AresWire& wire = **self;
    wire.turn_end_wanted_ = false;
    wire.sent_in_turn_ = 0;
    wire.send_waiting();
  });
}

void AresWire::send(std::unique_ptr<Question> question) {
  unsigned char* bytes = nullptr;
  int size = 0;
  auto id = static_cast<uint16_t>(entropy_word());
  int status = channel_ == nullptr
                   ? (closing_ ? ARES_EDESTRUCTION : ARES_ENOTINITIALIZED)
                   : ares_create_query(question->name.c_str(), kClassIn, question->type, id, 1,
                                       &bytes, &size, question->edns ? kUdpAnswerBytesMax : 0);
  bool was_sending = std::exchange(sending_, true);
  if (status == ARES_SUCCESS) {
    ares_send(channel_, bytes, size, &AresWire::on_result, question.release());
    ares_free_string(bytes);
  } else {
    finish(std::move(question), std::unexpected(error_of(status)));
  }
  sending_ = was_sending;
  // A later question is never due before an earlier one: an armed timer stands.
  if (channel_ != nullptr && !timer_.armed()) set_timer();
}

void AresWire::on_result(void* argument, int status, int, unsigned char* bytes, int size) {
  std::unique_ptr<Question> question(static_cast<Question*>(argument));
  AresWire& wire = *question->wire;
  if (status != ARES_SUCCESS)
    return wire.finish(std::move(question), std::unexpected(error_of(status)));
  std::string_view answer(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  bool format_error = answer.size() > 3 && (answer[3] & 0xf) == 1;
  if (format_error && question->edns) {
    // A server that knows no EDNS: once more without.
    wire.edns_ = question->edns = false;
    wire.edns_lost_at_ = wire.loop_.now();
    return wire.send(std::move(question));
  }
  wire.finish(std::move(question), answer);
}

void AresWire::finish(std::unique_ptr<Question> question, DnsWireAnswer answer) {
  CHECK(in_flight_ > 0);
  --in_flight_;
  if (!sending_) return question->done(answer, loop_.now());
  // c-ares answered inside query(): the caller is not ready for that.
  Result<std::string, DnsWireError> kept = std::unexpected(DnsWireError::cancelled);
  if (answer) {
    kept = std::string(*answer);
  } else {
    kept = std::unexpected(answer.error());
  }
  loop_.defer([question = std::move(question), kept = std::move(kept), &loop = loop_]() mutable {
    DnsWireAnswer late = std::string_view();
    if (kept) {
      late = std::string_view(*kept);
    } else {
      late = std::unexpected(kept.error());
    }
    question->done(late, loop.now());
  });
}

// c-ares forgets EDNS for a channel's whole life after one "format error"; a new channel knows it
// again.
void AresWire::renew_edns() {
  if (closing_ || in_flight_ > 0) return;
  if (channel_ != nullptr && edns_ && ++queries_since_check_ >= kQueriesPerEdnsCheck) {
    queries_since_check_ = 0;
    if (!channel_has_edns()) {
      edns_ = false;
      edns_lost_at_ = loop_.now();
    }
  }
  if (channel_ != nullptr && (edns_ || loop_.now() < edns_lost_at_ + kEdnsRetry)) return;
  close();
  edns_ = open().has_value();
  if (!edns_) close();
}

bool AresWire::channel_has_edns() {
  ares_options options{};
  int mask = 0;
  bool has = true;
  if (ares_save_options(channel_, &options, &mask) == ARES_SUCCESS)
    has = (options.flags & ARES_FLAG_EDNS) != 0;
  ares_destroy_options(&options);
  return has;
}

// ----------------------------------------------------------------------------------------- sockets

void AresWire::on_socket_state(void* self, ares_socket_t descriptor, int readable, int writable) {
  auto& wire = *static_cast<AresWire*>(self);
  if (readable == 0 && writable == 0) return wire.drop(descriptor);
  std::unique_ptr<Watch>& watch = wire.watches_[descriptor];
  if (watch == nullptr) {
    watch = std::make_unique<Watch>();
    watch->completion.bind<&Watch::on_ready>(watch.get());
    watch->wire = &wire;
    watch->descriptor = descriptor;
  }
  watch->wanted = (readable != 0 ? static_cast<uint32_t>(POLLIN) : 0u) |
                  (writable != 0 ? static_cast<uint32_t>(POLLOUT) : 0u);
  wire.arm(*watch);
}

void AresWire::arm(Watch& watch) {
  if (watch.completion.busy()) {
    if (watch.armed != watch.wanted) loop_.ring().cancel(watch.completion);
    return;
  }
  watch.armed = watch.wanted;
  loop_.ring().poll(watch.completion, watch.descriptor, watch.armed);
}

void AresWire::drop(int descriptor) {
  auto found = watches_.find(descriptor);
  if (found == watches_.end()) return;
  std::unique_ptr<Watch> watch = std::move(found->second);
  watches_.erase(found);
  if (!watch->completion.busy()) return;
  watch->wire = nullptr;
  loop_.ring().cancel(watch->completion);
  watch.release();
}

void AresWire::on_ready(Watch& watch, int32_t result) {
  int descriptor = watch.descriptor;
  if (result != -ECANCELED) {
    // An error is c-ares' to find: it reads and writes in vain.
    auto events = result < 0 ? static_cast<uint32_t>(POLLERR) : static_cast<uint32_t>(result);
    bool broken = (events & (POLLERR | POLLHUP | POLLNVAL)) != 0;
    bool readable = broken || (events & POLLIN) != 0;
    bool writable = (watch.armed & POLLOUT) != 0 && (broken || (events & POLLOUT) != 0);
    process(readable ? descriptor : ARES_SOCKET_BAD, writable ? descriptor : ARES_SOCKET_BAD);
  }
  // The watch may be gone, or another may have taken the number.
  if (auto found = watches_.find(descriptor); found != watches_.end()) arm(*found->second);
}

void AresWire::process(int readable, int writable) {
  if (channel_ == nullptr) return;
  processing_ = true;
  ares_process_fd(channel_, readable, writable);
  processing_ = false;
  send_waiting();
  set_timer();
}

void AresWire::on_timer() {
  process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

void AresWire::set_timer() {
  timeval left{};
  if (ares_timeout(channel_, nullptr, &left) == nullptr) return loop_.timers().disarm(timer_);
  // A millisecond more: c-ares reads a clock of its own and must find the time over.
  Duration wait = Duration::seconds(left.tv_sec) + Duration::microseconds(left.tv_usec) +
                  Duration::milliseconds(1);
  loop_.timers().arm(timer_, loop_.now() + wait);
}

}  // namespace

Result<std::unique_ptr<DnsWire>> DnsWire::create(Loop& loop, DnsWireOptions options) {
  auto wire = std::make_unique<AresWire>(loop, std::move(options));
  if (Result<void> opened = wire->open(); !opened) return std::unexpected(opened.error());
  return wire;
}

}  // namespace postring
