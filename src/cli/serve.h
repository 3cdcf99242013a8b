// `postring serve`: the daemon, from a configuration file.
#pragma once

#include <string>

namespace postring::cli {

// Returns when it has stopped; the exit status.
int serve(const std::string& config_file);

}  // namespace postring::cli
