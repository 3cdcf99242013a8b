// What segments of slices and of events have in common about the disk's space. Blocking, for
// offload.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace postring::spool {

// Whether the errno says that the disk takes no more.
bool is_disk_full(int error);

// A file of `size` bytes whose space is its own and that is not written; or an errno, and no file.
Result<void, int> reserve_space(const std::string& path, uint64_t size);

}  // namespace postring::spool
