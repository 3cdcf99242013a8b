#include <algorithm>
#include <set>
#include <tuple>

#include "engine/backend.h"
#include "engine/control.h"
#include "engine/finished_recipients.h"

// Questions about recipients: the homes know who is waiting or in flight, the event log what became
// of the others. A list goes through the live ones first, slice by slice (engine/list_cursor.h).
namespace postring::engine {

using submission::Answer;
using submission::Caller;
using submission::Refusal;

namespace {

std::string hold_text(const queue::RecipientStatus& status) {
  return status.in_flight ? std::string() : std::string(queue::name_of(status.hold));
}

submission::RecipientInfo to_api(queue::RecipientStatus&& status) {
  submission::RecipientInfo info;
  info.id = status.id;
  info.campaign = status.campaign;
  info.batch = status.batch;
  info.hold = hold_text(status);
  info.address = std::move(status.address);
  info.ref = std::move(status.ref);
  info.meta = std::move(status.meta);
  info.state = status.in_flight ? submission::RecipientState::in_flight
                                : submission::RecipientState::waiting;
  info.mail_class = status.mail_class;
  info.attempts = status.attempts;
  info.accepted_at = status.accepted_at;
  info.next_attempt_at = status.next_attempt_at;
  info.expires_at = status.expires_at;
  info.stage = status.stage;
  info.reply = std::move(status.reply);
  info.source = std::move(status.source);
  return info;
}

std::string destination_text(const delivery::DestinationStatus& status) {
  std::string text = status.reason.empty() ? delivery::name_of(status.hold) : status.reason;
  for (const delivery::LaneStatus& lane : status.lanes) {
    text += "; lane " + lane.source + " to " + lane.site + ": " + delivery::name_of(lane.hold);
    if (!lane.reason.empty()) text += " (" + lane.reason + ")";
  }
  return text;
}

// A recipient that its home holds for nothing is held by its destination: ask it on its worker.
void explain(Worker& worker, queue::RecipientStatus status,
             std::move_only_function<void(submission::RecipientInfo)> done) {
  bool ask = !status.in_flight && status.hold == queue::Hold::ready;
  queue::DestinationId destination = status.destination;
  submission::RecipientInfo info = to_api(std::move(status));
  if (!ask) return done(std::move(info));
  worker.dispatch().explain(destination, [info = std::move(info), done = std::move(done)](
                                             delivery::DestinationStatus held) mutable {
    info.hold = destination_text(held);
    done(std::move(info));
  });
}

using Infos = std::vector<submission::RecipientInfo>;

submission::Refused stopping() { return refused(Refusal::stopping, "stopping"); }

// The live recipients of an address at all homes of one worker, each with what holds it. Nothing
// where a home ends: who is on the way from it to the event log would be missing.
void find_live(Worker& worker, TenantId tenant, const std::string& address,
               std::move_only_function<void(std::optional<Infos>)> done) {
  struct Search {
    size_t left = 1;  // the search itself
    bool whole = true;
    Infos found;
    std::move_only_function<void(std::optional<Infos>)> done;
    void end_one() {
      if (--left == 0) done(whole ? std::optional(std::move(found)) : std::nullopt);
    }
  };
  auto search = std::make_shared<Search>();
  search->done = std::move(done);
  for (const auto& home : worker.homes()) {
    ++search->left;
    home->find(address, submission::kRecipientsPageMax,
               [&worker, tenant, search,
                asked = home.get()](std::vector<queue::RecipientStatus> statuses) {
                 for (queue::RecipientStatus& status : statuses) {
                   if (tenant != 0 && status.tenant != tenant) continue;
                   ++search->left;
                   explain(worker, std::move(status), [search](submission::RecipientInfo info) {
                     search->found.push_back(std::move(info));
                     search->end_one();
                   });
                 }
                 // Who ended just now is no longer here, and not yet in the event log.
                 asked->when_told([search](bool told) {
                   search->whole = search->whole && told;
                   search->end_one();
                 });
               });
  }
  search->end_one();
}

// When the event log has all who ended so far at homes of one worker; false: it never will.
void when_all_told(Worker& worker, std::move_only_function<void(bool)> done) {
  struct Wait {
    size_t left;
    std::move_only_function<void(bool)> done;
    bool all = true;
  };
  auto wait = std::make_shared<Wait>(worker.homes().size(), std::move(done));
  for (const auto& home : worker.homes()) {
    home->when_told([wait](bool told) {
      wait->all = wait->all && told;
      if (--wait->left == 0) wait->done(wait->all);
    });
  }
}

}  // namespace

void EngineBackend::find_recipients(const Caller& caller, const std::string& address,
                                    Answer<Infos> answer) {
  TenantId tenant = tenant_filter(caller);
  worker_.ask_all<std::optional<Infos>>(
      [tenant, address](Worker& there, auto reply) {
        find_live(there, tenant, address, std::move(reply));
      },
      [this, tenant, address,
       answer = std::move(answer)](std::vector<std::optional<Infos>> all) mutable {
        Infos found;
        for (std::optional<Infos>& infos : all) {
          if (!infos) return answer(std::unexpected(stopping()));
          for (submission::RecipientInfo& info : *infos) found.push_back(std::move(info));
        }
        worker_.ask(
            kControlWorker,
            [tenant, address](Worker& there, auto reply) mutable {
              find_finished(*there.shared().control, tenant, address, std::move(reply));
            },
            [this, found = std::move(found),
             answer = std::move(answer)](Infos finished) mutable {
              // The event log may not take any more who has just ended.
              bool may_miss = found.empty() && finished.empty() && worker_.stopping();
              if (may_miss) return answer(std::unexpected(stopping()));
              // Whoever ended in between is known as both.
              std::set<RecipientId> ended;
              for (const submission::RecipientInfo& info : finished) ended.insert(info.id);
              std::erase_if(found, [&](const auto& live) { return ended.contains(live.id); });
              for (submission::RecipientInfo& info : finished) found.push_back(std::move(info));
              std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
                return std::tie(b.accepted_at, b.id) < std::tie(a.accepted_at, a.id);
              });
              if (found.size() > submission::kRecipientsPageMax) {
                found.resize(submission::kRecipientsPageMax);
              }
              answer(std::move(found));
            });
      });
}

void EngineBackend::list_recipients(const Caller& caller, const submission::RecipientQuery& query,
                                    Answer<submission::RecipientPage> answer) {
  const queue::CampaignInfo* info = worker_.campaigns().find(query.campaign);
  TenantId tenant = tenant_filter(caller);
  if (info == nullptr || (tenant != 0 && info->tenant != tenant)) {
    return answer(std::unexpected(refused(RegistryError::not_found, "campaign")));
  }
  auto cursor = parse_list_cursor(query.after);
  if (!cursor) return answer(std::unexpected(refused(Refusal::invalid, "\"after\" is no cursor")));
  using submission::RecipientState;
  bool wants_live = !query.state || *query.state == RecipientState::waiting ||
                    *query.state == RecipientState::in_flight;
  if (wants_live && !cursor->finished) return list_live(query, *cursor, std::move(answer));
  if (query.state && wants_live) return answer(submission::RecipientPage{});
  worker_.ask(
      kControlWorker,
      [query, after = cursor->events](Worker& there, auto reply) mutable {
        list_finished(*there.shared().control, query, after, std::move(reply));
      },
      std::move(answer));
}

// The finished ones follow once the event log has all who ended while the live ones were read.
void EngineBackend::end_live(const submission::RecipientQuery& query,
                             Answer<submission::RecipientPage> answer) {
  if (query.state) return answer(submission::RecipientPage{});
  worker_.ask_all<bool>(
      [](Worker& there, auto reply) {
        when_all_told(there, [reply = std::move(reply)](bool told) mutable { reply(told); });
      },
      [answer = std::move(answer)](const std::vector<bool>& told) mutable {
        bool all = std::find(told.begin(), told.end(), false) == told.end();
        if (!all) return answer(std::unexpected(stopping()));
        submission::RecipientPage page;
        page.next = finished_cursor("");
        answer(std::move(page));
      });
}

// One slice after the other; an empty one is passed over.
void EngineBackend::list_live(submission::RecipientQuery query, ListCursor cursor,
                              Answer<submission::RecipientPage> answer) {
  const auto& slices = worker_.shared().slices;
  size_t place = 0;
  while (place < slices.size() && slices[place].slice < cursor.slice) ++place;
  if (place == slices.size()) return end_live(query, std::move(answer));
  SliceNumber slice = slices[place].slice;
  SliceNumber next_slice = static_cast<SliceNumber>(slice + 1);
  uint64_t after = slice == cursor.slice ? cursor.after : 0;
  std::optional<bool> in_flight;
  if (query.state) in_flight = *query.state == submission::RecipientState::in_flight;
  worker_.ask(
      slices[place].worker,
      [campaign = query.campaign, in_flight, slice, after, limit = query.limit](
          Worker& there, auto reply) mutable {
        there.home_of(slice)->list(campaign, in_flight, after, limit, std::move(reply));
      },
      [this, query, slice, next_slice,
       answer = std::move(answer)](queue::StatusPage found) mutable {
        ListCursor next = found.next != 0 ? ListCursor{slice, found.next, false, ""}
                                          : ListCursor{next_slice, 0, false, ""};
        if (found.recipients.empty()) return list_live(query, next, std::move(answer));
        submission::RecipientPage page;
        for (queue::RecipientStatus& status : found.recipients) {
          page.recipients.push_back(to_api(std::move(status)));
        }
        page.next = live_cursor(next);
        answer(std::move(page));
      });
}

void EngineBackend::get_batch(const Caller& caller, BatchId id,
                              Answer<submission::BatchInfo> answer) {
  SliceNumber slice = slice_of(id);
  const auto& owners = worker_.shared().worker_of_slice;
  if (slice >= owners.size() || owners[slice] == kNoWorker) {
    return answer(std::unexpected(refused(RegistryError::not_found, "batch")));
  }
  worker_.ask(
      owners[slice],
      [id](Worker& there, auto reply) { reply(there.home_of(slice_of(id))->batch(id)); },
      [tenant = tenant_filter(caller),
       answer = std::move(answer)](std::optional<queue::BatchStatus> status) mutable {
        if (!status || (tenant != 0 && status->tenant != tenant)) {
          return answer(std::unexpected(refused(RegistryError::not_found, "batch")));
        }
        answer(submission::BatchInfo{status->id, status->campaign, status->accepted_at,
                                     engine::to_api(status->counts)});
      });
}

void EngineBackend::erase_recipients(const Caller& caller, const std::string& address,
                                     Answer<submission::EraseResult> answer) {
  worker_.ask(
      kControlWorker,
      [tenant = tenant_filter(caller), address](Worker& there, auto reply) mutable {
        there.shared().control->erase(tenant, address, std::move(reply));
      },
      std::move(answer));
}

void EngineBackend::read_events(const Caller& caller, submission::EventQuery query,
                                Answer<submission::EventPage> answer) {
  bool waits = query.wait > Duration{};
  if (waits && waiting_readers_ >= kWaitingReadersMax) {
    return answer(std::unexpected(refused(Refusal::busy, "too many wait for events already")));
  }
  waiting_readers_ += waits ? 1 : 0;
  worker_.ask(
      kControlWorker,
      [tenant = tenant_filter(caller), query = std::move(query)](Worker& there,
                                                                 auto reply) mutable {
        there.shared().control->read_events(tenant, std::move(query), std::move(reply));
      },
      [this, waits, answer = std::move(answer)](
          Result<submission::EventPage, submission::Refused> page) mutable {
        waiting_readers_ -= waits ? 1 : 0;
        answer(std::move(page));
      });
}

}  // namespace postring::engine
