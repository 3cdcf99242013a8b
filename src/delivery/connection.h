// Connection: one SMTP connection: socket, session and the messages it is sending.
//
// It asks its owner for a message whenever the session could take one, renders it right before it
// leaves and sends each flight (the rest of one message, the commands of the next) with one send.
// The owner hears of every message's end before it hears of the connection's, which is the last
// call; the connection may be destroyed in a later job, not within that call.
//
// Memory while idle: this object with its receive buffer of kReceiveBytes, and what the session
// keeps. A Scratch is borrowed for each message under way, at most three.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "delivery/message.h"
#include "delivery/scratch_pool.h"
#include "io/loop.h"
#include "io/socket_address.h"
#include "mail/render.h"
#include "smtp/client.h"

namespace postring::delivery {

constexpr size_t kReceiveBytes = 1'024;

class Connection;

class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  // The greeting and EHLO went well: it will ask for messages.
  virtual void on_ready(Connection& connection) = 0;
  // The next message to send, now; nullptr where there is none: Connection::wake() when there is.
  // Those strung behind it by `next` go in its transaction: at most smtp::kRecipientsMax in all, of
  // one submitted message whose content is the same for all of them.
  virtual Message* next_message(Connection& connection) = 0;
  // Asked before a content leaves, where holds_contents says so: true where it must not yet. Then
  // Connection::go_on() when it may have become false.
  virtual bool stands_still(const Message&) { return false; }
  bool holds_contents = false;
  // The message is the owner's again.
  virtual void on_result(Connection& connection, Message* message,
                         const smtp::RecipientResult& result, const Reply& reply) = 0;
  virtual void on_end(Connection& connection, const smtp::SessionEnd& end) = 0;
};

// What was said, for people: lines of "> ", "< " and "* ".
using Transcript = std::vector<std::string>;

struct ConnectionSetup {
  SocketAddress target;
  std::string host;  // of the target, by name
  IpAddress source;  // family none: the system chooses
  smtp::SessionOptions session;
  uint32_t messages_max = 1;  // then QUIT
  Duration connect_timeout;
  Duration idle_timeout;
  bool plain = false;  // takes what must go plainly, and nothing else
  const mail::VerpKey* verp_key = nullptr;
  std::string_view message_id_domain;  // outlives the connection
  Transcript* transcript = nullptr;    // likewise
};

class Connection {
 public:
  Connection(Loop& loop, ScratchPool& scratches, ConnectionOwner& owner, ConnectionSetup setup);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Begins to connect. The error is an errno of making the socket (EMFILE, EADDRNOTAVAIL, ...);
  // then nothing has begun and the owner hears nothing.
  Result<void, int> open();

  // There may be a message for it.
  void wake();
  // A content that stood still may leave. One that stands still for longer than the peer would wait
  // for a message is taken back.
  void go_on();
  // QUIT when what it has is done.
  void finish();
  // Takes back what has not sent its content, waits for the reply to what has, quits.
  void stop();
  // Ends it at once: what was sent and not answered is ambiguous.
  void abandon();

  const ConnectionSetup& setup() const { return setup_; }
  bool ready() const { return ready_; }
  // Asked for a message in vain and has none under way.
  bool idle() const { return idle_; }
  bool ending() const { return ending_; }
  uint32_t messages_done() const { return messages_done_; }
  // Of these, the ones the peer itself judged, and not by closing.
  uint32_t messages_answered() const { return messages_answered_; }
  // Had nothing under way when it ended.
  bool idle_before_end() const { return idle_before_end_; }
  const std::string& remote_address() const { return remote_address_; }
  const smtp::Peer* peer() const { return client_ ? &client_->peer() : nullptr; }

 private:
  // A transaction, until the last of its messages has ended and its bytes have left.
  struct Slot {
    std::vector<Message*> messages;  // by their place in the envelope; null: ended
    size_t open = 0;                 // of these, not ended
    ContentRef content;              // outlives the messages: its bytes may be on their way
    std::unique_ptr<mail::Scratch> scratch;
    mail::Rendered rendered;
    mail::Form form = mail::Form::dot_stuffed;
    bool used = false;
    bool flying = false;  // its pieces belong to the send under way
  };

  void on_connected(int32_t result);
  void on_received(int32_t result);
  void on_sent(int32_t result);
  void on_timer();

  void pump();
  bool content_stands_still();
  void take_results();
  bool offer_message();
  void take_messages(Slot& slot, Message* first);
  mail::RenderInput input_of(const Slot& slot) const;
  void render_slot(Slot& slot, mail::Form form);
  void release(Slot& slot);
  void send_flight();
  void send_pieces();
  void receive();
  void set_timer(Instant deadline);
  void watch_time();
  void lose(int error_number);
  void begin_close(const smtp::SessionEnd& end);
  // An operation ended though its connection was closing.
  void close_late(int32_t result);
  void close_when_quiet();
  void note(std::string line);
  void note_lines(const char* mark, std::string_view bytes);

  Loop& loop_;
  ScratchPool& scratches_;
  ConnectionOwner& owner_;
  ConnectionSetup setup_;
  std::optional<smtp::Client> client_;
  smtp::SessionEnd end_;
  int socket_ = -1;

  Completion connect_;
  Completion send_;
  Completion receive_;
  Timer timer_;
  Instant deadline_;
  uint64_t progress_ = UINT64_MAX;

  std::array<Slot, 3> slots_;
  std::vector<iovec> pieces_;  // of the flight being sent
  size_t pieces_sent_ = 0;     // whole ones
  uint64_t flight_bytes_ = 0;
  uint64_t flight_sent_bytes_ = 0;
  uint64_t content_ends_at_bytes_ = 0;  // of the flight

  uint32_t messages_done_ = 0;
  uint32_t messages_answered_ = 0;
  uint32_t messages_taken_ = 0;
  bool sending_ = false;
  bool ready_ = false;
  bool idle_ = false;
  bool ending_ = false;
  bool closing_ = false;
  bool pumping_ = false;
  bool waits_ = false;  // with a content that stands still
  bool idle_before_end_ = false;
  std::string remote_address_;
  std::array<std::byte, kReceiveBytes> buffer_;
};

}  // namespace postring::delivery
