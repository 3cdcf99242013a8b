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
  explicit ByteReader(std::string_view bytes) : left_(bytes) {}

  template <std::integral T>
  T fixed() {
    T value{};
    if (left_.size() < sizeof(T)) return fail<T>();
    std::memcpy(&value, left_.data(), sizeof(T));
    left_.remove_prefix(sizeof(T));
    return value;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      auto byte = fixed<uint8_t>();
      if (!ok_) return 0;
      uint64_t bits = byte & 0x7f;
      if (shift == 63 && bits > 1) return fail<uint64_t>();
      value |= bits << shift;
      if ((byte & 0x80) == 0) return byte == 0 && shift > 0 ? fail<uint64_t>() : value;
    }
    return fail<uint64_t>();
  }
  int64_t signed_varint() {
    uint64_t value = varint();
    return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
  }
  std::string_view text() {
    uint64_t size = varint();
    return raw(size);
  }
  std::string_view raw(uint64_t size) {
    if (size > left_.size()) return fail<std::string_view>();
    std::string_view bytes = left_.substr(0, size);
    left_.remove_prefix(size);
    return bytes;
  }
  // Everything that is left.
  std::string_view rest() { return raw(left_.size()); }

  bool ok() const { return ok_; }
  // Nothing was missing and nothing is left.
  bool done() const { return ok_ && left_.empty(); }

 private:
  template <typename T>
  T fail() {
    ok_ = false;
    left_ = {};
    return T{};
  }

  std::string_view left_;
  bool ok_ = true;
};

}  // namespace postring
