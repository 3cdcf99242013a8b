#include "engine/renewable_wire.h"

#include "base/check.h"

namespace postring::engine {

RenewableWire::RenewableWire(Loop& loop)
    : loop_(loop), self_(std::make_shared<RenewableWire*>(this)) {}

RenewableWire::~RenewableWire() {
  // Each tells its last askers that it goes; they find their entry still there.
  for (Held& held : held_) held.wire.reset();
}

Result<std::unique_ptr<RenewableWire>> RenewableWire::create(Loop& loop, DnsWireOptions options) {
  std::unique_ptr<RenewableWire> wire(new RenewableWire(loop));
  if (auto made = wire->change(std::move(options)); !made) return std::unexpected(made.error());
  return wire;
}

Result<void> RenewableWire::change(DnsWireOptions options) {
  auto wire = DnsWire::create(loop_, std::move(options));
  if (!wire) return std::unexpected(wire.error());
  held_.push_back({std::move(*wire), 0});
  drop_idle_soon();
  return {};
}

void RenewableWire::query(const std::string& name, uint16_t type, Done done) {
  Held& held = held_.back();
  CHECK(held.wire != nullptr, "nothing is asked of a wire that goes");
  ++held.in_flight;
  held.wire->query(name, type,
                   [this, &held, done = std::move(done)](DnsWireAnswer answer,
                                                         Instant now) mutable {
                     --held.in_flight;
                     if (held.in_flight == 0 && &held != &held_.back()) drop_idle_soon();
                     done(answer, now);
                   });
}

// Never within an answer: the wire that gives it must outlive it.
void RenewableWire::drop_idle_soon() {
  if (dropping_ || held_.size() < 2) return;
  dropping_ = true;
  loop_.defer([weak = std::weak_ptr<RenewableWire*>(self_)] {
    if (auto self = weak.lock()) (*self)->drop_idle();
  });
}

void RenewableWire::drop_idle() {
  dropping_ = false;
  for (auto at = held_.begin(); std::next(at) != held_.end();) {
    at = at->in_flight == 0 ? held_.erase(at) : std::next(at);
  }
}

}  // namespace postring::engine
