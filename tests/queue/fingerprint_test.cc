#include "queue/fingerprint.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace postring::queue {
namespace {

FingerprintKey reference_key() {
  FingerprintKey key;
  uint8_t bytes[16];
  for (uint8_t i = 0; i < 16; ++i) bytes[i] = i;
  std::memcpy(key.words.data(), bytes, 16);
  return key;
}

std::string bytes_up_to(size_t count) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i) bytes += static_cast<char>(i);
  return bytes;
}

std::string output(const Fingerprint& fingerprint) {
  std::string bytes(16, 0);
  std::memcpy(bytes.data(), &fingerprint.low, 8);
  std::memcpy(bytes.data() + 8, &fingerprint.high, 8);
  return bytes;
}

// The first and second vectors of the authors' reference (vectors_sip128).
TEST(Fingerprint, MatchesTheReference) {
  const uint8_t empty[] = {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6,
                           0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93};
  const uint8_t one[] = {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44,
                         0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45};
  EXPECT_EQ(output(siphash128(reference_key(), "")),
            std::string(reinterpret_cast<const char*>(empty), 16));
  EXPECT_EQ(output(siphash128(reference_key(), bytes_up_to(1))),
            std::string(reinterpret_cast<const char*>(one), 16));
}

TEST(Fingerprint, ARefGoesBeforeTheAddressAndIsNoAddress) {
  FingerprintKey key = reference_key();
  EXPECT_EQ(fingerprint_of(key, "r1", "a@x.test"), fingerprint_of(key, "r1", "b@x.test"));
  EXPECT_NE(fingerprint_of(key, "", "a@x.test"), fingerprint_of(key, "", "b@x.test"));
  EXPECT_NE(fingerprint_of(key, "a@x.test", "z@x.test"), fingerprint_of(key, "", "a@x.test"));
}

}  // namespace
}  // namespace postring::queue
