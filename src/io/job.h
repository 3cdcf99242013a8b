// Job: something to do once, later, elsewhere: what travels through mailboxes and offload.
#pragma once

#include <functional>

namespace postring {

using Job = std::move_only_function<void()>;

}  // namespace postring
