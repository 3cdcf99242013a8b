// ContentStore: compiled contents as files named by their hash, one file each, immutable.
//
// Blocking: called on helper threads (io/offload.h). A content is durable when store() returned.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "queue/campaign.h"

namespace postring::engine {

// 64 hexadecimal digits.
std::optional<queue::ContentId> parse_content_name(std::string_view name);

class ContentStore {
 public:
  explicit ContentStore(std::string folder) : folder_(std::move(folder)) {}

  // Makes the folder. The error says what to do.
  Result<void> open() const;

  // Storing what is stored already does nothing.
  Result<void> store(const queue::ContentId& id, std::string_view bytes) const;
  // The bytes, their hash checked.
  Result<std::string> load(const queue::ContentId& id) const;
  void remove(const queue::ContentId& id) const;
  // What is stored, in the order of the names.
  std::vector<queue::ContentId> list() const;

 private:
  std::string path_of(const queue::ContentId& id) const;

  std::string folder_;
};

}  // namespace postring::engine
