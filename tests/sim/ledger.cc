#include "sim/ledger.h"

#include <algorithm>

namespace postring::sim {
namespace {

bool is_end(const std::string& type) {
  return type == "delivered" || type == "bounced" || type == "expired" || type == "cancelled";
}

}  // namespace

void Ledger::broke(const std::string& what) {
  if (broken_.empty()) broken_ = what;
}

void Ledger::note(std::string_view what, const std::string& address) {
  schedule_.note(what, people_.size());
  if (on_note) on_note("ledger: " + std::string(what) + " " + address);
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

void Ledger::content_arrived(const std::string& address, uint64_t hash) {
  Person* person = find(address);
  if (person == nullptr) return broke("no stranger: mail for " + address);
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
  note("taken", address);
  ++deliveries_;
  if (!person->deliveries.empty()) {
    ++duplicates_;
    if (!excused(person->deliveries.back())) {
      broke("excuse: " + address + " got a second message though the reply to the first was seen");
    }
  }
  person->deliveries.push_back({schedule_.now(), std::move(seen)});
}

void Ledger::told(const std::string& address, const std::string& id, const std::string& type) {
  Person* person = find(address);
  if (person == nullptr) return broke("told: an event about a stranger, " + address);
  auto [known, is_new] = person->events.emplace(id, type);
  if (known->second != type) broke("told: event " + id + " was " + known->second);
  if (!is_new) return;
  ++events_;
  note("told " + type, address);
  if (is_end(person->end) && type != person->end) {
    broke("once final: " + address + " was " + person->end + " and then " + type);
  }
  person->end = type;
  if (type == "delivered" && person->deliveries.empty()) {
    broke("told: " + address + " is told delivered and no host has it");
  }
}

void Ledger::process_ended(Instant since) { ends_.push_back({since, schedule_.now()}); }

bool Ledger::all_ended() const {
  return std::all_of(people_.begin(), people_.end(), [](const auto& entry) {
    return !entry.second.acknowledged || is_end(entry.second.end);
  });
}

void Ledger::check_ends() {
  for (const auto& [address, person] : people_) {
    if (!person.acknowledged) continue;
    if (!is_end(person.end)) {
      broke("no loss: " + address + " was acknowledged and " +
            (person.end.empty() ? "nothing was told" : "the last that was told is " + person.end));
    }
    if (person.end == "delivered" && person.deliveries.empty()) {
      broke("told: " + address + " was told delivered and no host has it");
    }
  }
}

}  // namespace postring::sim
