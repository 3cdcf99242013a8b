#include "spool/event_reserve.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "io/file.h"
#include "spool/disk_space.h"

namespace postring::spool {
namespace {

constexpr std::string_view kPrefix = "reserve-";

}  // namespace

EventReserve::EventReserve(Loop& loop, std::string folder)
    : loop_(loop),
      folder_(std::move(folder)),
      self_(std::make_shared<EventReserve*>(this)) {
  retry_.bind<&EventReserve::advance>(this);
}

EventReserve::~EventReserve() {
  *self_ = nullptr;
  if (retry_.armed()) loop_.timers().disarm(retry_);
}

bool EventReserve::is_reserve(const std::string& name) { return name.starts_with(kPrefix); }

void EventReserve::adopt(const std::string& name) {
  uint64_t number = 0;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), number);
  next_number_ = std::max(next_number_, number + 1);
  files_.push_back(folder_ + "/" + name);
}

void EventReserve::set_target(uint64_t bytes) {
  uint64_t files = (bytes + kEventReserveStep - 1) / kEventReserveStep;
  target_ = static_cast<size_t>(std::min<uint64_t>(files, kEventReserveFilesMax));
  advance();
}

std::string EventReserve::take() {
  if (files_.empty()) return {};
  std::string path = std::move(files_.front());
  files_.pop_front();
  advance();
  return path;
}

void EventReserve::stop() {
  stopped_ = true;
  if (retry_.armed()) loop_.timers().disarm(retry_);
}

// While a try waits after a full disk, nothing but that try goes on.
void EventReserve::advance() {
  if (busy_ || stopped_ || retry_.armed()) return;
  // One file more or less is no reason to work.
  if (files_.size() > target_ + 1) return remove_one();
  if (files_.size() < target_) make_one();
}

void EventReserve::make_one() {
  busy_ = true;
  std::string path = folder_ + "/" + std::string(kPrefix) + std::to_string(next_number_++);
  loop_.offload().run([path] { return reserve_space(path, kEventReserveStep); },
                      [self = self_, path](Result<void, int> made) {
                        if (*self == nullptr) return;
                        EventReserve& reserve = **self;
                        reserve.busy_ = false;
                        if (made) {
                          reserve.files_.push_back(path);
                          return reserve.advance();
                        }
                        if (reserve.stopped_) return;
                        Timers& timers = reserve.loop_.timers();
                        timers.arm(reserve.retry_, reserve.loop_.now() + kEventReserveRetry);
                      });
}

void EventReserve::remove_one() {
  busy_ = true;
  std::string path = std::move(files_.back());
  files_.pop_back();
  // What cannot be removed is found again at the next start.
  loop_.offload().run([path] { return remove_file(path); },
                      [self = self_](Result<void, int>) {
                        if (*self == nullptr) return;
                        (*self)->busy_ = false;
                        (*self)->advance();
                      });
}

}  // namespace postring::spool
