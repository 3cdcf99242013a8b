#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "io/file.h"

namespace postring {
namespace {

Result<void, int> outcome_of(int result) {
  if (result == 0) return {};
  return std::unexpected(errno);
}

// Closes when it goes out of scope.
struct Descriptor {
  explicit Descriptor(int descriptor) : fd(descriptor) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
  int fd;
};

Result<void, int> write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t count = write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(errno);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

std::string folder_of(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<void, int> write_new_file(const std::string& path, std::string_view bytes, unsigned mode) {
  Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (file.fd < 0) return std::unexpected(errno);
  if (auto written = write_all(file.fd, bytes); !written) return written;
  if (fsync(file.fd) != 0) return std::unexpected(errno);
  return {};
}

}  // namespace

Result<int, int> open_file(const std::string& path, OpenMode mode) {
  int flags = O_CLOEXEC;
  switch (mode) {
    case OpenMode::read:
      flags |= O_RDONLY;
      break;
    case OpenMode::read_write:
      flags |= O_RDWR;
      break;
    case OpenMode::create:
      flags |= O_RDWR | O_CREAT | O_EXCL;
      break;
    case OpenMode::create_or_open:
      flags |= O_RDWR | O_CREAT;
      break;
  }
  int fd = open(path.c_str(), flags, 0600);
  if (fd < 0) return std::unexpected(errno);
  return fd;
}

Result<uint64_t, int> file_size(int file) {
  struct stat status {};
  if (fstat(file, &status) != 0) return std::unexpected(errno);
  return static_cast<uint64_t>(status.st_size);
}

Result<void, int> resize_file(int file, uint64_t size) {
  return outcome_of(ftruncate(file, static_cast<off_t>(size)));
}

Result<void, int> preallocate_file(int file, uint64_t size) {
  if (int error = posix_fallocate(file, 0, static_cast<off_t>(size)); error != 0) {
    return std::unexpected(error);
  }
  // Unwritten extents are converted here, off the worker, and not at every commit. Small writes
  // keep the page cache in small folios, which a later sync writes back far more cheaply.
  static constexpr char kZeros[4'096] = {};
  for (uint64_t at = 0; at < size;) {
    size_t count = static_cast<size_t>(std::min<uint64_t>(sizeof(kZeros), size - at));
    ssize_t written = pwrite(file, kZeros, count, static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return std::unexpected(errno);
    at += static_cast<uint64_t>(written);
  }
  return outcome_of(fsync(file));
}

Result<void, int> reserve_file(int file, uint64_t size) {
  int error = posix_fallocate(file, 0, static_cast<off_t>(size));
  if (error != 0) return std::unexpected(error);
  return {};
}

Result<void, int> make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return std::unexpected(error.value());
  return {};
}

Result<std::vector<std::string>, int> list_folder(const std::string& path) {
  DIR* folder = opendir(path.c_str());
  if (folder == nullptr) return std::unexpected(errno);
  std::vector<std::string> names;
  while (const dirent* entry = readdir(folder)) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  closedir(folder);
  std::sort(names.begin(), names.end());
  return names;
}

Result<void, int> remove_file(const std::string& path) {
  return outcome_of(::remove(path.c_str()));
}

Result<void, int> rename_file(const std::string& from, const std::string& to) {
  return outcome_of(rename(from.c_str(), to.c_str()));
}

Result<void, int> sync_folder(const std::string& path) {
  Descriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.fd < 0) return std::unexpected(errno);
  return outcome_of(fsync(folder.fd));
}

bool file_exists(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

Result<uint64_t, int> free_space(const std::string& path) {
  struct statvfs status {};
  if (statvfs(path.c_str(), &status) != 0) return std::unexpected(errno);
  return static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
}

Result<bool, int> lock_file(int file) {
  if (flock(file, LOCK_EX | LOCK_NB) == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  return std::unexpected(errno);
}

Result<std::string, int> read_whole_file(const std::string& path, uint64_t size_max) {
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0) return std::unexpected(errno);
  std::string bytes;
  char buffer[65'536];
  for (;;) {
    ssize_t count = read(file.fd, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(errno);
    if (count == 0) return bytes;
    bytes.append(buffer, static_cast<size_t>(count));
    if (bytes.size() > size_max) return std::unexpected(EFBIG);
  }
}

Result<void, int> write_whole_file(const std::string& path, std::string_view bytes, unsigned mode) {
  std::string beside = path + ".new";
  auto done = write_new_file(beside, bytes, mode);
  if (done) done = rename_file(beside, path);
  if (done) return sync_folder(folder_of(path));
  // What there is of it would only take room.
  (void)unlink(beside.c_str());
  return done;
}

Result<size_t, int> read_at(int file, std::span<std::byte> buffer, uint64_t offset) {
  size_t got = 0;
  while (got < buffer.size()) {
    ssize_t count =
        pread(file, buffer.data() + got, buffer.size() - got, static_cast<off_t>(offset + got));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(errno);
    if (count == 0) break;
    got += static_cast<size_t>(count);
  }
  return got;
}

Result<void, int> make_durable(int file, uint64_t begin, uint64_t end) {
  std::vector<std::byte> buffer(std::min<uint64_t>(end - begin, 256 * 1'024));
  while (begin < end) {
    auto piece = std::span(buffer).first(std::min<uint64_t>(end - begin, buffer.size()));
    auto got = read_at(file, piece, begin);
    if (!got) return std::unexpected(got.error());
    if (*got < piece.size()) return std::unexpected(EIO);
    for (size_t done = 0; done < piece.size();) {
      ssize_t count = pwrite(file, piece.data() + done, piece.size() - done,
                             static_cast<off_t>(begin + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return std::unexpected(errno);
      done += static_cast<size_t>(count);
    }
    begin += piece.size();
  }
  return outcome_of(fsync(file));
}

Result<FileMap, int> FileMap::map(int file, uint64_t size) {
  FileMap map;
  if (size == 0) return map;
  void* data = mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
  if (data == MAP_FAILED) return std::unexpected(errno);
  map.data_ = static_cast<const std::byte*>(data);
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

FileMap::~FileMap() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace postring
