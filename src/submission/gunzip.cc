#include "submission/gunzip.h"

#include <zlib.h>

#include <algorithm>
#include <climits>

#include "base/check.h"

namespace postring::submission {
namespace {

constexpr int kGzipOnly = 16 + MAX_WBITS;

}  // namespace

struct Gunzip::Stream {
  z_stream zlib{};
  uint64_t in = 0;
  uint64_t out = 0;
  bool at_end = false;  // of a member
};

Gunzip::Gunzip() : stream_(std::make_unique<Stream>()) {
  CHECK(inflateInit2(&stream_->zlib, kGzipOnly) == Z_OK);
}

Gunzip::~Gunzip() {
  inflateEnd(&stream_->zlib);
}

bool Gunzip::complete() const {
  return stream_->at_end;
}

Gunzip::Status Gunzip::step(std::string_view& in, size_t bytes_max, std::string& out) {
  Stream& stream = *stream_;
  size_t start = out.size();
  out.resize(start + bytes_max);
  z_stream& zlib = stream.zlib;
  zlib.next_out = reinterpret_cast<Bytef*>(out.data() + start);
  zlib.avail_out = static_cast<uInt>(bytes_max);
  Status status = Status::ok;
  while (zlib.avail_out > 0) {
    // At the output's limit zlib may hold back bytes although all input is consumed.
    if (in.empty() && stream.at_end) break;
    if (stream.at_end) {
      CHECK(inflateReset(&zlib) == Z_OK);
      stream.at_end = false;
    }
    auto size = static_cast<uInt>(std::min<size_t>(in.size(), UINT_MAX));
    zlib.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    zlib.avail_in = size;
    int result = inflate(&zlib, Z_NO_FLUSH);
    size_t consumed = size - zlib.avail_in;
    in.remove_prefix(consumed);
    stream.in += consumed;
    if (result == Z_STREAM_END) {
      stream.at_end = true;
    } else if (result == Z_BUF_ERROR) {
      break;  // needs more input
    } else if (result != Z_OK) {
      status = Status::bad;
      break;
    }
    if (in.empty() && zlib.avail_out > 0 && !stream.at_end) break;
  }
  size_t made = bytes_max - zlib.avail_out;
  out.resize(start + made);
  stream.out += made;
  if (status == Status::ok && stream.out > kGunzipFreeBytes + kGunzipRatioMax * stream.in) {
    status = Status::too_much;
  }
  return status;
}

}  // namespace postring::submission
