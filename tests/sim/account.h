// Account: what the daemon says of itself when asked for everything: its campaigns with their
// states and counts, and every event that it keeps.
//
//   Account account(api, ledger);
//   account.ask();
//   ... until account.ready() ...
//   account.text();        // the same where nothing has changed
#pragma once

#include <string>

#include "sim/api_client.h"
#include "sim/ledger.h"

namespace postring::sim {

class Account {
 public:
  // Without `deferrals` they are not counted.
  Account(ApiClient& api, Ledger& ledger, bool deferrals)
      : api_(api), ledger_(ledger), deferrals_(deferrals) {}

  void ask();
  bool ready() const { return ready_; }
  const std::string& text() const { return text_; }

 private:
  void ask_events(const std::string& cursor);

  ApiClient& api_;
  Ledger& ledger_;
  bool deferrals_;
  std::string text_;
  bool ready_ = false;
};

// Where they begin to differ, of both; for a message.
std::string difference(const std::string& before, const std::string& after);

}  // namespace postring::sim
