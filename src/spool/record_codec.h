// What encoding and decoding of records (spool/records.h) have in common: how ids, times, digests
// and flags are written, and a reader that refuses what is never written. For records*.cc only.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "mail/ids.h"
#include "spool/record.h"

namespace postring::spool {

using Digest = std::array<uint8_t, 32>;

constexpr uint32_t flag_if(bool condition, uint32_t flag) { return condition ? flag : 0; }

// Ids are slice << 48 | counter: small numbers both, each its own varint.
inline void write_id(ByteWriter& writer, uint64_t id) {
  writer.varint(id >> 48);
  writer.varint(id & ((uint64_t{1} << 48) - 1));
}

inline void write_position(ByteWriter& writer, Position position) {
  writer.varint(position.segment);
  writer.varint(position.offset);
}

inline void write_digest(ByteWriter& writer, const Digest& digest) {
  writer.raw({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

inline void write_time(ByteWriter& writer, WallTime time, WallTime base) {
  writer.signed_varint(
      static_cast<int64_t>(static_cast<uint64_t>(time.us) - static_cast<uint64_t>(base.us)));
}

// A reader that also knows what encode() never writes.
class Decoder {
 public:
  explicit Decoder(std::string_view payload) : reader_(payload) {}

  uint32_t flags(uint32_t end) { return static_cast<uint32_t>(number(end - 1)); }
  uint64_t number(uint64_t max = UINT64_MAX) {
    uint64_t value = reader_.varint();
    require(value <= max);
    return value;
  }
  uint8_t byte(uint8_t max) {
    auto value = reader_.fixed<uint8_t>();
    require(value <= max);
    return value;
  }
  uint64_t id() {
    uint64_t slice = number(UINT16_MAX);
    uint64_t counter = number((uint64_t{1} << 48) - 1);
    return slice << 48 | counter;
  }
  Position position() {
    auto segment = static_cast<uint32_t>(number(UINT32_MAX));
    return {segment, static_cast<uint32_t>(number(UINT32_MAX))};
  }
  // An optional digest: one that is there is not all zero.
  Digest digest() {
    Digest value{};
    std::string_view bytes = reader_.raw(value.size());
    std::copy(bytes.begin(), bytes.end(), value.begin());
    require(value != Digest{});
    return value;
  }
  WallTime time() { return {reader_.fixed<int64_t>()}; }
  // An optional time: one that is there is set.
  WallTime time_after(WallTime base) {
    auto delta = static_cast<uint64_t>(reader_.signed_varint());
    WallTime value{static_cast<int64_t>(static_cast<uint64_t>(base.us) + delta)};
    require(value.is_set());
    return value;
  }
  std::string_view text(size_t max) {
    std::string_view value = reader_.text();
    require(value.size() <= max);
    return value;
  }
  // An optional text: one that is there is not empty.
  std::string_view some_text(size_t max) {
    std::string_view value = text(max);
    require(!value.empty());
    return value;
  }
  std::string_view raw(size_t size) { return reader_.raw(size); }
  std::string_view rest(size_t max) {
    std::string_view value = reader_.rest();
    require(value.size() <= max);
    return value;
  }
  void require(bool condition) { good_ = good_ && condition; }
  bool done() const { return good_ && reader_.done(); }

 private:
  ByteReader reader_;
  bool good_ = true;
};

}  // namespace postring::spool
