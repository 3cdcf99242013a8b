#include "ledger.h"

#include <arpa/inet.h>

#include <chrono>
#include <cstdio>
#include <fstream>

#include "choice.h"

namespace mxsim {

std::string to_hex(const Hash& hash) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (uint8_t byte : hash) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

int64_t wall_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 32 || c == 127) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string entry_json(std::string_view recipient, const Entry& entry) {
  char source[INET_ADDRSTRLEN] = "";
  in_addr address{htonl(entry.source)};
  inet_ntop(AF_INET, &address, source, sizeof source);
  auto number = [](const char* name, auto value) {
    return std::string(",\"") + name + "\":" + std::to_string(value);
  };
  std::string out = "{\"recipient\":" + json_string(recipient);
  out += number("attempts", entry.attempts) + number("accepted", entry.accepted);
  out += number("reply_lost", entry.reply_lost) + number("refused_4xx", entry.refused_4xx);
  out += number("refused_5xx", entry.refused_5xx) + number("bodies", entry.bodies);
  out += std::string(",\"bytes_changed\":") + (entry.bytes_changed ? "true" : "false");
  out += ",\"sha256\":\"" + (entry.bodies > 0 ? to_hex(entry.hash) : "") + '"';
  out += number("first_ms", entry.first_ms) + number("last_ms", entry.last_ms);
  out += number("accepted_ms", entry.accepted_ms);
  out += ",\"source\":\"" + std::string(source) + '"';
  out += ",\"message_id\":" + json_string(entry.message_id);
  out += ",\"sender\":" + json_string(entry.sender) + '}';
  return out;
}

Ledger::Shard& Ledger::shard_of(std::string_view recipient) {
  return shards_[mix(fnv1a(recipient)) % shards_.size()];
}

const Ledger::Shard& Ledger::shard_of(std::string_view recipient) const {
  return shards_[mix(fnv1a(recipient)) % shards_.size()];
}

uint32_t Ledger::attempt(std::string_view recipient, uint32_t source) {
  Shard& shard = shard_of(recipient);
  std::lock_guard lock(shard.mutex);
  Entry& entry = shard.entries[std::string(recipient)];
  entry.last_ms = wall_ms();
  if (entry.attempts == 0) entry.first_ms = entry.last_ms;
  entry.source = source;
  return entry.attempts++;
}

void Ledger::refused(std::string_view recipient, bool permanent) {
  Shard& shard = shard_of(recipient);
  std::lock_guard lock(shard.mutex);
  Entry& entry = shard.entries[std::string(recipient)];
  ++(permanent ? entry.refused_5xx : entry.refused_4xx);
}

void Ledger::received(std::string_view recipient, const Delivery& delivery) {
  Shard& shard = shard_of(recipient);
  std::lock_guard lock(shard.mutex);
  Entry& entry = shard.entries[std::string(recipient)];
  if (entry.bodies++ > 0 && entry.hash != *delivery.hash) entry.bytes_changed = true;
  entry.hash = *delivery.hash;
  entry.message_id = delivery.message_id;
  entry.sender = delivery.sender;
  entry.body = delivery.body;
  entry.source = delivery.source;
  entry.last_ms = wall_ms();
  if (delivery.accepted && entry.accepted++ == 0) entry.accepted_ms = entry.last_ms;
  if (delivery.reply_lost) ++entry.reply_lost;
}

void Ledger::violated(std::string_view name, std::string_view example) {
  std::lock_guard lock(violations_mutex_);
  Violation& violation = violations_[std::string(name)];
  if (violation.count++ == 0) violation.example = example.substr(0, 200);
}

std::optional<Entry> Ledger::find(std::string_view recipient) const {
  const Shard& shard = shard_of(recipient);
  std::lock_guard lock(shard.mutex);
  auto entry = shard.entries.find(std::string(recipient));
  if (entry == shard.entries.end()) return std::nullopt;
  return entry->second;
}

Totals Ledger::totals() const {
  Totals totals;
  for (const Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    for (const auto& [recipient, entry] : shard.entries) {
      ++totals.recipients;
      if (entry.accepted > 0) ++totals.reached;
      totals.accepted += entry.accepted;
      totals.reply_lost += entry.reply_lost;
      if (entry.accepted > 1) {
        ++totals.duplicated;
        uint32_t explained = 1 + entry.reply_lost;
        if (entry.accepted > explained) totals.unexplained += entry.accepted - explained;
      }
      if (entry.bytes_changed) ++totals.bytes_changed;
    }
  }
  return totals;
}

std::map<std::string, Violation> Ledger::violations() const {
  std::lock_guard lock(violations_mutex_);
  return violations_;
}

bool Ledger::dump(const std::string& path) const {
  std::ofstream file(path, std::ios::trunc);
  for (const Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    for (const auto& [recipient, entry] : shard.entries)
      file << entry_json(recipient, entry) << '\n';
  }
  file.close();
  return !file.fail();
}

void Ledger::reset() {
  for (Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    shard.entries.clear();
  }
  std::lock_guard lock(violations_mutex_);
  violations_.clear();
}

}  // namespace mxsim
