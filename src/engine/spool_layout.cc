#include "engine/spool_layout.h"

#include <charconv>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "io/entropy.h"
#include "io/file.h"
#include "io/socket.h"

namespace postring::engine {
namespace {

constexpr std::string_view kMagic = "postring spool\n\n";
constexpr uint32_t kFormat = 1;
constexpr std::string_view kSlicePrefix = "slice-";
constexpr SliceNumber kSlicesMax = 65'000;

std::unexpected<Error> fail_with(const std::string& what, int error) {
  return fail(what + ": " + std::strerror(error));
}

std::vector<SliceNumber> slices_in(const std::vector<std::string>& names) {
  std::vector<SliceNumber> slices;
  for (const std::string& name : names) {
    if (!name.starts_with(kSlicePrefix)) continue;
    SliceNumber number = 0;
    const char* end = name.data() + name.size();
    auto parsed = std::from_chars(name.data() + kSlicePrefix.size(), end, number);
    if (parsed.ec == std::errc{} && parsed.ptr == end && number > 0) slices.push_back(number);
  }
  return slices;
}

}  // namespace

std::string slice_folder(const std::string& spool_dir, SliceNumber slice) {
  std::string digits = std::to_string(slice);
  return spool_dir + "/" + std::string(kSlicePrefix) + std::string(5 - digits.size(), '0') + digits;
}

SpoolLayout::SpoolLayout(SpoolLayout&& other) noexcept
    : lock_(std::exchange(other.lock_, -1)),
      spool_id_(other.spool_id_),
      deals_(std::move(other.deals_)) {
  std::copy(std::begin(other.secrets_), std::end(other.secrets_), secrets_);
}

SpoolLayout::~SpoolLayout() {
  if (lock_ >= 0) close_descriptor(lock_);
}

Result<SpoolLayout> SpoolLayout::open(const std::string& dir, size_t workers) {
  if (auto made = make_folder(dir); !made) {
    return fail_with("the spool's folder " + dir + " cannot be made", made.error());
  }
  SpoolLayout layout;
  if (auto locked = layout.take_lock(dir); !locked) return std::unexpected(locked.error());
  if (auto read = layout.read_identity(dir); !read) return std::unexpected(read.error());
  if (auto dealt = layout.deal_slices(dir, workers); !dealt) return std::unexpected(dealt.error());
  return layout;
}

Result<void> SpoolLayout::take_lock(const std::string& dir) {
  std::string path = dir + "/lock";
  auto file = open_file(path, OpenMode::create_or_open);
  if (!file) return fail_with("the spool " + dir + " cannot be written", file.error());
  lock_ = *file;
  auto locked = lock_file(lock_);
  if (!locked) return fail_with("the spool " + dir + " cannot be locked", locked.error());
  if (!*locked) {
    return fail("another postring runs on the spool " + dir +
                ": stop it, or give this one a spool of its own ([spool] dir)");
  }
  return {};
}

Result<void> SpoolLayout::read_identity(const std::string& dir) {
  std::string path = dir + "/postring.spool";
  if (!file_exists(path)) {
    spool_id_ = entropy_word();
    for (uint64_t& secret : secrets_) secret = entropy_word();
    std::string bytes(kMagic);
    ByteWriter writer(bytes);
    writer.fixed<uint32_t>(kFormat);
    writer.fixed<uint64_t>(spool_id_);
    for (uint64_t secret : secrets_) writer.fixed<uint64_t>(secret);
    writer.fixed<uint32_t>(crc32c(bytes));
    auto written = write_whole_file(path, bytes, 0600);
    if (!written) return fail_with(path + " cannot be written", written.error());
    return {};
  }
  auto bytes = read_whole_file(path, 4'096);
  if (!bytes) return fail_with(path + " cannot be read", bytes.error());
  if (!bytes->starts_with(kMagic)) return fail(path + " is not a spool of postring");
  ByteReader reader(std::string_view(*bytes).substr(kMagic.size()));
  auto format = reader.fixed<uint32_t>();
  if (reader.ok() && format > kFormat) {
    return fail(path + " was written by a newer postring (spool format " + std::to_string(format) +
                "); this one reads up to " + std::to_string(kFormat));
  }
  spool_id_ = reader.fixed<uint64_t>();
  for (uint64_t& secret : secrets_) secret = reader.fixed<uint64_t>();
  auto checksum = reader.fixed<uint32_t>();
  if (!reader.done() ||
      checksum != crc32c(std::string_view(*bytes).substr(0, bytes->size() - 4))) {
    return fail(path + " is damaged");
  }
  return {};
}

Result<void> SpoolLayout::deal_slices(const std::string& dir, size_t workers) {
  auto names = list_folder(dir);
  if (!names) return fail_with("the spool " + dir + " cannot be read", names.error());
  std::vector<SliceNumber> slices = slices_in(*names);
  SliceNumber highest = slices.empty() ? SliceNumber{0} : slices.back();
  std::string path = dir + "/slices";
  SliceNumber recorded = 0;
  if (file_exists(path)) {
    auto text = read_whole_file(path, 64);
    if (!text) return fail_with(path + " cannot be read", text.error());
    std::from_chars(text->data(), text->data() + text->size(), recorded);
    highest = std::max(highest, recorded);
  }
  while (slices.size() < workers) {
    if (highest == kSlicesMax) return fail("the spool " + dir + " has used up its slice numbers");
    slices.push_back(++highest);
  }
  if (highest != recorded) {
    auto written = write_whole_file(path, std::to_string(highest) + "\n", 0600);
    if (!written) return fail_with(path + " cannot be written", written.error());
  }
  for (size_t i = 0; i < slices.size(); ++i) {
    // The newest take mail: older ones empty and go.
    bool takes_mail = slices.size() - i <= workers;
    deals_.push_back({slices[i], static_cast<uint32_t>(i % workers), takes_mail});
    auto made = make_folder(slice_folder(dir, slices[i]));
    if (!made) return fail_with("a slice's folder cannot be made in " + dir, made.error());
  }
  if (auto synced = sync_folder(dir); !synced) {
    return fail_with("the spool " + dir + " cannot be synced", synced.error());
  }
  return {};
}

void SpoolLayout::describe(Shared& shared) const {
  shared.spool_id = spool_id_;
  shared.fingerprint_key.words = {secrets_[0], secrets_[1]};
  shared.verp_key = mail::VerpKey(secrets_[2], secrets_[3]);
  shared.slices = deals_;
  for (const SliceDeal& deal : deals_) {
    if (deal.slice >= shared.worker_of_slice.size()) {
      shared.worker_of_slice.resize(size_t{deal.slice} + 1, kNoWorker);
    }
    shared.worker_of_slice[deal.slice] = deal.worker;
  }
}

}  // namespace postring::engine
