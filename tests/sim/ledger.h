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
//   told            every recipient's end is told by an event that agrees with the hosts,
//                   and who received a 250 and lived on tells that it was delivered
//   cause           who bounced was refused for good by a host or belongs to a domain that takes no
//                   mail; who expired could have; who was cancelled belongs to what was cancelled;
//                   whose record cannot be read any more is one of those of which a bit was flipped
//   once final      no recipient is told two different ends, and nothing follows the end
//   duplicate       after a content whose reply was lost every event says possible_duplicate, and
//                   none does without one
//   order           a recipient's events are told in the order of its attempts
//   attempts        none of them is left out, but where the disk was full meanwhile: deferrals are
//                   forgotten then, so that there is room for ends
//   counts          of campaigns and batches: they add up, at every moment; in the end the batches
//                   come to the campaign, and that to the ends that were told (with the submitter)
//   own tenant      a key is shown its own tenant's recipients and events only
//   erased          who was erased is named by no event or look-up that is asked for later, and
//                   gets no mail but what was under way
//   stopped         no MAIL of a campaign goes out after the answer to pause or cancel
//   expiry          no MAIL goes out after the deadline as the wall clock shows it, and who has
//                   expired is said to within 60 s of the moment it did, or of the start or the
//                   room on the disk that it had to wait for, or had been under way
//   rate            a site's limit of messages and connections is never exceeded (world)
//
// What happened goes into the run's hash: who was acknowledged, each MAIL and content, each event.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
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
  Instant mailed;  // when its MAIL was sent
};

struct Person {
  std::string campaign;      // its name in the world
  std::string name;          // what its message greets
  std::string tenant = "acme";
  std::string shared;        // the message whose content it shares with others; empty: its own
  bool acknowledged = false;
  bool refused_for_ever = false;  // a host has said 5yz, as it always does to this one
  std::vector<Delivery> deliveries;
  // When the reply to a content was received, of every transaction that it was taken into; never:
  // it was not.
  std::vector<std::shared_ptr<Instant>> transactions;
  uint64_t attempts = 0;   // contents that arrived whole
  uint64_t content = 0;    // their hash
  std::string end;         // the type of the last event
  uint64_t last_attempt = 0;                   // of the last event
  Instant last_logged{};                       // that event, or earlier
  WallTime deadline;                           // no earlier than what the daemon has
  Instant submitted = Instant::never(), answered = Instant::never();
  Duration max_age;
  Instant last_mail{};                         // the last that went out to it
  std::map<std::string, std::string> events;  // their types by their ids
  bool erasure_began = false;
  Instant erased = Instant::never();  // answered; nothing that is asked later may name it
  bool erased_at_rest = false;        // and nothing of it was under way

  bool is_erased_before(Instant asked) const { return asked > erased; }
};

struct Told {
  std::string id, type;
  uint64_t attempt = 0;
  bool possible_duplicate = false;
  WallTime logged;
  std::string tenant;  // of the reader
  Instant asked;       // when the reader asked for it
  bool erased = false;        // says itself that it hides whom it is about
  bool says_damaged = false;  // and that a record is
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
  // So was one that gets no answer, before the host heard for whom.
  void mail_unanswered(Instant sent) { unanswered_.push_back(sent); }
  // A host has taken the RCPT; it marks when the reply to the content was received.
  std::shared_ptr<Instant> transaction(const std::string& address);
  void content_arrived(const std::string& address, uint64_t hash);
  void delivered(const std::string& address, std::shared_ptr<Instant> seen);
  // It gets 5yz from that host, at every attempt.
  void refused_for_ever(const std::string& address);
  // From clients.
  // Asked for the first time: from now on it may be known.
  void submitted(const std::string& address, Duration max_age);
  void acknowledged(const std::string& address);
  // The answer says that nothing of the campaign goes out any more; somebody asks to go on.
  void stopped(const std::string& campaign);
  void goes_on(const std::string& campaign);
  // How many ended how, as it says when all of them have.
  void counted(const std::string& campaign, const std::map<std::string, uint64_t>& ends);
  void cancel_asked(const std::string& campaign) { cancelled_.insert(campaign); }
  void erasure_asked(const std::string& address);
  // The answer says so, and whether anything was under way then.
  void erased(const std::string& address, bool at_rest);
  // From readers.
  // The same event may be told again: then it says the same.
  void told(const std::string& address, const Told& event);
  // Of a recipient whose record cannot be read any more: nobody knows of whom.
  void told_nameless(const Told& event);
  // An end of the process that may lose outcomes of the time before it, back to `since`.
  void process_ended(Instant since);
  void process_started() { starts_.push_back(schedule_.now()); }
  // Of what the spool has durably.
  void bit_flipped() { bits_flipped_ = true; }
  // Whether the address's domain takes no mail, whenever one asks.
  std::function<bool(const std::string& address)> takes_no_mail;
  void disk_full(bool full);
  bool disk_was_full_since(Instant since) const;
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
  void check_cause(const std::string& address, const Person& person, const Told& event);
  bool may_have_expired(const Person& person) const;
  void check_duplicate(const std::string& address, const Person& person, const Told& event);
  bool forgotten(const Delivery& delivery) const;
  bool unwritten(const Delivery& delivery, Instant logged) const;
  void check_attempts(const std::string& address, const Person& person, const Told& event);
  void check_counts();
  // `detail` and `more` are of the run's hash.
  void note(const std::string& what, const std::string& address, uint64_t detail = 0,
            uint64_t more = 0);

  Schedule& schedule_;
  const Wall& wall_;
  std::string broken_;
  std::map<std::string, Person> people_;
  std::vector<End> ends_;
  std::vector<Instant> starts_;
  std::vector<Instant> unanswered_;
  Instant disk_since_{};  // has had room
  Instant disk_last_full_{};  // or this moment, where it is
  std::map<std::string, std::string> nameless_;  // types of ends by their event's id
  std::map<std::string, Instant> stopped_;  // campaigns
  std::set<std::string> cancelled_;         // campaigns
  std::map<std::string, std::map<std::string, uint64_t>> counted_;  // ends by campaign
  uint64_t erasures_ = 0, erased_ends_ = 0;
  bool bits_flipped_ = false;
  uint64_t deliveries_ = 0, duplicates_ = 0, events_ = 0;
};

}  // namespace postring::sim
