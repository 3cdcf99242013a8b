#include "sim/canaries.h"

namespace postring {

#ifdef POSTRING_CANARIES
namespace {

Canary the_one = Canary::none;

}  // namespace

Canary planted() { return the_one; }
#endif

namespace sim {
namespace {

constexpr int64_t kProduct = 100;  // plants from here on are Canary

constexpr int64_t of(Canary canary) { return kProduct + static_cast<int64_t>(canary); }

}  // namespace

std::span<const Planted> canaries() {
  static const std::vector<Planted> all = {
      {"lying_sync", kLyingSync, {}},
      {"lost_write", kLostWrite, {}},
      {"flipped_byte", kFlippedByte, {}},
#ifdef POSTRING_CANARIES
      {"success_before_fsync", of(Canary::success_before_fsync),
       {"crashes 40", "crash_power 1000", "crash_in_file 0", "faults_for_s 20", "batch 10",
        "recipients 400", "latency_us_max 60000", "sync_us_max 100000"}},
      {"outcome_dropped", of(Canary::outcome_dropped), {"recipients 400", "stops 3"}},
      {"lease_not_returned", of(Canary::lease_not_returned),
       {"crashes 0", "pauses 3", "messages_per_second 2", "burst 1", "domains 2"}},
      {"expiry_skipped_while_paused", of(Canary::expiry_skipped_while_paused),
       {"crashes 0", "pauses 2", "pause_s_max 900", "max_age_s 60", "messages_per_second 2",
        "burst 1", "domains 2", "faults_for_s 900"}},
      {"pause_forgotten", of(Canary::pause_forgotten),
       {"crashes 0", "pauses 3", "messages_per_second 2", "burst 1", "domains 2"}},
      {"deadline_forgotten", of(Canary::deadline_forgotten),
       {"crashes 0", "max_age_s 60", "messages_per_second 2", "burst 1", "domains 2"}},
      {"one_connection_too_many", of(Canary::one_connection_too_many),
       {"connections 2", "domains 1", "recipients 400"}},
      {"event_after_the_end", of(Canary::event_after_the_end), {}},
      {"attempt_not_counted", of(Canary::attempt_not_counted), {"smtp_defer 50"}},
      {"deferral_untold", of(Canary::deferral_untold), {"smtp_defer 50"}},
      {"bounce_counted_delivered", of(Canary::bounce_counted_delivered), {"crashes 0"}},
      {"rate_not_kept", of(Canary::rate_not_kept),
       {"crashes 0", "messages_per_second 5", "burst 1", "domains 2"}},
      {"wrong_recipient", of(Canary::wrong_recipient), {}},
      {"date_of_sending", of(Canary::date_of_sending), {"smtp_drop_dot 50"}},
      {"deferral_told_delivered", of(Canary::deferral_told_delivered), {"smtp_defer 50"}},
      {"duplicate_untold", of(Canary::duplicate_untold), {"crashes 0", "smtp_drop_dot 50"}},
      {"duplicate_told_of_all", of(Canary::duplicate_told_of_all), {}},
      {"bounced_for_nothing", of(Canary::bounced_for_nothing), {"smtp_defer 50"}},
      {"dot_at_piece_edge", of(Canary::dot_at_piece_edge), {"dotted_values 500"}},
#endif
  };
  return all;
}

bool carries_product_bugs() {
#ifdef POSTRING_CANARIES
  return true;
#else
  return false;
#endif
}

bool plant([[maybe_unused]] int64_t plant) {
#ifdef POSTRING_CANARIES
  the_one = plant > kProduct ? static_cast<Canary>(plant - kProduct) : Canary::none;
#endif
  return plant <= kProduct || carries_product_bugs();
}

}  // namespace sim
}  // namespace postring
