// RecordCache: what DNS said, by name and type, until its time is over and a while longer.
//
// An expired answer stays findable, marked as not fresh, for when DNS does not answer (RFC 8767). A
// failure is remembered beside it, so that it is not asked for again at once. Bounded by entries
// and bytes; what was not used for longest goes first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/hash.h"
#include "base/units.h"
#include "dns/message.h"

namespace postring::dns {

class RecordCache {
 public:
  struct Entry {
    RecordSetPtr set;               // null: only failures so far
    Instant expires_at;             // of `set`
    Instant failed_until;           // not to be asked before
    const char* failure = nullptr;  // why it failed last
  };

  RecordCache(size_t records_max, size_t bytes_max);

  // nullptr: nothing is known. Valid until the next store or erase.
  const Entry* find(std::string_view name, RecordType type);
  void store(std::string_view name, RecordType type, RecordSetPtr set, Instant expires_at);
  // Keeps the set that is there. `failure` is a constant text.
  void store_failure(std::string_view name, RecordType type, const char* failure,
                     Instant failed_until);
  bool erase(std::string_view name, RecordType type);
  void limit(size_t records_max, size_t bytes_max);

  size_t records() const { return entries_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  struct Node {
    std::string key;
    Entry entry;
    size_t bytes = 0;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view key) const { return hash64(key); }
  };
  using Nodes = std::list<Node>;

  static std::string key_of(std::string_view name, RecordType type);
  Node& node_of(std::string_view name, RecordType type);
  void account(Node& node);
  void shrink();

  size_t records_max_;
  size_t bytes_max_;
  size_t bytes_ = 0;
  Nodes nodes_;  // the one used last first
  std::unordered_map<std::string, Nodes::iterator, Hash, std::equal_to<>> entries_;
};

}  // namespace postring::dns
