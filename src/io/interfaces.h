// The addresses of this machine's interfaces, and its name.
#pragma once

#include <string>
#include <vector>

#include "io/socket_address.h"

namespace postring {

std::vector<IpAddress> own_addresses();

// The machine's host name as it is set; "localhost" where there is none.
std::string machine_name();

}  // namespace postring
