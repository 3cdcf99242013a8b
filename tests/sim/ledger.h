// Ledger: what the world knows, and what must be true of it. It asks nothing of the product but
// what a client or a reader of events is told.
//
// Clients write down who was acknowledged, hosts what they took and from whom, readers what they
// were told, the world when a process ended. The laws (style of names: what must hold):
//
//   no loss         who was acknowledged ends delivered, bounced, expired or cancelled
//   no stranger     nobody else gets mail
//   excuse          a second delivery follows a reply that was not seen, or an end of the process
//   same bytes      every attempt for a recipient carries the same message
//   told            every recipient's end is told by an event that agrees with the hosts
//   once final      no recipient is told two different ends, and nothing follows the end
//   rate            a site's limit of messages and connections is never exceeded
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "sim/schedule.h"

namespace postring::sim {

struct Delivery {
  Instant at;
  // When the process had received the 250; never: it has not.
  std::shared_ptr<Instant> seen;
};

struct Person {
  std::string campaign;      // its name in the world
  bool acknowledged = false;
  bool refused_for_ever = false;  // some host answers 5yz, always
  std::vector<Delivery> deliveries;
  uint64_t attempts = 0;   // contents that arrived whole
  uint64_t content = 0;    // their hash
  std::string end;         // the type of the last event
  std::map<std::string, std::string> events;  // their types by their ids
};

class Ledger {
 public:
  explicit Ledger(Schedule& schedule) : schedule_(schedule) {}
  // Gets a line for everything that is written down.
  std::function<void(const std::string&)> on_note;

  // The first broken law ends the run; `what` begins with its name.
  void broke(const std::string& what);
  const std::string& broken() const { return broken_; }

  Person& add(const std::string& address, const std::string& campaign);
  Person* find(const std::string& address);
  const std::map<std::string, Person>& people() const { return people_; }

  // From hosts.
  void content_arrived(const std::string& address, uint64_t hash);
  void delivered(const std::string& address, std::shared_ptr<Instant> seen);
  // From readers.
  // The same event may be told again: then it says the same.
  void told(const std::string& address, const std::string& id, const std::string& type);
  // An end of the process that may lose outcomes of the time before it, back to `since`.
  void process_ended(Instant since);

  // Counted for the report.
  uint64_t deliveries() const { return deliveries_; }
  uint64_t duplicates() const { return duplicates_; }
  uint64_t events() const { return events_; }

  // At the end, when everything has drained.
  void check_ends();
  bool all_ended() const;

 private:
  struct End {
    Instant since, until;
  };
  bool excused(const Delivery& delivery) const;
  void note(std::string_view what, const std::string& address);

  Schedule& schedule_;
  std::string broken_;
  std::map<std::string, Person> people_;
  std::vector<End> ends_;
  uint64_t deliveries_ = 0, duplicates_ = 0, events_ = 0;
};

}  // namespace postring::sim
