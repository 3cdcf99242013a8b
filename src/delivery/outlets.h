// Outlets: where a lane's mail comes from, one for each destination, in fair rotation.
//
//   while (Outlet* outlet = outlets.next()) pull(outlet->id, ...);   // one pull at a time of each
//   ... outlets.came_back(id, more)
//
// An outlet is pulled from, then goes to the end of the line; one that has transactional mail goes
// to the front. What ran out is gone until it is added again.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <string>

#include "base/units.h"
#include "queue/lease.h"

namespace postring::delivery {

struct Outlet {
  queue::DestinationId id;
  uint32_t home_worker = 0;
  std::string domain;
  bool transactional = false;
  // DNS's answer is old by then: the destination is to be looked up again.
  Instant resolved_until;
  bool rerouting = false;
  uint32_t asked = 0;  // by the pull under way
};

class Outlets {
 public:
  // Adds it, or renews one that is there.
  void add(Outlet outlet);
  // Transactional mail has become ready in it: to the front.
  void hurry(const queue::DestinationId& id);
  // The destination is no longer this lane's.
  void drop(const queue::DestinationId& id);

  // The next in line, which is then being pulled; nullptr: none waits.
  Outlet* next();
  // Whether the next in line has transactional mail.
  bool next_is_transactional() const { return !hurried_line_.empty(); }
  // A pull ended; `transactional`: it brought such mail, of which there may be more. False where
  // the outlet is gone.
  bool came_back(const queue::DestinationId& id, bool more, bool transactional);

  Outlet* find(const queue::DestinationId& id);
  bool empty() const { return outlets_.empty(); }
  size_t size() const { return outlets_.size(); }
  // Outlets that are in line, and those whose pull has not come back.
  size_t waiting() const { return hurried_line_.size() + line_.size(); }
  size_t pulling() const { return pulling_; }

  // In the order of their ids.
  template <typename Visit>
  void each(Visit visit) {
    for (auto& [id, entry] : outlets_) visit(entry.outlet);
  }

 private:
  struct Entry {
    Outlet outlet;
    bool pulling = false;
    bool dropped = false;  // while it was being pulled
    bool hurried = false;  // while it was being pulled
    // In hurried_line_ where the outlet is transactional, else in line_, unless it is being pulled.
    std::list<queue::DestinationId>::iterator place{};
  };

  std::list<queue::DestinationId>& line_of(const Entry& entry) {
    return entry.outlet.transactional ? hurried_line_ : line_;
  }
  void line_up(Entry& entry);

  std::map<queue::DestinationId, Entry> outlets_;
  std::list<queue::DestinationId> hurried_line_;
  std::list<queue::DestinationId> line_;
  size_t pulling_ = 0;
};

}  // namespace postring::delivery
