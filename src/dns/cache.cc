#include "dns/cache.h"

#include <utility>

namespace postring::dns {

RecordCache::RecordCache(size_t records_max, size_t bytes_max)
    : records_max_(records_max), bytes_max_(bytes_max) {}

std::string RecordCache::key_of(std::string_view name, RecordType type) {
  // The type goes in front: no name can then run into it.
  std::string key;
  key.reserve(name.size() + 2);
  key += static_cast<char>(static_cast<uint16_t>(type) >> 8);
  key += static_cast<char>(static_cast<uint16_t>(type) & 0xff);
  key += name;
  return key;
}

const RecordCache::Entry* RecordCache::find(std::string_view name, RecordType type) {
  auto found = entries_.find(key_of(name, type));
  if (found == entries_.end()) return nullptr;
  nodes_.splice(nodes_.begin(), nodes_, found->second);
  return &found->second->entry;
}

RecordCache::Node& RecordCache::node_of(std::string_view name, RecordType type) {
  std::string key = key_of(name, type);
  auto found = entries_.find(key);
  if (found != entries_.end()) {
    nodes_.splice(nodes_.begin(), nodes_, found->second);
    return nodes_.front();
  }
  nodes_.push_front(Node{.key = key, .entry = {}});
  entries_.emplace(std::move(key), nodes_.begin());
  return nodes_.front();
}

void RecordCache::account(Node& node) {
  // Two copies of the key, a list node, a table slot and node.
  size_t bytes = sizeof(Node) + 2 * node.key.size() + 96;
  if (node.entry.set != nullptr) {
    bytes += sizeof(RecordSet) + node.entry.set->alias.size();
    for (const Record& record : node.entry.set->records)
      bytes += sizeof(Record) + record.name.size() + record.text.size();
  }
  bytes_ += bytes - node.bytes;
  node.bytes = bytes;
}

void RecordCache::store(std::string_view name, RecordType type, RecordSetPtr set,
                        Instant expires_at) {
  Node& node = node_of(name, type);
  node.entry = Entry{};
  node.entry.set = std::move(set);
  node.entry.expires_at = expires_at;
  account(node);
  shrink();
}

void RecordCache::store_failure(std::string_view name, RecordType type, const char* failure,
                                Instant failed_until) {
  Node& node = node_of(name, type);
  node.entry.failed_until = failed_until;
  node.entry.failure = failure;
  account(node);
  shrink();
}

bool RecordCache::erase(std::string_view name, RecordType type) {
  auto found = entries_.find(key_of(name, type));
  if (found == entries_.end()) return false;
  bytes_ -= found->second->bytes;
  nodes_.erase(found->second);
  entries_.erase(found);
  return true;
}

void RecordCache::limit(size_t records_max, size_t bytes_max) {
  records_max_ = records_max;
  bytes_max_ = bytes_max;
  shrink();
}

void RecordCache::shrink() {
  while (!nodes_.empty() && (entries_.size() > records_max_ || bytes_ > bytes_max_)) {
    bytes_ -= nodes_.back().bytes;
    entries_.erase(nodes_.back().key);
    nodes_.pop_back();
  }
}

}  // namespace postring::dns
