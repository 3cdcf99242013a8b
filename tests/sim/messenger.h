// Messenger: a client with a tenant of its own that sends single messages, most to few recipients
// with values of their own, some to many who share one content and so may share transactions. It
// looks up whom it has written to, and has some of them erased.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "sim/api_client.h"
#include "sim/ledger.h"

namespace postring::sim {

class Messenger {
 public:
  struct Plan {
    std::string tenant;
    int64_t messages = 0;
    int64_t recipients_max = 1;  // of a message that they share
    int64_t domains = 1;
    int64_t erasures = 0;  // of 1,000 messages: their first recipient
    Duration sent_within;
    Duration max_age;
  };

  // `api` has a key of the tenant that may do all this, `stranger` one of another tenant.
  Messenger(Schedule& schedule, ApiClient& api, ApiClient& stranger, Ledger& ledger, Plan plan,
            uint64_t seed);

  void begin();
  // Every message is taken, and everyone who was looked up or erased is answered for.
  bool done() const { return open_ == 0; }
  std::string where() const;
  // What cannot be read any more cannot be found by an address.
  void expect_damage() { damaged_ = true; }

 private:
  struct Message {
    std::string name;
    std::vector<std::string> addresses;
    bool shared = false;
  };

  Message draw(int64_t number);
  std::string json_of(const Message& message) const;
  void send(const Message& message);
  void on_accepted(const Message& message, const ApiClient::Reply& reply);
  void look_up(const std::string& address);
  void look_up_as_stranger(const std::string& address);
  void erase(const std::string& address);
  Duration soon() { return Duration::milliseconds(random_.between(1, 60'000)); }

  Schedule& schedule_;
  ApiClient& api_;
  ApiClient& stranger_;
  Ledger& ledger_;
  Plan plan_;
  Random random_;
  int64_t open_ = 0;  // steps that are under way or wait for their time
  uint64_t taken_ = 0;
  bool damaged_ = false;
};

}  // namespace postring::sim
