// EventReader: a client that reads the events of everything, page by page, and tells the ledger.
#pragma once

#include <cstdint>
#include <string>

#include "sim/api_client.h"
#include "sim/ledger.h"

namespace postring::sim {

class EventReader {
 public:
  EventReader(Schedule& schedule, ApiClient& api, Ledger& ledger, std::string tenant)
      : schedule_(schedule), api_(api), ledger_(ledger), tenant_(std::move(tenant)) {}

  void begin() { read(); }
  void stop() { stopped_ = true; }
  bool stopped() const { return stopped_ && !reading_; }

 private:
  void read();
  void on_page(const std::string& json, Instant asked);

  Schedule& schedule_;
  ApiClient& api_;
  Ledger& ledger_;
  std::string tenant_;
  std::string cursor_;
  bool stopped_ = false;
  bool reading_ = false;
};

}  // namespace postring::sim
