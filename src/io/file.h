// The file seam (design word: region): segment files and what is around them.
//
// What blocks for long (preallocation) belongs into offload; reads, writes and syncs go through the
// ring. Errors are errno values. Nothing here is durable by itself: sync the file through the ring
// and its folder with sync_folder().
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace postring {

enum class OpenMode : uint8_t {
  read,           // must exist
  read_write,     // must exist
  create,         // must not exist; read and write
  create_or_open  // read and write
};

Result<int, int> open_file(const std::string& path, OpenMode mode);
Result<uint64_t, int> file_size(int file);
// Cuts or extends (with zeros, no space reserved).
Result<void, int> resize_file(int file, uint64_t size);
// Reserves space for [0, size) and fills it with zeros: later writes cannot meet a full disk.
// Blocks: call it in offload.
Result<void, int> preallocate_file(int file, uint64_t size);

Result<void, int> make_folder(const std::string& path);  // with its parents; exists: fine
Result<std::vector<std::string>, int> list_folder(const std::string& path);  // names, sorted
Result<void, int> remove_file(const std::string& path);
Result<void, int> rename_file(const std::string& from, const std::string& to);
Result<void, int> sync_folder(const std::string& path);
bool file_exists(const std::string& path);
// Bytes free to us on the path's filesystem.
Result<uint64_t, int> free_space(const std::string& path);
// An exclusive lock on the file that ends with the process; false where another holds it.
Result<bool, int> lock_file(int file);

// Reserves space for [0, size) and writes nothing: preallocate_file() on it cannot meet a full
// disk. May block.
Result<void, int> reserve_file(int file, uint64_t size);

// Whole small files (configuration, contents, keys). Blocks.
Result<std::string, int> read_whole_file(const std::string& path, uint64_t size_max);
// Written beside, synced, renamed over, folder synced: after success it is durable.
Result<void, int> write_whole_file(const std::string& path, std::string_view bytes, unsigned mode);
// Blocking positioned read, for recovery and offline tools: the bytes read (fewer only at the end).
Result<size_t, int> read_at(int file, std::span<std::byte> buffer, uint64_t offset);

// Makes the bytes in [begin, end) durable whatever became of earlier syncs: they are written once
// more and synced. After a sync that failed, pages count as clean though the disk may not hold
// them, and another sync does nothing for them. Blocks.
Result<void, int> make_durable(int file, uint64_t begin, uint64_t end);

// FileMap: a file mapped for reading. What is written through the ring shows in it at once.
// Touching a
// page that is not in memory blocks the worker: map what was just written, read the rest through
// the ring.
class FileMap {
 public:
  FileMap() = default;
  static Result<FileMap, int> map(int file, uint64_t size);
  FileMap(FileMap&& other) noexcept;
  FileMap& operator=(FileMap&& other) noexcept;
  ~FileMap();

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace postring
