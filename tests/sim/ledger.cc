#include "sim/ledger.h"

#include <algorithm>

#include "base/hash.h"

namespace postring::sim {
namespace {

constexpr Duration kSecond = Duration::seconds(1);  // deadlines are whole seconds
constexpr Duration kExpiresWithin = Duration::seconds(60);
// All of a transaction's timeouts.
constexpr Duration kTransactionMax = Duration::minutes(20);
constexpr Duration kMailTimeout = Duration::minutes(5);

// After there is room again: until the product has seen it.
constexpr Duration kDiskFullFor = Duration::seconds(10);

bool is_end(const std::string& type) {
  return type == "delivered" || type == "bounced" || type == "expired" || type == "cancelled";
}

}  // namespace

void Ledger::broke(const std::string& what) {
  if (broken_.empty()) broken_ = what;
}

void Ledger::note(const std::string& what, const std::string& address, uint64_t detail,
                  uint64_t more) {
  schedule_.note(what + " " + address, detail, more);
  if (on_note) on_note("ledger: " + what + " " + address);
}

Person& Ledger::add(const std::string& address, const std::string& campaign) {
  Person& person = people_[address];
  person.campaign = campaign;
  return person;
}

Person* Ledger::find(const std::string& address) {
  auto found = people_.find(address);
  return found == people_.end() ? nullptr : &found->second;
}

std::shared_ptr<Instant> Ledger::transaction(const std::string& address) {
  auto answered = std::make_shared<Instant>(Instant::never());
  if (Person* person = find(address)) person->transactions.push_back(answered);
  return answered;
}

void Ledger::content_arrived(const std::string& address, uint64_t hash) {
  Person* person = find(address);
  if (person == nullptr) return broke("no stranger: mail for " + address);
  note("content", address, hash);
  if (person->attempts++ == 0) person->content = hash;
  if (person->content != hash) broke("same bytes: two contents for " + address);
}

bool Ledger::excused(const Delivery& delivery) const {
  if (*delivery.seen == Instant::never()) return true;
  return std::any_of(ends_.begin(), ends_.end(), [&delivery](const End& end) {
    return delivery.at <= end.until && *delivery.seen >= end.since;
  });
}

void Ledger::delivered(const std::string& address, std::shared_ptr<Instant> seen) {
  Person* person = find(address);
  if (person == nullptr) return broke("no stranger: mail for " + address);
  note("taken", address, person->content);
  ++deliveries_;
  if (!person->deliveries.empty()) {
    ++duplicates_;
    if (!excused(person->deliveries.back())) {
      broke("excuse: " + address + " got a second message though the reply to the first was seen");
    }
  }
  person->deliveries.push_back({schedule_.now(), std::move(seen), person->last_mail});
}

void Ledger::refused_for_ever(const std::string& address) {
  Person* person = find(address);
  if (person == nullptr) return broke("no stranger: RCPT for " + address);
  person->refused_for_ever = true;
}

void Ledger::submitted(const std::string& address, Duration max_age) {
  Person* person = find(address);
  person->submitted = schedule_.now();
  person->max_age = max_age;
}

void Ledger::acknowledged(const std::string& address) {
  Person* person = find(address);
  note("acknowledged", address);
  person->acknowledged = true;
  person->answered = schedule_.now();
  // The daemon read the clock at some moment before this.
  person->deadline = wall_.highest(schedule_.now()) + person->max_age;
}

void Ledger::stopped(const std::string& campaign) { stopped_.emplace(campaign, schedule_.now()); }

void Ledger::erasure_asked(const std::string& address) {
  find(address)->erasure_began = true;
  ++erasures_;
}

void Ledger::erased(const std::string& address, bool at_rest) {
  Person* person = find(address);
  note("erased", address);
  person->erased = schedule_.now();
  person->erased_at_rest = at_rest;
}

void Ledger::goes_on(const std::string& campaign) { stopped_.erase(campaign); }

void Ledger::mail(const std::string& address, Instant sent) {
  Person* person = find(address);
  if (person == nullptr) return broke("no stranger: RCPT for " + address);
  note("MAIL", address, static_cast<uint64_t>(sent.us));
  person->last_mail = sent;
  auto stop = stopped_.find(person->campaign);
  if (stop != stopped_.end() && sent > stop->second + grace) {
    broke("stopped: MAIL for " + address + " though " + person->campaign + " stands still");
  }
  if (person->erased_at_rest && sent > person->erased + grace) {
    broke("erased: MAIL for " + address);
  }
  bool late = person->deadline.is_set() &&
              wall_.lowest(std::max(Instant{}, sent - grace), sent) > person->deadline + kSecond;
  if (late) {
    broke("expiry: MAIL for " + address + " after its deadline");
  }
}

void Ledger::check_order(const std::string& address, const Person& person, const Told& event) {
  if (is_end(person.end)) {
    return broke("once final: " + address + " was " + person.end + " and then " + event.type);
  }
  bool attempted = event.type != "expired" && event.type != "cancelled";
  if (event.attempt < person.last_attempt + (attempted ? 1 : 0)) {
    broke("order: " + address + " is told attempt " + std::to_string(event.attempt) + " after " +
          std::to_string(person.last_attempt));
  }
}

// The process that had sent it ended before it was safe that the reply was lost: it may have waited
// for the reply until then, or had no room to write that down.
bool Ledger::forgotten(const Delivery& delivery) const {
  bool was_full = disk_since_ == Instant::never() || disk_last_full_ >= delivery.at;
  return std::any_of(ends_.begin(), ends_.end(), [&](const End& end) {
    return delivery.mailed <= end.until && (was_full || end.since <= delivery.at + kTransactionMax);
  });
}

void Ledger::check_duplicate(const std::string& address, const Person& person, const Told& event) {
  auto lost = [](const auto& received) { return *received == Instant::never(); };
  if (event.possible_duplicate) {
    if (std::any_of(person.transactions.begin(), person.transactions.end(), lost)) return;
    return broke("duplicate: " + address + " is said to be one, and every reply was received");
  }
  Instant logged = wall_.first(event.logged);
  for (const Delivery& one : person.deliveries) {
    if (!lost(one.seen) || one.at > logged || forgotten(one) || unwritten(one, logged)) continue;
    broke("duplicate: " + address + " is " + event.type +
          ", the reply to an earlier content was lost, and nothing is said of that");
  }
}

// On a full disk a deferral is not written, and a start knows nothing of it.
bool Ledger::unwritten(const Delivery& delivery, Instant logged) const {
  if (!disk_was_full_since(delivery.at)) return false;
  return std::any_of(starts_.begin(), starts_.end(), [&](Instant start) {
    return delivery.at < start && start <= logged;
  });
}

// Every attempt that counts has an event, but for deferrals on a full disk.
void Ledger::check_attempts(const std::string& address, const Person& person, const Told& event) {
  bool attempted = event.type != "expired" && event.type != "cancelled";
  if (event.attempt <= person.last_attempt + (attempted ? 1 : 0)) return;
  if (disk_was_full_since(person.last_logged)) return;
  broke("attempts: " + address + " is " + event.type + " by attempt " +
        std::to_string(event.attempt) + ", and the last that was told is " +
        std::to_string(person.last_attempt));
}

void Ledger::check_expiry(const std::string& address, const Person& person, WallTime logged) {
  if (!person.deadline.is_set() || disk_since_ == Instant::never()) return;
  Instant at = wall_.first(logged);
  Instant deadline = wall_.last_reached(person.deadline, at);
  if (deadline == Instant::never()) return;
  Instant since = std::max(deadline, disk_since_);
  for (Instant start : starts_) {
    if (start <= at) since = std::max(since, start);
  }
  bool under_way = person.last_mail != Instant{} && person.last_mail + kTransactionMax >= deadline;
  for (Instant sent : unanswered_) {
    under_way = under_way || (sent <= at && at <= sent + kMailTimeout + grace);
  }
  if (under_way || at <= since + kExpiresWithin + kSecond + grace) return;
  broke("expiry: " + address + " is said to have expired " +
        std::to_string((at - since).whole_seconds()) + " s late");
}

// The daemon read the clock between question and answer; its deadline has passed when the clock has
// shown it once.
bool Ledger::may_have_expired(const Person& person) const {
  Instant now = schedule_.now();
  WallTime earliest = wall_.lowest(person.submitted, std::min(now, person.answered));
  return wall_.highest(now) + kSecond >= earliest + person.max_age;
}

void Ledger::check_cause(const std::string& address, const Person& person, const Told& event) {
  bool damaged = bits_flipped_ && event.says_damaged;
  if (event.type == "bounced" && !person.refused_for_ever && !takes_no_mail(address) && !damaged) {
    broke("cause: " + address + " bounced, and nobody has refused it for good");
  }
  if (event.type == "expired" && !may_have_expired(person)) {
    broke("cause: " + address + " is said to have expired before its deadline");
  }
  bool asked = person.erasure_began || cancelled_.contains(person.campaign);
  if (event.type == "cancelled" && !asked) {
    broke("cause: " + address + " was cancelled, and nobody has asked for that");
  }
}

void Ledger::told(const std::string& address, const Told& event) {
  Person* person = find(address);
  if (person == nullptr) return broke("told: an event about a stranger, " + address);
  if (person->tenant != event.tenant) {
    broke("own tenant: " + event.tenant + " is told of " + address);
  }
  if (person->is_erased_before(event.asked)) broke("erased: " + address + " is told " + event.type);
  auto [known, is_new] = person->events.emplace(event.id, event.type);
  if (known->second != event.type) broke("told: event " + event.id + " was " + known->second);
  if (!is_new) return;
  ++events_;
  note("told " + event.type, address, hash64(event.id), event.attempt);
  check_order(address, *person, event);
  check_attempts(address, *person, event);
  check_duplicate(address, *person, event);
  check_cause(address, *person, event);
  if (event.type == "expired") check_expiry(address, *person, event.logged);
  person->end = event.type;
  person->last_attempt = event.attempt;
  person->last_logged = wall_.first(event.logged);
  bool received = std::any_of(person->deliveries.begin(), person->deliveries.end(),
                              [](const Delivery& one) { return *one.seen != Instant::never(); });
  if (event.type == "delivered" && !received) {
    broke("told: " + address + " is told delivered and " +
          (person->deliveries.empty() ? "no host has it" : "no 250 was received"));
  }
}

void Ledger::process_ended(Instant since) { ends_.push_back({since, schedule_.now()}); }

void Ledger::disk_full(bool full) {
  if (disk_since_ == Instant::never()) disk_last_full_ = schedule_.now();
  disk_since_ = full ? Instant::never() : schedule_.now();
}

bool Ledger::disk_was_full_since(Instant since) const {
  return disk_since_ == Instant::never() ||
         (disk_last_full_ != Instant{} && disk_last_full_ + kDiskFullFor >= since);
}

void Ledger::counted(const std::string& campaign, const std::map<std::string, uint64_t>& ends) {
  counted_[campaign] = ends;
}

void Ledger::check_counts() {
  if (bits_flipped_) return;  // some ends are nobody's
  std::map<std::string, std::map<std::string, uint64_t>> told;
  for (const auto& [address, person] : people_) ++told[person.campaign][person.end];
  for (const auto& [campaign, ends] : counted_) {
    for (const auto& [end, count] : ends) {
      if (told[campaign][end] == count) continue;
      broke("counts: " + std::to_string(count) + " of " + campaign + " count as " + end + ", " +
            std::to_string(told[campaign][end]) + " were told so");
    }
  }
}

void Ledger::told_nameless(const Told& event) {
  if (!is_end(event.type)) return;
  if (!nameless_.emplace(event.id, event.type).second) return;
  note("told " + event.type, "nobody", hash64(event.id), event.attempt);
  if (event.erased && ++erased_ends_ <= erasures_) return;
  if (!bits_flipped_) broke("cause: nobody can read whose end " + event.id + " is");
}

size_t Ledger::unended() const {
  auto count = std::count_if(people_.begin(), people_.end(), [](const auto& entry) {
    return entry.second.acknowledged && !is_end(entry.second.end);
  });
  return static_cast<size_t>(count);
}

void Ledger::check_ends() {
  bool all = all_ended();
  for (const auto& [address, person] : people_) {
    if (!person.acknowledged) continue;
    if (!is_end(person.end) && !all) {
      broke("no loss: " + address + " was acknowledged and " +
            (person.end.empty() ? "nothing was told" : "the last that was told is " + person.end));
    }
    bool certain = std::any_of(person.deliveries.begin(), person.deliveries.end(),
                               [this](const Delivery& one) { return !excused(one); });
    if (certain && is_end(person.end) && person.end != "delivered") {
      broke("told: " + address + " was delivered, the 250 was received, and it is told " +
            person.end);
    }
  }
  check_counts();
}

}  // namespace postring::sim
