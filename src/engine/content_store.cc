#include "engine/content_store.h"

#include <charconv>
#include <cstring>

#include "io/file.h"
#include "mail/content_source.h"

namespace postring::engine {
namespace {

// A compiled content holds its source's parts encoded, some of them twice.
constexpr uint64_t kFileBytesMax = uint64_t{8} * mail::kContentMax;

}  // namespace

std::optional<queue::ContentId> parse_content_name(std::string_view name) {
  queue::ContentId id{};
  if (name.size() != 2 * id.size()) return std::nullopt;
  for (size_t i = 0; i < id.size(); ++i) {
    unsigned value = 0;
    auto [end, error] = std::from_chars(name.data() + 2 * i, name.data() + 2 * i + 2, value, 16);
    if (error != std::errc{} || end != name.data() + 2 * i + 2) return std::nullopt;
    id[i] = static_cast<std::byte>(value);
  }
  return id;
}

std::string ContentStore::path_of(const queue::ContentId& id) const {
  return folder_ + "/" + hex(id);
}

Result<void> ContentStore::open() const {
  if (auto made = make_folder(folder_); !made) {
    return fail("the contents' folder " + folder_ + " cannot be made: " +
                std::strerror(made.error()));
  }
  return {};
}

Result<void> ContentStore::store(const queue::ContentId& id, std::string_view bytes) const {
  std::string path = path_of(id);
  if (file_exists(path)) {
    // Its name may not be durable yet: the sync of whoever stored it may have failed.
    if (auto synced = sync_folder(folder_); !synced) {
      return fail("the contents' folder " + folder_ + " cannot be synced: " +
                  std::strerror(synced.error()));
    }
    return {};
  }
  if (auto written = write_whole_file(path, bytes, 0600); !written) {
    return fail("the content " + path + " cannot be written: " + std::strerror(written.error()));
  }
  return {};
}

Result<std::string> ContentStore::load(const queue::ContentId& id) const {
  std::string path = path_of(id);
  auto bytes = read_whole_file(path, kFileBytesMax);
  if (!bytes) {
    return fail("the content " + path + " cannot be read: " + std::strerror(bytes.error()));
  }
  if (sha256(*bytes) != id) return fail("the content " + path + " is damaged");
  return std::move(*bytes);
}

std::vector<queue::ContentId> ContentStore::list() const {
  std::vector<queue::ContentId> ids;
  for (const std::string& name : list_folder(folder_).value_or(std::vector<std::string>{})) {
    if (auto id = parse_content_name(name)) ids.push_back(*id);
  }
  return ids;
}

void ContentStore::remove(const queue::ContentId& id) const {
  // What cannot be removed is only space.
  (void)remove_file(path_of(id));
}

}  // namespace postring::engine
