// The SMTP client: its laws against any order of events (tests/smtp/client_laws.h).
#include <cstddef>
#include <cstdint>

#include "../smtp/client_laws.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  postring::smtp::ClientLaws(std::string_view(reinterpret_cast<const char*>(data), size)).run();
  return 0;
}
