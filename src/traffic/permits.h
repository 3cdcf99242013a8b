// Permits: what a lane may do now.
//
// A rate permit is spent when it is granted, whatever becomes of the message. A connection permit
// is out until it comes back. Nothing expires. The lane's owner holds them; there is no other.
#pragma once

#include "base/units.h"
#include "throttle/token_bucket.h"
#include "throttle/window.h"
#include "traffic/settings.h"

namespace postring::traffic {

// What a lane waits for, as an operator reads it.
enum class HeldBy : uint8_t { nothing, connections, rate };

class Permits {
 public:
  Permits(const Settings& settings, Instant now)
      : connections_(settings.connections), messages_(settings.rate, settings.burst, now) {}

  bool take_connection() { return connections_.take(); }
  void give_back_connection() { connections_.give_back(); }
  bool take_message(Instant now) { return messages_.take(now); }
  Instant message_at(Instant now) const { return messages_.when_available(now); }
  // From then on nothing is remembered: new ones would say the same.
  Instant rested_at(Instant now) const { return messages_.when_available(now, messages_.burst()); }

  // New settings after a reload; what is out stays out.
  void change(const Settings& settings, Instant now) {
    connections_.change(settings.connections);
    messages_.change(settings.rate, settings.burst, now);
  }

  const throttle::Window& connections() const { return connections_; }
  const throttle::TokenBucket& messages() const { return messages_; }

 private:
  throttle::Window connections_;
  throttle::TokenBucket messages_;
};

}  // namespace postring::traffic
