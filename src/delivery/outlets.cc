#include "delivery/outlets.h"

#include <utility>

#include "base/check.h"

namespace postring::delivery {

void Outlets::line_up(Entry& entry) {
  auto& line = line_of(entry);
  entry.place = line.insert(line.end(), entry.outlet.id);
}

void Outlets::add(Outlet outlet) {
  auto [found, added] = outlets_.try_emplace(outlet.id);
  Entry& entry = found->second;
  if (added) {
    entry.outlet = std::move(outlet);
    line_up(entry);
    return;
  }
  bool hurries = std::exchange(outlet.transactional, entry.outlet.transactional);
  outlet.asked = entry.outlet.asked;
  entry.outlet = std::move(outlet);
  entry.dropped = false;
  if (hurries) hurry(entry.outlet.id);
}

void Outlets::hurry(const queue::DestinationId& id) {
  auto found = outlets_.find(id);
  if (found == outlets_.end()) return;
  Entry& entry = found->second;
  if (entry.pulling) {
    // What is on its way may not hold what it is to hurry for.
    entry.hurried = true;
  } else if (!entry.outlet.transactional) {
    line_.erase(entry.place);
    entry.outlet.transactional = true;
    line_up(entry);
  }
}

void Outlets::drop(const queue::DestinationId& id) {
  auto found = outlets_.find(id);
  if (found == outlets_.end()) return;
  if (found->second.pulling) {
    found->second.dropped = true;
    return;
  }
  line_of(found->second).erase(found->second.place);
  outlets_.erase(found);
}

Outlet* Outlets::next() {
  auto& line = hurried_line_.empty() ? line_ : hurried_line_;
  if (line.empty()) return nullptr;
  Entry& entry = outlets_.at(line.front());
  line.pop_front();
  entry.pulling = true;
  entry.hurried = false;
  entry.outlet.transactional = false;
  ++pulling_;
  return &entry.outlet;
}

bool Outlets::came_back(const queue::DestinationId& id, bool more, bool transactional) {
  auto found = outlets_.find(id);
  CHECK(found != outlets_.end());
  Entry& entry = found->second;
  CHECK(entry.pulling, "a pull came back that was not made");
  entry.pulling = false;
  --pulling_;
  if (entry.dropped || !(more || entry.hurried)) {
    outlets_.erase(found);
    return false;
  }
  entry.outlet.transactional = entry.hurried || transactional;
  line_up(entry);
  return true;
}

Outlet* Outlets::find(const queue::DestinationId& id) {
  auto found = outlets_.find(id);
  return found == outlets_.end() ? nullptr : &found->second.outlet;
}

}  // namespace postring::delivery
