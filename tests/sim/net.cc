#include "sim/net.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace postring::sim {
namespace {

constexpr size_t kWindowBytes = 64 * 1'024;

}  // namespace

Instant Stream::arrival(Instant& last) {
  const Options& o = faults_.options;
  Duration wait = Duration::microseconds(random_.between(o.latency_us_min, o.latency_us_max));
  // Later than the one before: things of one instant happen in any order.
  last = std::max(last + Duration::microseconds(1), schedule_.now() + wait);
  return last;
}

// ---- from the actor to the process -------------------------------------------------------------

void Stream::say(std::string bytes) {
  if (lost() || finished_ || bytes.empty()) return;
  said_ += bytes.size();
  bool pieces = bytes.size() < 400 &&
                faults_.drawn(random_, faults_.options.pieces, Fault::bytewise);
  size_t step = pieces ? 1 : bytes.size();
  for (size_t at = 0; at < bytes.size(); at += step) {
    Instant when = arrival(to_process_);
    if (pieces) to_process_ = when = when + Duration::microseconds(random_.between(1, 2'000));
    schedule_.at(when, [self = shared_from_this(), piece = bytes.substr(at, step)]() mutable {
      self->arrive(std::move(piece));
    });
  }
}

void Stream::arrive(std::string bytes) {
  if (process_gone_ || reset_arrived_) return;
  inbox_ += bytes;
  wake_reader();
}

void Stream::finish() {
  if (lost() || finished_) return;
  finished_ = true;
  schedule_.at(arrival(to_process_), [self = shared_from_this()] {
    self->end_arrived_ = true;
    self->wake_reader();
  });
}

void Stream::abort() {
  if (lost()) return;
  aborted_ = true;
  schedule_.at(arrival(to_process_), [self = shared_from_this()] {
    self->reset_arrived_ = true;
    self->inbox_.clear();
    self->wake_reader();
    self->wake_writer();
  });
}

void Stream::mark(uint64_t offset, std::shared_ptr<Instant> when) {
  marks_.emplace_back(offset, std::move(when));
}

size_t Stream::take(std::span<std::byte> buffer) {
  size_t count = std::min(buffer.size(), inbox_.size());
  std::memcpy(buffer.data(), inbox_.data(), count);
  inbox_.erase(0, count);
  taken_ += count;
  std::erase_if(marks_, [this](const auto& mark) {
    if (mark.first > taken_) return false;
    *mark.second = schedule_.now();
    return true;
  });
  return count;
}

// ---- from the process to the actor -------------------------------------------------------------

void Stream::open_for_process() {
  schedule_.at(arrival(to_actor_), [self = shared_from_this()] {
    if (!self->aborted_) self->actor_->on_open(*self);
  });
}

size_t Stream::room() const { return under_way_ >= kWindowBytes ? 0 : kWindowBytes - under_way_; }

void Stream::send(std::string bytes) {
  under_way_ += bytes.size();
  Instant sent = schedule_.now();
  schedule_.at(arrival(to_actor_), [self = shared_from_this(), bytes = std::move(bytes), sent] {
    self->deliver(bytes, sent);
  });
}

void Stream::deliver(std::string bytes, Instant sent) {
  under_way_ -= bytes.size();
  if (!aborted_) actor_->on_bytes(*this, bytes, sent);
  wake_writer();
}

// Who waits registers again where it waits on.
void Stream::wake_reader() {
  if (!process_gone_ && on_readable) std::exchange(on_readable, nullptr)();
}

void Stream::wake_writer() {
  if (!process_gone_ && on_writable) std::exchange(on_writable, nullptr)();
}

void Stream::close(bool reset) {
  if (process_gone_) return;
  // Who closes with bytes unread resets the connection.
  reset = reset || !inbox_.empty();
  process_gone_ = true;
  on_readable = nullptr;
  on_writable = nullptr;
  schedule_.at(arrival(to_actor_), [self = shared_from_this(), reset] {
    if (!self->aborted_) self->actor_->on_end(*self, reset);
  });
}

// ---- the net -----------------------------------------------------------------------------------

Duration Net::latency() {
  const Options& o = faults_.options;
  return Duration::microseconds(random_.between(o.latency_us_min, o.latency_us_max));
}

StreamPtr Net::make_stream(std::shared_ptr<Actor> actor) {
  ++connections_;
  return std::make_shared<Stream>(schedule_, faults_, random_.next(), std::move(actor));
}

void Net::connect(const SocketAddress& to, std::function<void(Opened)> done) {
  auto host = hosts_.find(to.ip);
  const Options& o = faults_.options;
  if (host == hosts_.end() || faults_.drawn(random_, o.unreachable, Fault::unreachable)) return;
  bool refused = faults_.drawn(random_, o.refuse, Fault::refused);
  schedule_.after(latency(), [this, to, refused, &host = host->second, done = std::move(done)] {
    std::shared_ptr<Actor> actor = refused ? nullptr : host();
    if (actor == nullptr) return done({nullptr, ECONNREFUSED});
    StreamPtr stream = make_stream(std::move(actor));
    stream->peer = to;
    done({std::move(stream), 0});
  });
}

bool Net::connect_to_process(const std::string& where, std::shared_ptr<Actor> client) {
  std::vector<Listener*> listeners;
  for (const auto& listener : listeners_) {
    if (listener->path == where || listener->address.text() == where) {
      listeners.push_back(listener.get());
    }
  }
  if (listeners.empty()) return false;
  Listener& listener = *listeners[random_.below(listeners.size())];
  StreamPtr stream = make_stream(std::move(client));
  stream->peer = SocketAddress{IpAddress::v4(198, 51, 100, 7), 40'000};
  listener.waiting.push_back(stream);
  stream->open_for_process();
  if (listener.on_waiting) std::exchange(listener.on_waiting, nullptr)();
  return true;
}

void Net::add_listener(std::shared_ptr<Listener> listener) {
  listeners_.push_back(std::move(listener));
}

void Net::drop_listener(const Listener* gone) {
  for (const auto& listener : listeners_) {
    if (listener.get() != gone) continue;
    for (const StreamPtr& stream : listener->waiting) stream->close(true);
    listener->waiting.clear();
  }
  std::erase_if(listeners_, [gone](const auto& listener) { return listener.get() == gone; });
}

void Net::drop_listeners() {
  while (!listeners_.empty()) drop_listener(listeners_.back().get());
}

}  // namespace postring::sim
