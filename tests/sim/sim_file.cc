// The file seam on the simulated disk. Each step that a real system takes apart is one here too:
// the process may end between any two (Machine::file_operation).
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "io/file.h"
#include "sim/machine.h"

namespace postring {

using sim::Disk;
using sim::InodePtr;
using sim::Machine;
using sim::machine;
using sim::OpenFile;

namespace {

Disk& disk() { return *machine().disk; }

Disk& changing_disk() {
  machine().file_operation();
  return *machine().disk;
}

InodePtr inode_of(int file) {
  auto* open = machine().find<OpenFile>(file);
  CHECK(open != nullptr, "no file is open with this descriptor");
  return open->inode;
}

bool has_space(sim::Inode& inode, uint64_t size) {
  bool has = disk().allocate(inode, size);
  if (!has) machine().faults.count(sim::Fault::no_space);
  return has;
}

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

Result<int, int> open_file(const std::string& path, OpenMode mode) {
  InodePtr inode = disk().find(path);
  bool may_create = mode == OpenMode::create || mode == OpenMode::create_or_open;
  if (inode != nullptr && mode == OpenMode::create) return std::unexpected(EEXIST);
  if (inode == nullptr) {
    if (!may_create) return std::unexpected(ENOENT);
    auto created = changing_disk().create(path);
    if (!created) return std::unexpected(created.error());
    inode = *created;
  }
  return machine().open(OpenFile{inode, path});
}

Result<uint64_t, int> file_size(int file) { return inode_of(file)->size(); }

Result<void, int> resize_file(int file, uint64_t size) {
  machine().file_operation();
  inode_of(file)->resize(size);
  return {};
}

Result<void, int> preallocate_file(int file, uint64_t size) {
  machine().file_operation();
  InodePtr inode = inode_of(file);
  if (!has_space(*inode, size)) return std::unexpected(ENOSPC);
  inode->zero_fill(size);
  return {};
}

Result<void, int> reserve_file(int file, uint64_t size) {
  machine().file_operation();
  InodePtr inode = inode_of(file);
  if (!has_space(*inode, size)) return std::unexpected(ENOSPC);
  if (inode->size() < size) inode->resize(size);
  return {};
}

Result<void, int> make_folder(const std::string& path) { return changing_disk().make_folder(path); }

Result<std::vector<std::string>, int> list_folder(const std::string& path) {
  if (!disk().is_folder(path)) return std::unexpected(ENOENT);
  return disk().list(path);
}

Result<void, int> remove_file(const std::string& path) { return changing_disk().remove(path); }

Result<void, int> rename_file(const std::string& from, const std::string& to) {
  return changing_disk().rename(from, to);
}

Result<void, int> sync_folder(const std::string& path) {
  bool slash = path.size() > 1 && path.ends_with('/');
  return changing_disk().sync_folder(slash ? path.substr(0, path.size() - 1) : path);
}

bool file_exists(const std::string& path) {
  return disk().find(path) != nullptr || disk().is_folder(path);
}

Result<uint64_t, int> free_space(const std::string&) { return disk().free_bytes(); }

// One process at a time runs here.
Result<bool, int> lock_file(int) { return true; }

Result<std::string, int> read_whole_file(const std::string& path, uint64_t size_max) {
  InodePtr inode = disk().find(path);
  if (inode == nullptr) return std::unexpected(ENOENT);
  if (inode->size() > size_max) return std::unexpected(EFBIG);
  std::string bytes(inode->size(), '\0');
  inode->read(std::as_writable_bytes(std::span(bytes)), 0);
  return bytes;
}

Result<void, int> write_whole_file(const std::string& path, std::string_view bytes, unsigned) {
  std::string beside = path + ".new";
  InodePtr inode = disk().find(beside);
  if (inode == nullptr) {
    auto created = changing_disk().create(beside);
    if (!created) return std::unexpected(created.error());
    inode = *created;
  }
  inode->resize(0);
  machine().file_operation();
  if (!has_space(*inode, bytes.size())) return std::unexpected(ENOSPC);
  inode->write(std::as_bytes(std::span(bytes)), 0);
  machine().file_operation();
  inode->sync_now();
  if (auto renamed = rename_file(beside, path); !renamed) return renamed;
  return sync_folder(folder_of(path));
}

Result<size_t, int> read_at(int file, std::span<std::byte> buffer, uint64_t offset) {
  return inode_of(file)->read(buffer, offset);
}

Result<void, int> make_durable(int file, uint64_t begin, uint64_t end) {
  InodePtr inode = inode_of(file);
  CHECK(inode->size() >= end);
  machine().file_operation();
  std::vector<std::byte> bytes(end - begin);
  inode->read(bytes, begin);
  inode->write(bytes, begin);
  machine().file_operation();
  inode->sync_now();
  return {};
}

Result<FileMap, int> FileMap::map(int file, uint64_t size) {
  FileMap map;
  if (size == 0) return map;
  InodePtr inode = inode_of(file);
  CHECK(inode->size() >= size);
  inode->map();
  map.data_ = inode->bytes();
  map.size_ = size;
  return map;
}

FileMap::FileMap(FileMap&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

FileMap& FileMap::operator=(FileMap&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

FileMap::~FileMap() = default;

}  // namespace postring
