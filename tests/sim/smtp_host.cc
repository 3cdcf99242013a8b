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
  ehlo_ = !faults.met(random_, o.smtp_no_ehlo);
  pipelining_ = pipelining_ && ehlo_;
  chunking_ = chunking_ && ehlo_;
  knows_bdat_ = !faults.met(random_, o.smtp_no_bdat);
  takes_ahead_ = !faults.met(random_, o.smtp_no_ahead);
  takes_within_ = takes_ahead_ || random_.chance(1, 2);
  always_354_ = faults.met(random_, o.smtp_354_always);
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
