// Aims: where recipients go, while a log with very many of them is read. For recovery only.
//
//   Aims aims(recipients, destinations);
//   aims.add(slot, "x.test", sources, mail_class);  // a new entry, many times
//   aims.settle();                                  // before any of them is looked at or removed
//
// A recipient's destination is found some recipients later: what that looks at is all over the
// memory, and is there by then.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "mail/ids.h"
#include "queue/destinations.h"
#include "queue/recipients.h"

namespace postring::queue {

// What an entry's `flow` holds while the log is read: most of those that are read are over, and a
// flow is made for who still lives only.
struct Toward {
  uint32_t destination = 0;
  MailClass mail_class = MailClass::bulk;

  static Toward of(const Entry& entry) {
    return {entry.flow >> 2, static_cast<MailClass>(entry.flow & 3)};
  }
  void keep(Entry& entry) const {
    CHECK(destination >> 30 == 0);
    entry.flow = destination << 2 | static_cast<uint32_t>(mail_class);
  }
};

class Aims {
 public:
  Aims(Recipients& recipients, Destinations& destinations)
      : recipients_(recipients), destinations_(destinations) {}

  void add(Slot slot, std::string_view domain, SourceSet sources, MailClass mail_class);
  void settle() {
    while (count_ > 0) settle_first();
  }

 private:
  static constexpr uint32_t kPlaces = 16;
  struct Aim {
    Slot slot = 0;
    SourceSet sources = 0;
    uint64_t hash = 0;
    MailClass mail_class = MailClass::bulk;
    uint8_t domain_size = 0;
    char domain[46] = {};  // a longer one does not wait
  };
  void settle_first();

  Recipients& recipients_;
  Destinations& destinations_;
  std::array<Aim, kPlaces> places_;
  uint32_t first_ = 0;
  uint32_t count_ = 0;
};

}  // namespace postring::queue
