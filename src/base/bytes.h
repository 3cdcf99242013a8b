// ByteWriter and ByteReader: fixed little-endian numbers, varints and length-prefixed strings, for
// formats on disk and tokens.
//
// The reader never reads past its end: once something was missing it stays failed, and every later
// read gives zero or empty; ask ok() once at the end. Varints are LEB128, at most 10 bytes, and an
// overlong or overflowing one fails.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace postring {

class ByteWriter {
 public:
  explicit ByteWriter(std::string& out) : out_(out) {}

  template <std::integral T>
  void fixed(T value) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    out_.append(bytes, sizeof(T));
  }
  void varint(uint64_t value) {
    while (value >= 0x80) {
      out_ += static_cast<char>(value | 0x80);
      value >>= 7;
    }
    out_ += static_cast<char>(value);
  }
  // Small magnitudes of either sign in few bytes (zigzag).
  void signed_varint(int64_t value) {
    varint(static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63));
  }
  void text(std::string_view bytes) {
    varint(bytes.size());
    out_ += bytes;
  }
  void raw(std::string_view bytes) { out_ += bytes; }

 private:
  std::string& out_;
};

class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  template <std::integral T>
  T fixed() {
    T value{};
    std::string_view bytes = raw(sizeof(T));
    if (bytes.size() == sizeof(T)) std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  uint64_t varint() {
    // Most numbers are one byte: recovery reads some twenty of them for each recipient.
    if (at_ != end_ && static_cast<uint8_t>(*at_) < 0x80) return static_cast<uint8_t>(*at_++);
    return long_varint();
  }
  int64_t signed_varint() {
    uint64_t value = varint();
    return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
  }
  std::string_view text() { return raw(varint()); }
  std::string_view raw(uint64_t size) {
    if (size > left()) {
      fail();
      return {};
    }
    return {std::exchange(at_, at_ + size), static_cast<size_t>(size)};
  }
  // Everything that is left.
  std::string_view rest() { return raw(left()); }

  bool ok() const { return ok_; }
  // Nothing was missing and nothing is left.
  bool done() const { return ok_ && at_ == end_; }

 private:
  uint64_t left() const { return static_cast<uint64_t>(end_ - at_); }
  void fail() {
    ok_ = false;
    at_ = end_;
  }
  uint64_t long_varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      auto byte = fixed<uint8_t>();
      if (!ok_) return 0;
      uint64_t bits = byte & 0x7f;
      if (shift == 63 && bits > 1) break;
      value |= bits << shift;
      if ((byte & 0x80) != 0) continue;
      if (byte == 0 && shift > 0) break;
      return value;
    }
    fail();
    return 0;
  }

  const char* at_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace postring
