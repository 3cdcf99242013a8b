// RenewableWire: a DnsWire whose servers, timeout and tries may change while it is asked.
//
//   auto wire = RenewableWire::create(loop, options);
//   (*wire)->change(other_options);   // for questions from now on
//
// A change makes a new wire behind it; the old one answers what it was asked and goes in the turn
// after its last answer. Where the new one cannot be made, the old one stays.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "base/result.h"
#include "io/dns_wire.h"
#include "io/loop.h"

namespace postring::engine {

class RenewableWire final : public DnsWire {
 public:
  static Result<std::unique_ptr<RenewableWire>> create(Loop& loop, DnsWireOptions options);
  ~RenewableWire() override;

  Result<void> change(DnsWireOptions options);
  void query(const std::string& name, uint16_t type, Done done) override;

  // The one that is asked, and old ones that still owe answers.
  size_t wires() const { return held_.size(); }

 private:
  struct Held {
    std::unique_ptr<DnsWire> wire;
    size_t in_flight = 0;
  };

  explicit RenewableWire(Loop& loop);
  void drop_idle_soon();
  void drop_idle();

  Loop& loop_;
  std::list<Held> held_;  // the newest is the last
  bool dropping_ = false;
  std::shared_ptr<RenewableWire*> self_;  // jobs hold it weakly
};

}  // namespace postring::engine
