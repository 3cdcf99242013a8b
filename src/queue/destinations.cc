#include "queue/destinations.h"

#include "base/hash.h"

namespace postring::queue {
namespace {

uint64_t hash_of_flow(uint32_t destination, uint32_t campaign, MailClass mail_class) {
  uint64_t word = uint64_t{destination} << 32 | campaign;
  word = (word ^ static_cast<uint64_t>(mail_class) << 30) * 0x9e3779b97f4a7c15u;
  word ^= word >> 32;
  word *= 0xbf58476d1ce4e5b9u;
  return word ^ word >> 29;
}

}  // namespace

struct Destinations::FlowLinks {
  SlotTable<Flow, 4'096>& table;
  uint64_t hash(Slot slot) const {
    const Flow& flow = table[slot];
    return hash_of_flow(flow.destination, flow.campaign, flow.mail_class);
  }
  Slot& next(Slot slot) const { return table[slot].next; }
};

struct Destinations::DestinationLinks {
  Destinations& owner;
  uint64_t hash(Slot slot) const {
    const Destination& destination = owner.destinations_[slot];
    return owner.hash_of_destination(destination.domain, destination.sources);
  }
  Slot& next(Slot slot) const { return owner.destinations_[slot].next; }
};

std::string SourceSets::joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += ',';
    text += name;
  }
  return text;
}

SourceSet SourceSets::number_of(const std::vector<std::string>& names) {
  std::string key = joined(names);
  auto known = numbers_.find(key);
  if (known != numbers_.end()) return known->second;
  if (sets_.size() >= kSourceSetsMax) return 0;
  auto number = static_cast<SourceSet>(sets_.size());
  sets_.push_back(names);
  numbers_.emplace(std::move(key), number);
  return number;
}

SourceSet SourceSets::number_of_one(std::string_view name) {
  auto known = numbers_.find(name);
  return known != numbers_.end() ? known->second : number_of({std::string(name)});
}

uint64_t Destinations::hash_of_destination(std::string_view domain, SourceSet sources) const {
  return hash64(domain, seed_ + sources);
}

void Destinations::prefetch_destination(uint64_t hash) const {
  Slot first = destination_index_.first(hash);
  if (first != kNoSlot) destinations_.prefetch(first);
}

uint32_t Destinations::use_destination(std::string_view domain, SourceSet sources,
                                       uint64_t hash) {
  for (Slot at = destination_index_.first(hash); at != kNoSlot; at = destinations_[at].next) {
    if (destinations_[at].sources == sources && destinations_[at].domain == domain) return at;
  }
  Slot slot = destinations_.take();
  Destination& destination = destinations_[slot];
  destination.domain = domain;
  destination.sources = sources;
  destination.generation = ++generation_;
  destination_index_.add(slot, hash, DestinationLinks{*this});
  return slot;
}

uint32_t Destinations::use_flow_in(uint32_t destination, uint32_t campaign,
                                   MailClass mail_class) {
  uint64_t hash = hash_of_flow(destination, campaign, mail_class);
  for (Slot at = flow_index_.first(hash); at != kNoSlot; at = flows_[at].next) {
    Flow& flow = flows_[at];
    if (flow.destination == destination && flow.campaign == campaign &&
        flow.mail_class == mail_class) {
      ++flow.users;
      return at;
    }
  }
  CHECK(campaign >> kCampaignNumberBits == 0);
  Slot slot = flows_.take();
  Flow& flow = flows_[slot];
  flow.destination = destination;
  flow.campaign = campaign & ((1u << kCampaignNumberBits) - 1);
  flow.mail_class = mail_class;
  flow.users = 1;
  flow_index_.add(slot, hash, FlowLinks{flows_});
  ++destinations_[destination].flows;
  return slot;
}

uint32_t Destinations::use_flow(std::string_view domain, SourceSet sources, uint32_t campaign,
                                MailClass mail_class) {
  return use_flow_in(use_destination(domain, sources), campaign, mail_class);
}

uint32_t Destinations::use_destination_like(uint32_t number, SourceSet sources) {
  // A copy: the table of destinations may grow.
  std::string domain = destinations_[number].domain;
  return use_destination(domain, sources);
}

void Destinations::prefetch_index(uint32_t destination, uint32_t campaign,
                                  MailClass mail_class) const {
  flow_index_.prefetch(hash_of_flow(destination, campaign, mail_class));
  destinations_.prefetch(destination);
}

void Destinations::prefetch_flow(uint32_t destination, uint32_t campaign,
                                 MailClass mail_class) const {
  Slot first = flow_index_.first(hash_of_flow(destination, campaign, mail_class));
  if (first != kNoSlot) flows_.prefetch(first);
}

void Destinations::forget_unused() {
  for (Slot slot = 0; slot < destinations_.end(); ++slot) {
    const Destination& destination = destinations_[slot];
    bool made = destination.generation != 0;
    if (made && destination.flows == 0 && !destination.announced) forget_destination(slot);
  }
}

uint32_t Destinations::use_flow_like(uint32_t number, SourceSet sources) {
  // A copy: the table of flows may grow.
  const Flow flow = flows_[number];
  return use_flow_in(use_destination_like(flow.destination, sources), flow.campaign,
                     flow.mail_class);
}

void Destinations::release_flow(uint32_t number) {
  Flow& flow = flows_[number];
  CHECK(flow.users > 0);
  if (--flow.users > 0) return;
  CHECK(flow.entries.empty());
  CHECK(flow.place == FlowPlace::aside);
  uint32_t place = flow.destination;
  flow_index_.remove(number, hash_of_flow(place, flow.campaign, flow.mail_class),
                     FlowLinks{flows_});
  flows_.give(number);
  Destination& destination = destinations_[place];
  if (--destination.flows == 0 && !destination.announced) forget_destination(place);
}

void Destinations::forget_destination(uint32_t number) {
  const Destination& destination = destinations_[number];
  destination_index_.remove(number, hash_of_destination(destination.domain, destination.sources),
                            DestinationLinks{*this});
  destinations_.give(number);
}

bool Destinations::end_announcement(uint32_t number) {
  Destination& destination = destinations_[number];
  destination.announced = false;
  if (destination.flows > 0) return true;
  forget_destination(number);
  return false;
}

void Destinations::enter_ring(uint32_t number) {
  Flow& flow = flows_[number];
  CHECK(flow.place == FlowPlace::aside);
  flow.place = FlowPlace::ring;
  Slot& ring = destinations_[flow.destination].rings[static_cast<size_t>(flow.mail_class)];
  if (ring == kNoSlot) {
    ring = flow.ring_next = flow.ring_prev = number;
    return;
  }
  Flow& front = flows_[ring];
  flow.ring_next = ring;
  flow.ring_prev = front.ring_prev;
  flows_[front.ring_prev].ring_next = number;
  front.ring_prev = number;
}

void Destinations::leave_ring(uint32_t number) {
  Flow& flow = flows_[number];
  CHECK(flow.place == FlowPlace::ring);
  flow.place = FlowPlace::aside;
  Slot& ring = destinations_[flow.destination].rings[static_cast<size_t>(flow.mail_class)];
  if (flow.ring_next == number) {
    ring = kNoSlot;
  } else {
    flows_[flow.ring_prev].ring_next = flow.ring_next;
    flows_[flow.ring_next].ring_prev = flow.ring_prev;
    if (ring == number) ring = flow.ring_next;
  }
  flow.ring_next = flow.ring_prev = kNoSlot;
}

Slot Destinations::next_flow(uint32_t destination) const {
  for (Slot ring : destinations_[destination].rings) {
    if (ring != kNoSlot) return ring;
  }
  return kNoSlot;
}

void Destinations::move_on(uint32_t number) {
  const Flow& flow = flows_[number];
  CHECK(flow.place == FlowPlace::ring);
  destinations_[flow.destination].rings[static_cast<size_t>(flow.mail_class)] = flow.ring_next;
}

uint64_t Destinations::bytes() const {
  return flows_.bytes() + destinations_.bytes() + flow_index_.bytes() +
         destination_index_.bytes();
}

}  // namespace postring::queue
