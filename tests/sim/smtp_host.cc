#include "sim/smtp_host.h"

#include <charconv>

#include "base/hash.h"
#include "sim/smtp_session.h"

namespace postring::sim {

SmtpHost::SmtpHost(Schedule& schedule, Faults& faults, Ledger& ledger, std::string name,
                   uint64_t seed)
    : schedule_(schedule),
      faults_(faults),
      ledger_(ledger),
      name_(std::move(name)),
      random_(seed),
      salt_(seed) {
  const Options& o = faults.options;
  pipelining_ = !random_.chance(static_cast<uint64_t>(o.smtp_no_pipelining), 1'000);
  chunking_ = !random_.chance(static_cast<uint64_t>(o.smtp_no_chunking), 1'000);
}

std::shared_ptr<Actor> SmtpHost::accept() {
  connections_peak_ = std::max(connections_peak_, ++connections_);
  return std::make_shared<SmtpSession>(*this, ++accepted_);
}

bool SmtpHost::of_people(std::string_view address, std::string_view what, int64_t chance) const {
  return hash64(std::string(what) + std::string(address), salt_) % 1'000 <
         static_cast<uint64_t>(chance);
}

}  // namespace postring::sim
