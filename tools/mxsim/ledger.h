// What really arrived: per recipient how often, with which bytes, when and from whom.
//
// Safe to use from every worker. Recipients are kept as the client wrote them, the domain in lower
// case.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mxsim {

using Hash = std::array<uint8_t, 32>;
std::string to_hex(const Hash& hash);

// Milliseconds of the wall clock since 1970.
int64_t wall_ms();

struct Entry {
  uint32_t attempts = 0;    // RCPT commands
  uint32_t accepted = 0;    // messages taken, those whose reply was lost on purpose included
  uint32_t reply_lost = 0;  // of these, how many the client cannot know of
  uint32_t refused_4xx = 0;
  uint32_t refused_5xx = 0;
  uint32_t bodies = 0;         // messages seen whole, whatever was answered
  bool bytes_changed = false;  // two bodies differed
  Hash hash{};
  int64_t first_ms = 0;     // of the first attempt
  int64_t accepted_ms = 0;  // when its message was taken for the first time
  int64_t last_ms = 0;
  uint32_t source = 0;  // the client's address
  std::string message_id;
  std::string sender;
  std::string body;
};

struct Delivery {
  const Hash* hash = nullptr;
  std::string_view message_id;
  std::string_view sender;
  std::string_view body;  // empty unless bodies are kept
  uint32_t source = 0;
  bool accepted = false;
  bool reply_lost = false;
};

struct Violation {
  uint64_t count = 0;
  std::string example;
};

struct Totals {
  uint64_t recipients = 0;  // with at least one attempt
  uint64_t reached = 0;     // accepted at least once
  uint64_t accepted = 0;
  uint64_t reply_lost = 0;
  uint64_t duplicated = 0;   // recipients accepted more than once
  uint64_t unexplained = 0;  // acceptances beyond the first and beyond one for each lost reply
  uint64_t bytes_changed = 0;
};

class Ledger {
 public:
  // How many attempts this recipient had before this one.
  uint32_t attempt(std::string_view recipient, uint32_t source);
  void refused(std::string_view recipient, bool permanent);
  void received(std::string_view recipient, const Delivery& delivery);
  void violated(std::string_view name, std::string_view example);

  std::optional<Entry> find(std::string_view recipient) const;
  Totals totals() const;
  std::map<std::string, Violation> violations() const;
  // One JSON object a line, recipients in no order. False when the file cannot be written.
  bool dump(const std::string& path) const;
  void reset();

 private:
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<std::string, Entry> entries;
  };
  Shard& shard_of(std::string_view recipient);
  const Shard& shard_of(std::string_view recipient) const;

  std::array<Shard, 64> shards_;
  mutable std::mutex violations_mutex_;
  std::map<std::string, Violation> violations_;
};

std::string entry_json(std::string_view recipient, const Entry& entry);
// A JSON string with its quotes; bytes that are no ASCII are written as they are.
std::string json_string(std::string_view text);

// Of one worker, written by it alone, read by anybody.
struct alignas(64) Counters {
  using Count = std::atomic<uint64_t>;
  Count connections{0}, closed{0}, refused_connections{0}, mail_commands{0}, messages{0};
  Count recipients{0}, bytes{0}, replies_4xx{0}, replies_5xx{0}, drops{0}, reply_lost{0};
  Count last_mail_ms{0}, last_message_ms{0};
  static void add(Count& count, uint64_t amount = 1) {
    count.store(count.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
};

}  // namespace mxsim
