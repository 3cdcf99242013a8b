#include "queue/aims.h"

#include <algorithm>

namespace postring::queue {

void Aims::add(Slot slot, std::string_view domain, SourceSet sources, MailClass mail_class) {
  uint64_t hash = destinations_.hash_of_destination(domain, sources);
  if (domain.size() > sizeof(Aim::domain)) {
    Toward{destinations_.use_destination(domain, sources, hash), mail_class}.keep(
        recipients_[slot]);
    return;
  }
  destinations_.prefetch_destination_index(hash);
  if (count_ == kPlaces) settle_first();
  Aim& aim = places_[(first_ + count_++) % kPlaces];
  aim.slot = slot;
  aim.sources = sources;
  aim.hash = hash;
  aim.mail_class = mail_class;
  aim.domain_size = static_cast<uint8_t>(domain.size());
  std::copy(domain.begin(), domain.end(), aim.domain);
  if (count_ < kPlaces / 2) return;
  // The index's part of this one was asked for some recipients ago.
  destinations_.prefetch_destination(places_[(first_ + count_ - kPlaces / 2) % kPlaces].hash);
}

void Aims::settle_first() {
  const Aim& aim = places_[first_];
  first_ = (first_ + 1) % kPlaces;
  --count_;
  std::string_view domain(aim.domain, aim.domain_size);
  Toward{destinations_.use_destination(domain, aim.sources, aim.hash), aim.mail_class}.keep(
      recipients_[aim.slot]);
}

}  // namespace postring::queue
