#include "spool/disk_space.h"

#include <cerrno>

#include "io/file.h"
#include "io/socket.h"

namespace postring::spool {

bool is_disk_full(int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; }

Result<void, int> reserve_space(const std::string& path, uint64_t size) {
  auto file = open_file(path, OpenMode::create_or_open);
  if (!file) return std::unexpected(file.error());
  auto reserved = reserve_file(*file, size);
  close_descriptor(*file);
  // What there is of it would only keep the disk full.
  if (!reserved) (void)remove_file(path);
  return reserved;
}

}  // namespace postring::spool
