// Gunzip: a gzip body (RFC 1952, several members allowed) unpacked in bounded steps.
//
// What it may grow to is limited: beyond kGunzipRatioMax times what came in (and a first
// kGunzipFreeBytes) it is refused, so that a small body cannot cost much.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace postring::submission {

constexpr uint64_t kGunzipRatioMax = 100;
constexpr uint64_t kGunzipFreeBytes = 1u << 20;

class Gunzip {
 public:
  enum class Status : uint8_t {
    ok,
    bad,       // no gzip, or damaged
    too_much,  // the ratio
  };

  Gunzip();
  ~Gunzip();

  // Appends at most `bytes_max` to `out` and drops from `in` what it consumed.
  Status step(std::string_view& in, size_t bytes_max, std::string& out);
  // Whether the body may end here: at the end of a member.
  bool complete() const;

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
};

}  // namespace postring::submission
