#include <algorithm>

#include "base/check.h"
#include "engine/control.h"

// Erasing an address. How far the ids of all homes have come says who was accepted before it. First
// that it is erased becomes durable: from then on no event of it names it. Then all homes end what
// lives of it, and reclaim their records; while they have not, every start of the process asks them
// again. What names it in older event segments is left out whenever they are read, and goes with
// them.
namespace postring::engine {

using Erased = std::optional<queue::Erased>;

// Of all homes of one worker.
void erase_at(Worker& worker, const Erasure& erasure, std::move_only_function<void(Erased)> done) {
  struct Gathered {
    size_t left = 1;
    Erased sum = queue::Erased{};
    std::move_only_function<void(Erased)> done;
    void end_one() {
      if (--left == 0) done(sum);
    }
  };
  auto gathered = std::make_shared<Gathered>();
  gathered->done = std::move(done);
  for (const auto& home : worker.homes()) {
    RecipientId end = erasure.end_of(home->slice());
    if (end == 0) continue;
    ++gathered->left;
    home->erase(erasure.address, erasure.tenant, end, [gathered](Erased erased) {
      if (!erased) gathered->sum.reset();
      if (erased && gathered->sum) {
        gathered->sum->cancelled += erased->cancelled;
        gathered->sum->in_flight += erased->in_flight;
      }
      gathered->end_one();
    });
  }
  gathered->end_one();
}

void Control::erase(TenantId tenant, const std::string& address,
                    submission::Answer<submission::EraseResult> answer) {
  submission::Refused why;
  if (closing_ || erasures_->full()) {
    why.why = closing_ ? submission::Refusal::stopping : submission::Refusal::busy;
    why.detail = closing_ ? "" : "too many addresses were erased of late";
    return answer(std::unexpected(std::move(why)));
  }
  using Ends = std::vector<RecipientId>;
  worker_->ask_all<Ends>(
      [](Worker& there, auto reply) {
        Ends ends;
        for (const auto& home : there.homes()) ends.push_back(home->next_id());
        reply(std::move(ends));
      },
      [this, tenant, address, answer = std::move(answer)](std::vector<Ends> all) mutable {
        Ends ends;
        for (const Ends& some : all) ends.insert(ends.end(), some.begin(), some.end());
        erase_before(tenant, address, std::move(ends), std::move(answer));
      });
}

void Control::erase_before(TenantId tenant, const std::string& address,
                           std::vector<RecipientId> ends,
                           submission::Answer<submission::EraseResult> answer) {
  auto known = std::make_shared<Erasure>();
  auto go_on = [this, known, answer = std::move(answer)](bool ok) mutable {
    submission::Refused failed;
    failed.why = submission::Refusal::no_space;
    failed.detail = "that the address is erased could not be written down";
    if (!ok) return answer(std::unexpected(std::move(failed)));
    ask_homes_to_erase(*known, [answer = std::move(answer)](Erased erased) mutable {
      submission::Refused stopped;
      stopped.why = submission::Refusal::stopping;
      stopped.detail = "it goes on after the next start";
      if (!erased) return answer(std::unexpected(std::move(stopped)));
      answer(submission::EraseResult{erased->cancelled, erased->in_flight});
    });
  };
  *known = erasures_->add(tenant, address, std::move(ends), std::move(go_on));
}

void Control::ask_homes_to_erase(const Erasure& erasure,
                                 std::move_only_function<void(Erased)> done) {
  worker_->ask_all<Erased>(
      [erasure](Worker& there, auto reply) { erase_at(there, erasure, std::move(reply)); },
      [this, id = erasure.id, done = std::move(done)](std::vector<Erased> all) mutable {
        queue::Erased sum;
        for (const Erased& one : all) {
          if (!one) return done(std::nullopt);
          sum.cancelled += one->cancelled;
          sum.in_flight += one->in_flight;
        }
        erasures_->set_asked(id);
        done(sum);
      });
}

void Control::erase_again() {
  for (const Erasure& erasure : erasures_->unfinished()) {
    ask_homes_to_erase(erasure, [](Erased) {});
  }
}

void Control::append_event(const std::string& event) {
  auto entry = decode_event_entry(event);
  CHECK(entry);
  if (!erasures_->cover(*entry)) return events_->append(event, entry->address_hash);
  entry->address_hash = 0;
  std::string json = erased_event(entry->json);
  entry->json = json;
  events_->append(encode_event_entry(*entry), entry->address_hash);
}

// Those whose homes had all answered before it was asked whether any is still at it.
std::vector<uint64_t> Control::erasures_to_watch() const {
  std::vector<uint64_t> ids;
  for (const Erasure& erasure : erasures_->unfinished()) {
    if (erasure.asked) ids.push_back(erasure.id);
  }
  return ids;
}

void Control::watch_erasures(const std::vector<uint64_t>& watched, bool erasing) {
  if (!erasing && !watched.empty()) erasures_->set_clean(watched, events_->end());
  erasures_->forget(events_->oldest());
}

}  // namespace postring::engine
