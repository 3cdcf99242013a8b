// One conversation as a mail host holds it: bytes in, bytes out, no I/O and no clock.
//
// The server calls `start` once, then `receive` with what came, as often as something came, and
// writes `output()`. `receive` says how many bytes it took; it stops early while the session waits:
// `wait()` tells for how long, and `resume` goes on afterwards. `ending()` says how the connection
// has to end once the output is written.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dot_finder.h"
#include "grammar.h"
#include "ledger.h"
#include "world.h"

namespace mxsim {

enum class Ending : uint8_t { kNone, kClose, kReset };

// What all sessions of a worker share.
struct Site {
  World* world = nullptr;
  Ledger* ledger = nullptr;  // null: count only, look at nothing closely
  Counters* counters = nullptr;
  std::shared_ptr<const Rules> rules;
  bool keep_bodies = false;
};

class Session {
 public:
  // `host` is the address the client connected to, `client` its own; `number` counts the host's
  // connections from 0.
  Session(Site& site, uint32_t host, uint32_t client, uint64_t number);

  void start();
  // True until the banner is said; who talks now talks too early.
  bool before_greeting() const { return !banner_said_; }
  void talked_early() { violate("talked_before_greeting", ""); }
  size_t receive(const char* bytes, size_t size);
  void resume();

  static constexpr uint32_t kForever = UINT32_MAX;
  bool waiting() const { return wait_ms_ != 0; }
  uint32_t wait_ms() const { return wait_ms_; }
  std::string& output() { return output_; }
  Ending ending() const { return ending_; }
  uint64_t messages() const { return messages_; }
  const Behaviour& behaviour() const { return site_.rules->behaviour(rule_); }
  // Bytes of a chunk that nobody looks at: the server may throw them away unread.
  uint64_t skippable() const;
  void skip(uint64_t size);

 private:
  enum class State : uint8_t { kCommands, kData, kChunk };
  struct Recipient {
    std::string address;
    uint32_t attempt = 0;
  };

  void command(std::string_view line, size_t behind);
  void helo(std::string_view line, bool extended);
  void mail(std::string_view line);
  void rcpt(std::string_view line);
  void data(size_t behind);
  void bdat(std::string_view line);
  void reset_transaction();
  void chunk_done();
  void message_done(bool with_data);
  void account(bool accepted, bool reply_lost, const Hash& hash, const Received& received);
  size_t take_body(const char* bytes, size_t size);

  bool has_mischief(Stage stage) const;
  // Drops, hangs or garbles at this stage if it is to be; true when the proper reply must not
  // follow.
  bool misbehave(Stage stage, std::string_view whom, uint64_t attempt);
  bool refuse(Stage stage, const Behaviour& behaviour, std::string_view whom, uint64_t attempt);
  void reply(Stage stage, std::string_view text);
  void send_garbage();
  void violate(std::string_view name, std::string_view example);
  const Behaviour& behaviour_of(std::string_view recipient) const;
  const Recipient& first() const;
  static std::string domain_of(std::string_view recipient);

  Site& site_;
  uint32_t rule_ = kNoRule;
  bool by_recipient_ = false;  // something here is decided by the recipient
  uint32_t host_ = 0;
  uint32_t client_ = 0;
  uint64_t number_ = 0;

  std::string output_;
  std::string delayed_;
  uint32_t wait_ms_ = 0;
  Ending ending_ = Ending::kNone;

  State state_ = State::kCommands;
  bool banner_said_ = false;
  bool greeted_ = false;
  bool in_transaction_ = false;
  bool chunked_ = false;
  bool chunk_last_ = false;
  bool chunk_refused_ = false;
  uint64_t chunk_left_ = 0;
  DotFinder dots_;
  MailCommand mail_;
  uint32_t mail_attempt_ = 0;
  std::vector<Recipient> recipients_;
  uint32_t recipient_count_ = 0;
  uint64_t body_size_ = 0;
  std::string body_;
  uint64_t messages_ = 0;
};

}  // namespace mxsim
