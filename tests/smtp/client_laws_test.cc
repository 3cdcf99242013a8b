#include "client_laws.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace postring::smtp {
namespace {

TEST(ClientLaws, HoldAgainstRandomEvents) {
  Random random(20'260'101);
  for (int round = 0; round < 20'000; ++round) {
    std::string input(1 + random.below(200), '\0');
    for (char& c : input) c = static_cast<char>(random.below(256));
    ClientLaws(input).run();
  }
}

}  // namespace
}  // namespace postring::smtp
