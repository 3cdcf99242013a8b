// `postring spool inspect|verify`: reading a spool offline.
#pragma once

#include <string>

namespace postring::cli {

int inspect_spool(const std::string& dir, bool json);
int verify_spool(const std::string& dir, bool json);

}  // namespace postring::cli
