// Submitter: a client that brings one campaign in, batch by batch, starts it somewhere on the
// way, closes it, perhaps pauses and resumes or cancels it, and looks at its counts and those of
// its batches from the first batch on until it is complete, and then once more at all of them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "sim/api_client.h"
#include "sim/counts.h"
#include "sim/ledger.h"

namespace postring::sim {

class Submitter {
 public:
  struct Plan {
    std::string name;
    std::vector<std::string> addresses;
    int64_t dotted_values = 0;  // of 1,000
    size_t batch = 100;
    int64_t pauses = 0;
    int64_t pause_ms_max = 120'000;
    bool cancel = false;
    Duration max_age;
  };

  Submitter(Schedule& schedule, ApiClient& api, Ledger& ledger, Plan plan, uint64_t seed);

  void begin();
  // Everything was said, the campaign is complete, and its batches come to the same.
  bool done() const { return checked_; }
  std::string where() const;

 private:
  // The value of the field "name".
  std::string name_of(size_t recipient) const;
  void create();
  void submit(size_t from);
  void command(const std::string& name, std::function<void(const ApiClient::Reply&)> done);
  void start();
  void close();
  void pause();
  void cancel();
  void resume();
  void on_accepted(size_t from, size_t end, const std::string& batch);
  void look_later();
  void look();
  void on_campaign(std::string_view json, uint64_t known);
  void look_at_batch(size_t number);
  void check_batches(size_t from);
  std::optional<Counts> counts_of(std::string_view json);
  std::optional<Counts> counts_of_batch(size_t number, const ApiClient::Reply& reply);
  Duration soon(int64_t ms_max) { return Duration::milliseconds(random_.between(1, ms_max)); }

  Schedule& schedule_;
  ApiClient& api_;
  Ledger& ledger_;
  Plan plan_;
  Random random_;
  std::string id_;
  size_t start_at_ = 0;  // recipients that are in when it starts
  bool started_ = false, closed_ = false, complete_ = false, checked_ = false;
  uint64_t asked_ = 0, acknowledged_ = 0;
  struct Batch {
    std::string id;
    uint64_t size = 0;
  };
  std::vector<Batch> batches_;  // that were acknowledged
  Random looks_;
  uint64_t looked_ = 0;
  Counts last_, in_batches_;
  int64_t resumes_ = 0;  // asked for, and perhaps still heard
};

}  // namespace postring::sim
