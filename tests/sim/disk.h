// Disk: a filesystem in memory that knows what of it is durable.
//
// Writes go to pages that remember what they held when they were last durable. A power cut decides
// for each page that was written since its last sync, independently: old, new, or torn at 512
// bytes; likewise for the length of each file, and for the names in each folder up to some change
// that was not synced. Folders themselves are durable when made.
//
// A failed sync leaves its pages not durable until they are written again: a later sync that
// succeeds proves nothing for them, as Linux calls them clean. The end of a process alone loses
// nothing that was written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "sim/faults.h"

namespace postring::sim {

constexpr uint64_t kPageBytes = 4'096;
constexpr uint64_t kSectorBytes = 512;

// A file's bytes, whoever names it.
class Inode {
 public:
  Inode() = default;
  Inode(const Inode&) = delete;
  Inode& operator=(const Inode&) = delete;
  std::shared_ptr<Inode> clone() const;

  uint64_t size() const { return size_; }
  uint64_t allocated() const { return allocated_; }
  // Stays where it is while mapped() is held; a mapped file does not grow.
  const std::byte* bytes() const { return bytes_.get(); }
  void map() { mapped_ = true; }

  size_t read(std::span<std::byte> buffer, uint64_t offset) const;
  // The caller has made sure of the space.
  void write(std::span<const std::byte> bytes, uint64_t offset);
  void resize(uint64_t size);
  void allocate(uint64_t end);
  // Zeros in [0, size), written and durable.
  void zero_fill(uint64_t size);

  // What is dirty in the range now; give it back to end_sync() when the sync is over.
  struct SyncedPage {
    uint64_t page;
    uint64_t version;
    std::vector<std::byte> bytes;
  };
  struct Sync {
    std::vector<SyncedPage> pages;
    uint64_t size = 0;
  };
  Sync begin_sync(uint64_t offset, uint64_t length) const;
  void end_sync(Sync sync, bool ok);
  void sync_now() { end_sync(begin_sync(0, 0), true); }

  void cut_power(Random& random, Faults& faults);
  size_t dirty_pages() const { return dirty_.size(); }
  bool is_clean(uint64_t page) const { return !dirty_.contains(page); }
  // Up to the last byte that is not zero.
  uint64_t content_bytes() const;
  // Behind the back of everybody.
  void flip(uint64_t at, uint8_t bits) { bytes_[at] ^= static_cast<std::byte>(bits); }

 private:
  struct Dirty {
    std::vector<std::byte> durable;  // what the page held when it was last durable
    uint64_t version = 0;            // of the last write
    bool lost = false;               // a sync of it failed, and it was not written again since
  };
  void reserve(uint64_t size);
  void touch(uint64_t page);
  std::span<std::byte> page_at(uint64_t page) {
    return {bytes_.get() + page * kPageBytes, kPageBytes};
  }

  std::unique_ptr<std::byte[]> bytes_;
  uint64_t capacity_ = 0;  // of bytes_, whole pages
  uint64_t size_ = 0;
  uint64_t durable_size_ = 0;
  uint64_t allocated_ = 0;  // space taken on the disk
  uint64_t version_ = 0;
  bool mapped_ = false;
  std::map<uint64_t, Dirty> dirty_;
};

using InodePtr = std::shared_ptr<Inode>;

class Disk {
 public:
  explicit Disk(uint64_t capacity) : capacity_(capacity) {}
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;
  std::unique_ptr<Disk> clone() const;

  InodePtr find(const std::string& path) const;
  // Not there yet; an error is an errno.
  Result<InodePtr, int> create(const std::string& path);
  Result<void, int> remove(const std::string& path);
  Result<void, int> rename(const std::string& from, const std::string& to);
  Result<void, int> make_folder(const std::string& path);
  bool is_folder(const std::string& path) const { return folders_.contains(path); }
  std::vector<std::string> list(const std::string& folder) const;
  Result<void, int> sync_folder(const std::string& path);

  uint64_t free_bytes() const;
  void set_capacity(uint64_t bytes) { capacity_ = bytes; }
  // Makes room for the file up to `end`; false: the disk is full.
  bool allocate(Inode& inode, uint64_t end);

  void cut_power(Random& random, Faults& faults);
  const std::map<std::string, InodePtr>& files() const { return files_; }

 private:
  // A change of names that is not durable yet, with what undoes it.
  struct Change {
    std::string folder;
    std::string from, to;            // create: to; remove: from; rename: both
    InodePtr moved, before;          // what was moved or removed, and what lay at `to`
  };

  uint64_t capacity_;
  std::map<std::string, InodePtr> files_;
  std::set<std::string> folders_;
  std::vector<Change> changes_;
};

}  // namespace postring::sim
