// WireBuilder: DNS answers as bytes, for tests.
//
//   WireBuilder("example.com", 15).mx("example.com", 300, 10, "mx.example.com").bytes()
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace postring::dns {

class WireBuilder {
 public:
  WireBuilder(std::string_view question, uint16_t type, uint8_t rcode = 0) {
    body_ += name(question);
    u16(body_, type);
    u16(body_, 1);
    flags_ = static_cast<uint16_t>(0x8180 | rcode);
  }

  WireBuilder& truncated() {
    flags_ |= 0x0200;
    return *this;
  }
  WireBuilder& query() {
    flags_ &= 0x7fff;
    return *this;
  }
  WireBuilder& a(std::string_view owner, uint32_t ttl, std::initializer_list<uint8_t> bytes) {
    std::string data;
    for (uint8_t byte : bytes) data += static_cast<char>(byte);
    return record(owner, bytes.size() == 4 ? 1 : 28, ttl, data);
  }
  WireBuilder& mx(std::string_view owner, uint32_t ttl, uint16_t preference,
                  std::string_view host) {
    std::string data;
    u16(data, preference);
    return record(owner, 15, ttl, data + name(host));
  }
  WireBuilder& cname(std::string_view owner, uint32_t ttl, std::string_view target) {
    return record(owner, 5, ttl, name(target));
  }
  WireBuilder& record(std::string_view owner, uint16_t type, uint32_t ttl, std::string_view data) {
    append(body_, owner, type, ttl, data);
    ++answers_;
    return *this;
  }
  WireBuilder& soa(std::string_view owner, uint32_t ttl, uint32_t minimum) {
    std::string data = name("ns." + std::string(owner)) + name("host." + std::string(owner));
    data += std::string(16, '\0');
    u32(data, minimum);
    append(authority_, owner, 6, ttl, data);
    ++authorities_;
    return *this;
  }

  std::string bytes() const {
    std::string out;
    u16(out, 0x1234);
    u16(out, flags_);
    u16(out, 1);
    u16(out, answers_);
    u16(out, authorities_);
    u16(out, 0);
    return out + body_ + authority_;
  }

  static std::string name(std::string_view text) {
    std::string out;
    while (!text.empty()) {
      size_t end = std::min(text.find('.'), text.size());
      out += static_cast<char>(end);
      out += text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out + '\0';
  }
  static void u16(std::string& out, uint16_t value) {
    out += static_cast<char>(value >> 8);
    out += static_cast<char>(value & 0xff);
  }
  static void u32(std::string& out, uint32_t value) {
    u16(out, static_cast<uint16_t>(value >> 16));
    u16(out, static_cast<uint16_t>(value & 0xffff));
  }

 private:
  static void append(std::string& out, std::string_view owner, uint16_t type, uint32_t ttl,
                     std::string_view data) {
    out += name(owner);
    u16(out, type);
    u16(out, 1);
    u32(out, ttl);
    u16(out, static_cast<uint16_t>(data.size()));
    out += data;
  }

  uint16_t flags_ = 0;
  uint16_t answers_ = 0;
  uint16_t authorities_ = 0;
  std::string body_;
  std::string authority_;
};

}  // namespace postring::dns
