#include "spool/event_page.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "spool/event_block.h"

namespace postring::spool {

EventPageBuilder::EventPageBuilder(uint64_t from, uint64_t end, uint64_t bytes_max)
    : end_(end), bytes_max_(bytes_max) {
  page_.first = from;
  page_.next = from;
}

bool EventPageBuilder::add(std::string raw, uint64_t first, uint32_t count) {
  if (!split_events(raw, count)) return false;
  bytes_ += raw.size();
  raws_.push_back(std::move(raw));
  skips_.push_back(page_.next > first ? page_.next - first : 0);
  page_.next = first + count;
  return true;
}

bool EventPageBuilder::add_chosen(std::string_view raw, uint32_t count,
                                  std::span<const uint32_t> chosen) {
  auto entries = split_events(raw, count);
  if (!entries) return false;
  std::string some;
  ByteWriter writer(some);
  for (uint32_t i : chosen) {
    writer.fixed<uint32_t>(static_cast<uint32_t>((*entries)[i].size()));
    writer.raw((*entries)[i]);
  }
  bytes_ += raw.size();
  raws_.push_back(std::move(some));
  skips_.push_back(0);
  return true;
}

void EventPageBuilder::miss(uint64_t next, const std::string& path, uint64_t at) {
  if (!raws_.empty()) {
    stopped_ = true;
    return;
  }
  missed_ += next - page_.next;
  if (damage_.empty()) damage_ = path + " is damaged at byte " + std::to_string(at) + ": ";
  page_.problem = damage_ + std::to_string(missed_) + " events cannot be read";
  page_.first = next;
  page_.next = next;
}

void EventPageBuilder::stop(const EventFile& file, int error) {
  stopped_ = true;
  if (!raws_.empty() || page_.next > page_.first) return;
  page_.error = error;
  page_.problem = file.path + " cannot be read: " + std::strerror(error);
  page_.behind = file.next;
}

EventPage EventPageBuilder::finish() {
  size_t size = 0;
  for (const std::string& raw : raws_) size += raw.size();
  page_.bytes.reserve(size);
  for (const std::string& raw : raws_) {
    page_.bytes.insert(page_.bytes.end(), raw.begin(), raw.end());
  }
  std::string_view left(page_.bytes.data(), page_.bytes.size());
  for (size_t i = 0; i < raws_.size(); ++i) {
    std::string_view raw = left.substr(0, raws_[i].size());
    left.remove_prefix(raw.size());
    for (uint64_t entry = 0; !raw.empty(); ++entry) {
      uint32_t length = 0;
      std::memcpy(&length, raw.data(), sizeof(length));
      if (entry >= skips_[i]) page_.entries.push_back(raw.substr(sizeof(length), length));
      raw.remove_prefix(sizeof(length) + length);
    }
  }
  return std::move(page_);
}

}  // namespace postring::spool
