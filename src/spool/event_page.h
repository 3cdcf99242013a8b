// EventPageBuilder: a page of events, made block by block, that never points past what could not be
// read without saying so.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "spool/event_log.h"
#include "spool/event_segment.h"

namespace postring::spool {

class EventPageBuilder {
 public:
  // Entries in [from, end), until bytes_max bytes were read for them.
  EventPageBuilder(uint64_t from, uint64_t end, uint64_t bytes_max);

  bool full() const { return stopped_ || page_.next >= end_ || bytes_ >= bytes_max_; }
  uint64_t next() const { return page_.next; }  // what is wanted next

  // The entries of a block, or of them those at `chosen`; false where it is not made of `count`.
  bool add(std::string raw, uint64_t first, uint32_t count);
  bool add_chosen(std::string_view raw, uint32_t count, std::span<const uint32_t> chosen);
  // There is nothing more before `next`.
  void pass(uint64_t next) { page_.next = next; }
  // What is before `next` is damaged. The page ends before it, or begins behind it and says so.
  void miss(uint64_t next, const std::string& path, uint64_t at);
  // The file cannot be read now. The page ends before it.
  void stop(const EventFile& file, int error);

  EventPage finish();

 private:
  uint64_t end_;
  uint64_t bytes_max_;
  EventPage page_;
  bool stopped_ = false;
  uint64_t missed_ = 0;
  std::string damage_;  // where it begins
  uint64_t bytes_ = 0;
  std::vector<std::string> raws_;  // what the page is joined from
  std::vector<uint64_t> skips_;    // entries of each that are before the page
};

}  // namespace postring::spool
