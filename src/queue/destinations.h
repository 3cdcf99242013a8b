// Destinations: what is ready, by where it goes and where it may leave from.
//
// A destination is a recipient domain with a set of sources. Within it a flow holds the ready
// recipients of one campaign and class, first in first out. The flows that may send stand in a ring
// per class; taking one recipient moves on to the next flow, and a class is served only when the
// ones before it have nothing. Flows of campaigns that may not send stand aside in their campaign's
// list of parked ones: they are found to be so when their turn comes, not when the campaign stops.
//
// A flow is kept while any entry names it (also one that is due later or leased), a destination
// while it has flows.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mail/ids.h"
#include "queue/recipients.h"
#include "queue/slots.h"

namespace postring::queue {

using SourceSet = uint32_t;  // 0: no names, the configuration's default
constexpr uint32_t kSourceSetsMax = 65'536;
constexpr size_t kClasses = 3;

// Lists of source names, each known by a number. Never forgotten: there are as many as the
// configuration and its campaigns name.
class SourceSets {
 public:
  SourceSets() { number_of({}); }
  // 0 too where there are too many.
  SourceSet number_of(const std::vector<std::string>& names);
  SourceSet number_of_one(std::string_view name);
  const std::vector<std::string>& names(SourceSet set) const { return sets_[set]; }
  static std::string joined(const std::vector<std::string>& names);  // with commas

 private:
  std::map<std::string, SourceSet, std::less<>> numbers_;  // by names as joined() has them
  std::vector<std::vector<std::string>> sets_;
};

// Offered in a turn, so that a start with very many of them does not keep the first waiting.
constexpr uint32_t kOffersPerTurn = 512;

enum class FlowPlace : uint8_t { aside, ring, parked };  // aside: it is empty

constexpr uint32_t kCampaignNumberBits = 28;

// Half a cache line: a campaign may have one in every domain.
struct Flow {
  uint32_t destination = 0;
  uint32_t campaign : kCampaignNumberBits = 0;  // the home's number of it
  MailClass mail_class : 2 = MailClass::bulk;
  FlowPlace place : 2 = FlowPlace::aside;
  EntryList entries;
  Slot ring_next = kNoSlot;  // in the ring, or in the campaign's parked list
  Slot ring_prev = kNoSlot;
  Slot next = kNoSlot;  // in the index
  uint32_t users = 0;   // entries that name it
};
static_assert(sizeof(Flow) == 32);

struct Destination {
  std::string domain;
  SourceSet sources = 0;
  uint32_t generation = 0;
  uint32_t flows = 0;
  std::array<Slot, kClasses> rings = {kNoSlot, kNoSlot, kNoSlot};  // the flow whose turn it is
  Slot next = kNoSlot;  // in the index
  bool offered = false;
  bool hurried = false;    // offered with its transactional mail
  bool announced = false;  // in the list of those to be offered
};

class Destinations {
 public:
  explicit Destinations(uint64_t seed) : seed_(seed) {}

  Flow& flow(uint32_t number) { return flows_[number]; }
  const Flow& flow(uint32_t number) const { return flows_[number]; }
  Destination& destination(uint32_t number) { return destinations_[number]; }
  const Destination& destination(uint32_t number) const { return destinations_[number]; }
  const Destination& of_flow(uint32_t number) const {
    return destinations_[flows_[number].destination];
  }

  // The flow, made where there is none; the caller names it once more from now on.
  uint32_t use_flow(std::string_view domain, SourceSet sources, uint32_t campaign,
                    MailClass mail_class);
  // As use_flow() of another source set for the same domain, campaign and class.
  uint32_t use_flow_like(uint32_t flow, SourceSet sources);
  void release_flow(uint32_t number);

  // The same in steps, for recovery: destinations first, and their flows when it is known who still
  // lives. forget_unused() ends the destinations that got none. What is prefetched is what will be
  // looked at: the index first, and when that is there, what it names.
  uint32_t use_destination(std::string_view domain, SourceSet sources) {
    return use_destination(domain, sources, hash_of_destination(domain, sources));
  }
  uint32_t use_destination(std::string_view domain, SourceSet sources, uint64_t hash);
  uint64_t hash_of_destination(std::string_view domain, SourceSet sources) const;
  void prefetch_destination_index(uint64_t hash) const { destination_index_.prefetch(hash); }
  void prefetch_destination(uint64_t hash) const;
  uint32_t use_destination_like(uint32_t destination, SourceSet sources);
  void reserve_flows(uint64_t count) { flow_index_.reserve(count); }
  void prefetch_index(uint32_t destination, uint32_t campaign, MailClass mail_class) const;
  void prefetch_flow(uint32_t destination, uint32_t campaign, MailClass mail_class) const;
  uint32_t use_flow_in(uint32_t destination, uint32_t campaign, MailClass mail_class);
  void forget_unused();
  // Ends the announcement of a destination, which kept it; false where it is gone with that.
  bool end_announcement(uint32_t destination);

  // Puts a flow that is aside or parked into its destination's ring, last.
  void enter_ring(uint32_t number);
  void leave_ring(uint32_t number);
  // The flow whose turn it is, kNoSlot where nothing is ready. Does not move on.
  Slot next_flow(uint32_t destination) const;
  // The class's ring goes on behind the flow.
  void move_on(uint32_t number);
  bool has_ready(uint32_t destination) const { return next_flow(destination) != kNoSlot; }

  uint32_t count() const { return destinations_.used(); }
  uint32_t end() const { return destinations_.end(); }
  uint64_t bytes() const;

 private:
  struct FlowLinks;
  struct DestinationLinks;
  void forget_destination(uint32_t number);

  uint64_t seed_;
  SlotTable<Flow, 4'096> flows_;
  SlotTable<Destination, 1'024> destinations_;
  SlotIndex flow_index_;
  SlotIndex destination_index_;
  uint32_t generation_ = 0;
};

}  // namespace postring::queue
