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
//   order           a recipient's events are told in the order of its attempts
//   stopped         no MAIL of a campaign goes out after the answer to pause or cancel
//   expiry          no MAIL goes out after the deadline as the wall clock shows it, and who has
//                   expired is said to within 60 s of the moment it did, or of the start or the
//                   room on the disk that it had to wait for, or had been under way
//   rate            a site's limit of messages and connections is never exceeded (world)
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
#include "sim/wall.h"

namespace postring::sim {

struct Delivery {
  Instant at;
  // When the process had received the 250; never: it has not.
  std::shared_ptr<Instant> seen;
};

struct Person {
  std::string campaign;      // its name in the world
  std::string name;          // what its message greets
  bool acknowledged = false;
  bool refused_for_ever = false;  // some host answers 5yz, always
  std::vector<Delivery> deliveries;
  uint64_t attempts = 0;   // contents that arrived whole
  uint64_t content = 0;    // their hash
  std::string end;         // the type of the last event
  uint64_t last_attempt = 0;                   // of the last event
  WallTime deadline;                           // no earlier than what the daemon has
  Instant last_mail{};                         // the last that went out to it
  std::map<std::string, std::string> events;  // their types by their ids
};

struct Told {
  std::string id, type;
  uint64_t attempt = 0;
  WallTime logged;
};

class Ledger {
 public:
  Ledger(Schedule& schedule, const Wall& wall) : schedule_(schedule), wall_(wall) {}
  // Gets a line for everything that is written down.
  std::function<void(const std::string&)> on_note;

  // The first broken law ends the run; `what` begins with its name.
  void broke(const std::string& what);
  const std::string& broken() const { return broken_; }

  Person& add(const std::string& address, const std::string& campaign);
  Person* find(const std::string& address);
  const std::map<std::string, Person>& people() const { return people_; }

  // From hosts.
  // A MAIL that was sent at this moment is for the address.
  void mail(const std::string& address, Instant sent);
  void content_arrived(const std::string& address, uint64_t hash);
  void delivered(const std::string& address, std::shared_ptr<Instant> seen);
  // From clients.
  void acknowledged(const std::string& address, Duration max_age);
  // The answer says that nothing of the campaign goes out any more; somebody asks to go on.
  void stopped(const std::string& campaign);
  void goes_on(const std::string& campaign);
  // From readers.
  // The same event may be told again: then it says the same.
  void told(const std::string& address, const Told& event);
  // Of a recipient whose record cannot be read any more: nobody knows of whom.
  void told_nameless(const Told& event);
  // An end of the process that may lose outcomes of the time before it, back to `since`.
  void process_ended(Instant since);
  void process_started() { starts_.push_back(schedule_.now()); }
  void disk_full(bool full) { disk_since_ = full ? Instant::never() : schedule_.now(); }
  // How long what was decided may take to leave the machine.
  Duration grace = Duration::milliseconds(100);

  // Counted for the report.
  uint64_t deliveries() const { return deliveries_; }
  uint64_t duplicates() const { return duplicates_; }
  uint64_t events() const { return events_; }

  // At the end, when everything has drained.
  void check_ends();
  bool all_ended() const { return unended() <= nameless_.size(); }

 private:
  size_t unended() const;
  struct End {
    Instant since, until;
  };
  bool excused(const Delivery& delivery) const;
  void check_order(const std::string& address, const Person& person, const Told& event);
  void check_expiry(const std::string& address, const Person& person, WallTime logged);
  void note(std::string_view what, const std::string& address);

  Schedule& schedule_;
  const Wall& wall_;
  std::string broken_;
  std::map<std::string, Person> people_;
  std::vector<End> ends_;
  std::vector<Instant> starts_;
  Instant disk_since_{};  // has had room
  std::map<std::string, std::string> nameless_;  // types of ends by their event's id
  std::map<std::string, Instant> stopped_;  // campaigns
  uint64_t deliveries_ = 0, duplicates_ = 0, events_ = 0;
};

}  // namespace postring::sim
