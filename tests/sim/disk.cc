#include "sim/disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace postring::sim {
namespace {

uint64_t pages_of(uint64_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes; }

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

// ---- a file ------------------------------------------------------------------------------------

std::shared_ptr<Inode> Inode::clone() const {
  auto copy = std::make_shared<Inode>();
  copy->reserve(capacity_);
  if (capacity_ > 0) std::memcpy(copy->bytes_.get(), bytes_.get(), capacity_);
  copy->size_ = size_;
  copy->durable_size_ = durable_size_;
  copy->allocated_ = allocated_;
  copy->version_ = version_;
  copy->dirty_ = dirty_;
  return copy;
}

void Inode::reserve(uint64_t size) {
  uint64_t wanted = pages_of(size) * kPageBytes;
  if (wanted <= capacity_) return;
  CHECK(!mapped_, "a mapped file grows");
  if (capacity_ > 0) wanted = std::max(wanted, 2 * capacity_);
  auto bytes = std::make_unique<std::byte[]>(wanted);
  if (capacity_ > 0) std::memcpy(bytes.get(), bytes_.get(), capacity_);
  bytes_ = std::move(bytes);
  capacity_ = wanted;
}

size_t Inode::read(std::span<std::byte> buffer, uint64_t offset) const {
  if (offset >= size_) return 0;
  size_t count = static_cast<size_t>(std::min<uint64_t>(buffer.size(), size_ - offset));
  std::memcpy(buffer.data(), bytes_.get() + offset, count);
  return count;
}

uint64_t Inode::content_bytes() const {
  uint64_t end = size_;
  while (end > 0 && bytes_[end - 1] == std::byte{}) --end;
  return end;
}

void Inode::touch(uint64_t page) {
  Dirty& dirty = dirty_[page];
  if (dirty.durable.empty()) {
    std::span<std::byte> bytes = page_at(page);
    dirty.durable.assign(bytes.begin(), bytes.end());
  }
  dirty.version = ++version_;
  dirty.lost = false;
}

void Inode::write(std::span<const std::byte> bytes, uint64_t offset) {
  if (bytes.empty()) return;
  uint64_t end = offset + bytes.size();
  reserve(end);
  for (uint64_t page = offset / kPageBytes; page < pages_of(end); ++page) touch(page);
  std::memcpy(bytes_.get() + offset, bytes.data(), bytes.size());
  size_ = std::max(size_, end);
  allocate(end);
}

void Inode::resize(uint64_t size) {
  reserve(size);
  if (size < size_) {
    for (uint64_t page = size / kPageBytes; page < pages_of(size_); ++page) touch(page);
    std::memset(bytes_.get() + size, 0, size_ - size);
    allocated_ = std::min(allocated_, pages_of(size) * kPageBytes);
  }
  size_ = size;
}

void Inode::allocate(uint64_t end) {
  allocated_ = std::max(allocated_, pages_of(end) * kPageBytes);
}

void Inode::zero_fill(uint64_t size) {
  reserve(size);
  std::memset(bytes_.get(), 0, size);
  size_ = std::max(size_, size);
  durable_size_ = std::max(durable_size_, size);
  allocate(size);
  dirty_.erase(dirty_.begin(), dirty_.lower_bound(pages_of(size)));
}

Inode::Sync Inode::begin_sync(uint64_t offset, uint64_t length) const {
  Sync sync;
  sync.size = size_;
  uint64_t last = length == 0 ? UINT64_MAX : pages_of(offset + length);
  for (auto it = dirty_.lower_bound(offset / kPageBytes); it != dirty_.end() && it->first < last;
       ++it) {
    if (it->second.lost) continue;
    const std::byte* from = bytes_.get() + it->first * kPageBytes;
    sync.pages.push_back({it->first, it->second.version, {from, from + kPageBytes}});
  }
  return sync;
}

void Inode::end_sync(Sync sync, bool ok) {
  for (SyncedPage& synced : sync.pages) {
    auto found = dirty_.find(synced.page);
    if (found == dirty_.end()) continue;
    bool unchanged = found->second.version == synced.version;
    if (!ok && unchanged) found->second.lost = true;
    if (!ok || found->second.lost) continue;
    if (unchanged) {
      dirty_.erase(found);
    } else {
      found->second.durable = std::move(synced.bytes);
    }
  }
  if (ok) durable_size_ = sync.size;
}

void Inode::cut_power(Random& random, Faults& faults) {
  for (auto& [page, dirty] : dirty_) {
    std::span<std::byte> now = page_at(page);
    switch (random.below(3)) {
      case 0:
        break;
      case 1:
        faults.count(Fault::page_old);
        std::copy(dirty.durable.begin(), dirty.durable.end(), now.begin());
        break;
      default:
        faults.count(Fault::page_torn);
        for (uint64_t at = 0; at < kPageBytes; at += kSectorBytes) {
          if (random.chance(1, 2)) std::memcpy(&now[at], &dirty.durable[at], kSectorBytes);
        }
    }
  }
  dirty_.clear();
  if (size_ != durable_size_ && random.chance(1, 2)) {
    faults.count(Fault::size_old);
    reserve(durable_size_);
    size_ = durable_size_;
  }
  if (size_ < capacity_) std::memset(bytes_.get() + size_, 0, capacity_ - size_);
  durable_size_ = size_;
  mapped_ = false;
}

// ---- names -------------------------------------------------------------------------------------

std::unique_ptr<Disk> Disk::clone() const {
  auto copy = std::make_unique<Disk>(capacity_);
  copy->folders_ = folders_;
  copy->changes_ = changes_;
  std::map<const Inode*, InodePtr> copies;
  auto copy_of = [&copies](const InodePtr& inode) -> InodePtr {
    if (inode == nullptr) return nullptr;
    InodePtr& known = copies[inode.get()];
    if (known == nullptr) known = inode->clone();
    return known;
  };
  for (const auto& [path, inode] : files_) copy->files_[path] = copy_of(inode);
  for (Change& change : copy->changes_) {
    change.moved = copy_of(change.moved);
    change.before = copy_of(change.before);
  }
  return copy;
}

InodePtr Disk::find(const std::string& path) const {
  auto found = files_.find(path);
  return found == files_.end() ? nullptr : found->second;
}

Result<InodePtr, int> Disk::create(const std::string& path) {
  if (!folders_.contains(folder_of(path))) return std::unexpected(ENOENT);
  if (files_.contains(path)) return std::unexpected(EEXIST);
  auto inode = std::make_shared<Inode>();
  files_[path] = inode;
  changes_.push_back({folder_of(path), "", path, inode, nullptr});
  return inode;
}

Result<void, int> Disk::remove(const std::string& path) {
  if (folders_.contains(path)) {
    if (!list(path).empty()) return std::unexpected(ENOTEMPTY);
    folders_.erase(path);
    return {};
  }
  auto found = files_.find(path);
  if (found == files_.end()) return std::unexpected(ENOENT);
  changes_.push_back({folder_of(path), path, "", found->second, nullptr});
  files_.erase(found);
  return {};
}

Result<void, int> Disk::rename(const std::string& from, const std::string& to) {
  InodePtr inode = find(from);
  if (inode == nullptr || !folders_.contains(folder_of(to))) return std::unexpected(ENOENT);
  CHECK(folder_of(from) == folder_of(to), "a file moves within its folder");
  changes_.push_back({folder_of(to), from, to, inode, find(to)});
  files_.erase(from);
  files_[to] = inode;
  return {};
}

Result<void, int> Disk::make_folder(const std::string& path) {
  for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    folders_.insert(path.substr(0, at));
  }
  folders_.insert(path);
  return {};
}

std::vector<std::string> Disk::list(const std::string& folder) const {
  std::set<std::string> names;
  std::string prefix = folder + "/";
  auto add = [&](const std::string& path) {
    if (!path.starts_with(prefix)) return;
    std::string name = path.substr(prefix.size());
    if (name.find('/') == std::string::npos) names.insert(name);
  };
  for (const auto& [path, inode] : files_) add(path);
  for (const std::string& path : folders_) add(path);
  return {names.begin(), names.end()};
}

Result<void, int> Disk::sync_folder(const std::string& path) {
  if (!folders_.contains(path)) return std::unexpected(ENOENT);
  std::erase_if(changes_, [&path](const Change& change) { return change.folder == path; });
  return {};
}

// ---- space -------------------------------------------------------------------------------------

uint64_t Disk::free_bytes() const {
  uint64_t used = 0;
  for (const auto& [path, inode] : files_) used += inode->allocated();
  return used >= capacity_ ? 0 : capacity_ - used;
}

bool Disk::allocate(Inode& inode, uint64_t end) {
  uint64_t wanted = pages_of(end) * kPageBytes;
  if (wanted <= inode.allocated()) return true;
  if (wanted - inode.allocated() > free_bytes()) return false;
  inode.allocate(end);
  return true;
}

// ---- the power goes ----------------------------------------------------------------------------

void Disk::cut_power(Random& random, Faults& faults) {
  // The names of each folder end at some change of it.
  std::map<std::string, size_t> count, kept;
  for (const Change& change : changes_) ++count[change.folder];
  for (const auto& [folder, changes] : count) kept[folder] = random.below(changes + 1);
  for (size_t i = changes_.size(); i-- > 0;) {
    Change& change = changes_[i];
    if (count[change.folder]-- <= kept[change.folder]) continue;
    faults.count(Fault::name_undone);
    if (!change.to.empty()) files_.erase(change.to);
    if (change.before != nullptr) files_[change.to] = change.before;
    if (!change.from.empty()) files_[change.from] = change.moved;
  }
  changes_.clear();
  for (auto& [path, inode] : files_) inode->cut_power(random, faults);
}

}  // namespace postring::sim
