// `postring check config` and `postring help config`.
#pragma once

#include <string>

namespace postring::cli {

// Prints every mistake, or what the file says with the defaults; the exit status.
int check_config(const std::string& file, bool json);

}  // namespace postring::cli
