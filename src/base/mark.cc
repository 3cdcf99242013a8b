#include "base/mark.h"

namespace postring {

void mark(Mark) {}

}  // namespace postring
