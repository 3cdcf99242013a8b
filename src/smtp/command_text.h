// What may be said in a command: the guard against addresses that carry a line end, a second
// address or parameters into the conversation. Syntax beyond that is mail/'s business.
#pragma once

#include <string_view>

namespace postring::smtp {

// Not empty, at most kAddressBytesMax bytes, no control bytes, and outside of quotes no space and
// no angle bracket; quotes are closed.
bool is_sayable_address(std::string_view address);

// A domain or an address literal: not empty, at most kEhloNameBytesMax bytes of visible ASCII.
bool is_sayable_name(std::string_view name);

}  // namespace postring::smtp
