// What encoding and decoding of records (spool/records.h) have in common: how ids, times, digests
// and flags are written, and a reader that refuses what is never written. For records*.cc only.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

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

// A reader that also knows what encode() never writes. Like ByteReader, once something was missing
// it gives zero or empty; but what most numbers are, one byte, costs one comparison here: recovery
// reads some twenty of them for each recipient.
class Decoder {
 public:
  explicit Decoder(std::string_view payload)
      : at_(payload.data()), end_(payload.data() + payload.size()) {}

  uint32_t flags(uint32_t end) { return static_cast<uint32_t>(number(end - 1)); }
  uint64_t number(uint64_t max = UINT64_MAX) {
    uint64_t value = varint();
    require(value <= max);
    return value;
  }
  uint8_t byte(uint8_t max) {
    auto value = fixed<uint8_t>();
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
    std::string_view bytes = raw(value.size());
    std::copy(bytes.begin(), bytes.end(), value.begin());
    require(value != Digest{});
    return value;
  }
  WallTime time() { return {fixed<int64_t>()}; }
  // An optional time: one that is there is set.
  WallTime time_after(WallTime base) {
    // Zigzag, as ByteWriter::signed_varint().
    uint64_t coded = varint();
    uint64_t delta = coded >> 1 ^ (~(coded & 1) + 1);
    WallTime value{static_cast<int64_t>(static_cast<uint64_t>(base.us) + delta)};
    require(value.is_set());
    return value;
  }
  std::string_view text(size_t max) {
    std::string_view value = raw(varint());
    require(value.size() <= max);
    return value;
  }
  // An optional text: one that is there is not empty.
  std::string_view some_text(size_t max) {
    std::string_view value = text(max);
    require(!value.empty());
    return value;
  }
  std::string_view raw(uint64_t size) {
    if (size > static_cast<uint64_t>(end_ - at_)) {
      fail();
      return {};
    }
    return {std::exchange(at_, at_ + size), static_cast<size_t>(size)};
  }
  std::string_view rest(size_t max) {
    std::string_view value = raw(static_cast<uint64_t>(end_ - at_));
    require(value.size() <= max);
    return value;
  }
  void require(bool condition) { good_ = good_ && condition; }
  bool done() const { return good_ && at_ == end_; }

 private:
  uint64_t varint() {
    if (at_ != end_ && static_cast<uint8_t>(*at_) < 0x80) return static_cast<uint8_t>(*at_++);
    ByteReader reader({at_, static_cast<size_t>(end_ - at_)});
    uint64_t value = reader.varint();
    if (!reader.ok()) {
      fail();
      return 0;
    }
    at_ = reader.rest().data();
    return value;
  }
  template <std::integral T>
  T fixed() {
    T value{};
    std::string_view bytes = raw(sizeof(T));
    if (bytes.size() == sizeof(T)) std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  void fail() {
    good_ = false;
    at_ = end_;
  }

  const char* at_;
  const char* end_;
  bool good_ = true;
};

}  // namespace postring::spool
