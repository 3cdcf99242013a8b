#include <gtest/gtest.h>

#include "base/base64.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/json_writer.h"
#include "base/random.h"
#include "base/time_text.h"

namespace postring {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(Crc32c, KnownValuesAndChaining) {
  // RFC 3720 appendix B.4: 32 bytes of zeros, and of ones.
  EXPECT_EQ(crc32c(bytes_of(std::string(32, '\0'))), 0x8a9136aau);
  EXPECT_EQ(crc32c(bytes_of(std::string(32, '\xff'))), 0x62a8ab43u);
  EXPECT_EQ(crc32c(bytes_of("56789"), crc32c(bytes_of("1234"))), crc32c(bytes_of("123456789")));
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xe3069283u);
}

TEST(Hash, KnownDigests) {
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_NE(hash64("a"), hash64("b"));
  EXPECT_NE(hash64("a", 1), hash64("a", 2));
  EXPECT_NE(hash64(""), hash64(std::string_view("\0", 1)));
}

TEST(Base64, RoundTripsAndRefusesStrayBits) {
  Random random(7);
  for (size_t size = 0; size < 100; ++size) {
    std::string bytes;
    for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(random.next());
    EXPECT_EQ(base64_decode(base64(bytes)), bytes);
    EXPECT_EQ(base64url_decode(base64url(bytes)), bytes);
  }
  EXPECT_EQ(base64("Man"), "TWFu");
  EXPECT_EQ(base64("M"), "TQ==");
  EXPECT_FALSE(base64_decode("TR==").has_value());
  EXPECT_FALSE(base64_decode("TQ=").has_value());
  EXPECT_FALSE(base64url_decode("A").has_value());
}

TEST(Bytes, RoundTripAndFailure) {
  std::string out;
  ByteWriter writer(out);
  writer.fixed<uint32_t>(0x01020304);
  writer.varint(0);
  writer.varint(300);
  writer.varint(UINT64_MAX);
  writer.signed_varint(-5);
  writer.text("hello");
  ByteReader reader(out);
  EXPECT_EQ(reader.fixed<uint32_t>(), 0x01020304u);
  EXPECT_EQ(reader.varint(), 0u);
  EXPECT_EQ(reader.varint(), 300u);
  EXPECT_EQ(reader.varint(), UINT64_MAX);
  EXPECT_EQ(reader.signed_varint(), -5);
  EXPECT_EQ(reader.text(), "hello");
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(reader.fixed<uint8_t>(), 0);
  EXPECT_FALSE(reader.ok());
  // An overlong zero and eleven bytes are no varints; a text longer than its bytes is none.
  ByteReader overlong(std::string_view("\x80\x00", 2));
  overlong.varint();
  EXPECT_FALSE(overlong.ok());
  ByteReader endless("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
  endless.varint();
  EXPECT_FALSE(endless.ok());
  ByteReader cut("\x05hel");
  cut.text();
  EXPECT_FALSE(cut.ok());
}

TEST(TimeText, Rfc3339) {
  EXPECT_EQ(rfc3339(WallTime::from_ms(1'772'357'400'250)), "2026-03-01T09:30:00.250Z");
  EXPECT_EQ(parse_rfc3339("2026-03-01T09:30:00.250Z")->us, 1'772'357'400'250'000);
  EXPECT_EQ(parse_rfc3339("2026-03-01T11:30:00+02:00")->us, 1'772'357'400'000'000);
  for (const char* wrong : {"", "2026-03-01T09:30:00", "2026-02-30T09:30:00Z", "2026-03-01 9:30Z",
                            "2026-03-01T25:30:00Z", "2026-03-01T09:30:00.Z"}) {
    EXPECT_FALSE(parse_rfc3339(wrong)) << wrong;
  }
}

TEST(TimeText, Rfc5322DateAndDurations) {
  EXPECT_EQ(rfc5322_date(WallTime::from_ms(1'772'357'400'250)), "Sun, 01 Mar 2026 09:30:00 +0000");
  EXPECT_EQ(parse_duration("250ms")->us, 250'000);
  EXPECT_EQ(parse_duration("3h")->us, Duration::hours(3).us);
  EXPECT_EQ(duration_text(Duration::minutes(90)), "90m");
  EXPECT_EQ(duration_text(Duration::milliseconds(1500)), "1500ms");
  for (const char* wrong : {"", "5", "5 m", "m", "-5m", "99999999999999d"}) {
    EXPECT_FALSE(parse_duration(wrong)) << wrong;
  }
}

TEST(JsonWriter, EscapesAndNests) {
  JsonWriter json;
  json.object().field("a", 1).field("b", true);
  json.key("c").array().value("x\"\n\x01").value("\xff").null()
      .end().field_unless_empty("d", "").end();
  EXPECT_EQ(json.take(), "{\"a\":1,\"b\":true,\"c\":[\"x\\\"\\n\\u0001\",\"\xef\xbf\xbd\",null]}");
}

TEST(Random, StaysInBounds) {
  Random a(1), b(1);
  for (int i = 0; i < 1000; ++i) {
    uint64_t value = a.below(10);
    EXPECT_LT(value, 10u);
    EXPECT_EQ(value, b.below(10));
  }
}

}  // namespace
}  // namespace postring
